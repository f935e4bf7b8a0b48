//! `system.cleanup.old_jobs`: deletes ended jobs past their horizon.

use std::collections::BTreeMap;
use std::sync::Arc;

use jobforge_core::retention::{MAX_DAYS, Retention};
use jobforge_core::time::Now;
use jobforge_store::WorkerStore;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::invalid_payload;
use crate::context::JobContext;
use crate::job_error::JobError;
use crate::job_type::JobType;
use crate::services;

/// How long to keep what. `{"days_to_keep": 30}` is the runbook's form.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CleanupPayload {
    /// Days to keep succeeded jobs; the others are kept at least as long, and not less than the worker's settings say.
    #[serde(deserialize_with = "days")]
    pub days_to_keep: Option<i64>,
    /// Days to keep failed jobs.
    #[serde(deserialize_with = "days")]
    pub failed_days: Option<i64>,
    /// Days to keep dead jobs.
    #[serde(deserialize_with = "days")]
    pub dead_days: Option<i64>,
    /// Days to keep canceled jobs.
    #[serde(deserialize_with = "days")]
    pub canceled_days: Option<i64>,
    /// Only count what would be deleted.
    pub dry_run: bool,
}

/// Says what is allowed to whoever writes `"all"` or `1e12`.
fn days<'de, D: Deserializer<'de>>(value: D) -> Result<Option<i64>, D::Error> {
    let value = Option::<serde_json::Value>::deserialize(value)?;
    let Some(value) = value else { return Ok(None) };
    let refused = || D::Error::custom(format!("a number of days is {value}; allowed is 1 to {MAX_DAYS}"));
    value.as_i64().map(Some).ok_or_else(refused)
}

/// What was deleted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CleanupReport {
    /// Jobs deleted, or that would be, by their status.
    pub deleted: BTreeMap<String, u64>,
    /// Whether nothing was deleted.
    #[serde(default)]
    pub dry_run: bool,
    /// The horizons that were used.
    pub kept_days: Retention,
}

impl JobType for CleanupPayload {
    const TYPE: &'static str = "system.cleanup.old_jobs";
    type Output = CleanupReport;
}

impl CleanupPayload {
    /// What the payload says, above what the worker's settings say.
    fn retention(&self, defaults: Retention) -> Result<Retention, JobError> {
        let succeeded_days = self.days_to_keep.unwrap_or(defaults.succeeded_days);
        let kept_longer = |days: Option<i64>, default: i64| days.unwrap_or(default.max(succeeded_days));
        let retention = Retention {
            succeeded_days,
            failed_days: kept_longer(self.failed_days, defaults.failed_days),
            dead_days: kept_longer(self.dead_days, defaults.dead_days),
            canceled_days: kept_longer(self.canceled_days, defaults.canceled_days),
        };
        let named =
            |fault: String| invalid_payload("days_to_keep", fault.replace("succeeded_days", "days_to_keep"));
        retention.validate().map_err(named)?;
        Ok(retention)
    }
}

/// Deletes batch by batch, reporting as it goes; stops between batches when asked to.
pub(crate) async fn run(
    payload: CleanupPayload,
    ctx: JobContext,
    store: Arc<dyn WorkerStore>,
    defaults: Retention,
) -> Result<CleanupReport, JobError> {
    let kept_days = payload.retention(defaults)?;
    ctx.phase("counting");
    let found = store.purgeable(&kept_days, Now::Database).await?;
    let all: u64 = found.iter().map(|(_, count)| count).sum();
    if payload.dry_run {
        ctx.progress(100, format!("would delete {all} jobs"));
        let deleted = found.into_iter().map(|(status, count)| (status.to_string(), count)).collect();
        return Ok(CleanupReport { deleted, dry_run: true, kept_days });
    }
    ctx.phase("deleting");
    let mut told = 0;
    let deleted = services::purge(
        store.as_ref(),
        &kept_days,
        |so_far| {
            let total: u64 = so_far.iter().map(|(_, count)| count).sum();
            ctx.items(i64::try_from(total - told).unwrap_or(i64::MAX), 0, 0);
            let percent = (total * 100).checked_div(all.max(total)).unwrap_or(100);
            ctx.progress(u8::try_from(percent).unwrap_or(100), format!("deleted {total} of {all} jobs"));
            told = total;
        },
        || ctx.stop_signal().is_cancelled(),
    )
    .await?;
    ctx.check()?;
    let deleted: BTreeMap<String, u64> =
        deleted.into_iter().map(|(status, count)| (status.to_string(), count)).collect();
    ctx.progress(100, format!("deleted {told} jobs"));
    Ok(CleanupReport { deleted, dry_run: false, kept_days })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runbooks_payload_keeps_successes_30_days_and_failures_90() {
        let payload: CleanupPayload = serde_json::from_str(r#"{"days_to_keep": 30}"#).expect("payload");
        let retention = payload.retention(Retention::default()).expect("valid");
        assert_eq!((retention.succeeded_days, retention.failed_days), (30, 90));
        let payload: CleanupPayload = serde_json::from_str(r#"{"days_to_keep": 365}"#).expect("payload");
        assert_eq!(payload.retention(Retention::default()).expect("valid").dead_days, 365);
    }

    #[test]
    fn absurd_horizons_and_misspelt_fields_are_refused() {
        for days in [0, -5, 1_000_000_000_000] {
            let payload = CleanupPayload { days_to_keep: Some(days), ..CleanupPayload::default() };
            assert!(payload.retention(Retention::default()).is_err(), "{days}");
        }
        assert!(serde_json::from_str::<CleanupPayload>(r#"{"days": 3}"#).is_err());
        for days in ["\"all\"", "1e12", "30.5", "true"] {
            let payload = format!(r#"{{"days_to_keep": {days}}}"#);
            let refused = serde_json::from_str::<CleanupPayload>(&payload).expect_err(days).to_string();
            assert!(refused.contains("allowed is 1 to 36500"), "{refused}");
        }
    }

    #[test]
    fn what_the_payload_leaves_out_is_kept_as_the_workers_settings_say() {
        let payload: CleanupPayload = serde_json::from_str(r#"{"dead_days": 7}"#).expect("payload");
        let settings = Retention { succeeded_days: 3, failed_days: 10, dead_days: 20, canceled_days: 5 };
        let expected = Retention { dead_days: 7, ..settings };
        assert_eq!(payload.retention(settings).expect("valid"), expected);
    }
}
