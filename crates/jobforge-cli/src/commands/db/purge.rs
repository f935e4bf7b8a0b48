//! `jobforge db purge`: deletes ended jobs past their time.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use jobforge::core::audit::Deed;
use jobforge::core::retention::Retention;
use jobforge::core::state::Status;
use jobforge::core::time::{Now, parse_duration};
use jobforge::services;
use jobforge::store::WorkerStore;

use crate::cli::PurgeArgs;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output;

const DAY_S: u64 = 86_400;

pub(super) async fn run(context: &Context, args: &PurgeArgs) -> Result<(), Failure> {
    let statuses = statuses(&args.status)?;
    let client = context.visit().await?;
    let store = client.store();
    let retention = match &args.older_than {
        Some(text) => Retention::all(days(text)?),
        None => {
            let (_, live) = context.follow(Arc::clone(store) as Arc<dyn WorkerStore>).await;
            Retention::from_settings(&live.now())
        }
    };
    let retention = retention.only(&statuses);
    retention.validate().map_err(Failure::usage)?;
    let found = store.purgeable(&retention, Now::Database).await?;
    let total: u64 = found.iter().map(|(_, count)| count).sum();
    if args.dry_run {
        return report(context, &statuses, &retention, &found, true);
    }
    if total == 0 {
        return report(context, &statuses, &retention, &[], false);
    }
    output::confirm(&format!("Delete {total} ended jobs with their attempts, results and logs?"), args.yes)?;
    let bar = output::progress(total, "deleting");
    let told = |so_far: &[(Status, u64)]| bar.set_position(so_far.iter().map(|(_, count)| count).sum());
    let deleted = services::purge(store.as_ref(), &retention, told, || false).await?;
    bar.finish_and_clear();
    let deed =
        Deed { after: Some(serde_json::to_string(&by_status(&deleted))?), ..Deed::new("db.purge", "jobs") };
    store.note(client.by(), &[deed], Now::Database).await?;
    report(context, &statuses, &retention, &deleted, false)
}

/// The ended statuses that were named, or all of them.
fn statuses(named: &[String]) -> Result<Vec<Status>, Failure> {
    let ended = || Status::ALL.into_iter().filter(|status| status.is_terminal());
    if named.is_empty() {
        return Ok(ended().collect());
    }
    let read = |word: &String| {
        let status = Status::from_str(word).map_err(|error| Failure::usage(error.to_string()))?;
        if status.is_terminal() {
            return Ok(status);
        }
        Err(Failure::usage(format!("{status} jobs are never purged"))
            .hint("name succeeded, failed, dead or canceled; `jobforge job cancel` ends jobs"))
    };
    named.iter().map(read).collect()
}

fn days(text: &str) -> Result<i64, Failure> {
    let bad = |why: &str| {
        Failure::usage(format!("--older-than is {text:?}: {why}"))
            .hint("write a number of whole days, such as 30d; the shortest is 1d")
    };
    let length = parse_duration(text).map_err(|error| bad(&error.to_string()))?.as_secs();
    if length == 0 || length % DAY_S != 0 {
        return Err(bad("ended jobs are kept for whole days"));
    }
    i64::try_from(length / DAY_S).map_err(|_| bad("nothing is so old"))
}

fn by_status(counts: &[(Status, u64)]) -> BTreeMap<&'static str, u64> {
    counts.iter().map(|(status, count)| (status.as_str(), *count)).collect()
}

fn report(
    context: &Context,
    statuses: &[Status],
    retention: &Retention,
    counts: &[(Status, u64)],
    dry_run: bool,
) -> Result<(), Failure> {
    let count = |status: Status| counts.iter().find(|(of, _)| *of == status).map_or(0, |(_, count)| *count);
    let kept = |status: Status| match status {
        Status::Succeeded => retention.succeeded_days,
        Status::Failed => retention.failed_days,
        Status::Dead => retention.dead_days,
        Status::Canceled => retention.canceled_days,
        Status::Queued | Status::Running => 0,
    };
    if context.json {
        let kept: BTreeMap<_, _> = statuses.iter().map(|status| (status.as_str(), kept(*status))).collect();
        let all: Vec<_> = statuses.iter().map(|status| (*status, count(*status))).collect();
        return output::json(
            &serde_json::json!({ "dry_run": dry_run, "kept_days": kept, "deleted": by_status(&all) }),
        );
    }
    let row = |status: &Status| {
        vec![status.to_string(), format!("{} days", kept(*status)), count(*status).to_string()]
    };
    let last = if dry_run { "would be deleted" } else { "deleted" };
    output::table(&["status", "kept", last], &[1, 2], statuses.iter().map(row).collect());
    if dry_run {
        output::note("nothing was deleted; leave out --dry-run to do it");
    } else {
        output::note(&format!("{} gives the space back", output::command("jobforge db vacuum")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_days_are_an_age() {
        assert_eq!(days("30d").ok(), Some(30));
        assert_eq!(days("48h").ok(), Some(2));
        for text in ["0", "0d", "12h", "-5d", "all", "36h"] {
            assert!(days(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_ended_statuses_can_be_named() {
        assert_eq!(statuses(&[]).map(|all| all.len()).ok(), Some(4));
        assert!(statuses(&["running".to_owned()]).is_err() && statuses(&["done".to_owned()]).is_err());
    }
}
