//! `system.cleanup.old_jobs`: deletes ended jobs past their horizon.

use std::collections::BTreeMap;
use std::sync::Arc;

use jobforge_core::retention::Retention;
use jobforge_store::WorkerStore;
use serde::{Deserialize, Serialize};

use super::invalid_payload;
use crate::context::JobContext;
use crate::job_error::JobError;
use crate::job_type::JobType;
use crate::services;

/// How long to keep what. `{"days_to_keep": 30}` is the runbook's form.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CleanupPayload {
    /// Days to keep succeeded jobs; the others are kept at least as long, and not less than 90 days.
    pub days_to_keep: Option<i64>,
    /// Days to keep failed jobs.
    pub failed_days: Option<i64>,
    /// Days to keep dead jobs.
    pub dead_days: Option<i64>,
    /// Days to keep canceled jobs.
    pub canceled_days: Option<i64>,
}

/// What was deleted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CleanupReport {
    /// Jobs deleted, by their status.
    pub deleted: BTreeMap<String, u64>,
    /// The horizons that were used.
    pub kept_days: Retention,
}

impl JobType for CleanupPayload {
    const TYPE: &'static str = "system.cleanup.old_jobs";
    type Output = CleanupReport;
}

impl CleanupPayload {
    fn retention(&self) -> Result<Retention, JobError> {
        let defaults = Retention::default();
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
) -> Result<CleanupReport, JobError> {
    let kept_days = payload.retention()?;
    ctx.phase("deleting");
    let mut told = 0;
    let deleted = services::purge(
        store.as_ref(),
        &kept_days,
        |so_far| {
            let total: u64 = so_far.iter().map(|(_, count)| count).sum();
            ctx.items(i64::try_from(total - told).unwrap_or(i64::MAX), 0, 0);
            told = total;
        },
        || ctx.stop_signal().is_cancelled(),
    )
    .await?;
    ctx.check()?;
    let deleted: BTreeMap<String, u64> =
        deleted.into_iter().map(|(status, count)| (status.to_string(), count)).collect();
    ctx.progress(100, format!("deleted {told} jobs"));
    Ok(CleanupReport { deleted, kept_days })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runbooks_payload_keeps_successes_30_days_and_failures_90() {
        let payload: CleanupPayload = serde_json::from_str(r#"{"days_to_keep": 30}"#).expect("payload");
        let retention = payload.retention().expect("valid");
        assert_eq!((retention.succeeded_days, retention.failed_days), (30, 90));
        let payload: CleanupPayload = serde_json::from_str(r#"{"days_to_keep": 365}"#).expect("payload");
        assert_eq!(payload.retention().expect("valid").dead_days, 365);
    }

    #[test]
    fn absurd_horizons_and_misspelt_fields_are_refused() {
        for days in [0, -5, 1_000_000_000_000] {
            let payload = CleanupPayload { days_to_keep: Some(days), ..CleanupPayload::default() };
            assert!(payload.retention().is_err(), "{days}");
        }
        assert!(serde_json::from_str::<CleanupPayload>(r#"{"days": 3}"#).is_err());
        assert!(serde_json::from_str::<CleanupPayload>(r#"{"days_to_keep": "all"}"#).is_err());
    }
}
