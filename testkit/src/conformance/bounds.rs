//! How long an attempt may take and stand still, and who says so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jobforge_core::claim::{Bounds, ClaimAsk, TypeBounds};
use jobforge_core::heartbeat::Report;
use jobforge_core::job::{Items, NewJob, QueuedBecause};
use jobforge_core::rescue::RescuePolicy;
use jobforge_core::state::Status;
use jobforge_store::Store;

use crate::fixtures::{
    asking, at, beat, claim_as, enqueue, heartbeat_one, job, moment, read, register, running, s, settle_one,
    success, sweep,
};

fn ms(duration: Duration) -> Option<u64> {
    u64::try_from(duration.as_millis()).ok()
}

pub async fn a_jobs_own_bounds_come_before_its_types_and_those_before_the_workers(
    store: Arc<dyn Store>,
) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let bounds = |report: u64, other: u64| Bounds {
        by_type: BTreeMap::from([("report".to_owned(), report)]),
        other: Some(other),
    };
    let bounds = TypeBounds { timeout: bounds(60_000, 5_000), progress: bounds(9_000, 2_000) };
    let own = NewJob { timeout: Some(s(7)), progress_timeout: Some(s(3)), ..job("report") };
    let (own, typed, other) = (
        enqueue(&store, own, at(0)).await?,
        enqueue(&store, job("report"), at(1)).await?,
        enqueue(&store, job("email"), at(2)).await?,
    );
    let claimed = claim_as(&store, &ClaimAsk { bounds, ..asking(&worker, "default", 3) }, at(10)).await?.jobs;
    let told: Vec<_> = claimed.iter().map(|job| (job.id, job.timeout, job.progress_timeout)).collect();
    let expected =
        [(own, Some(s(7)), Some(s(3))), (typed, Some(s(60)), Some(s(9))), (other, Some(s(5)), Some(s(2)))];
    assert_eq!(told, expected);
    let stored = read(&store, typed).await?;
    assert_eq!((stored.deadline_at, stored.progress_limit), (Some(moment(70)), Some(s(9))));
    assert_eq!((stored.timeout, stored.progress_timeout), (None, None), "the next worker may say otherwise");
    settle_one(&store, &worker, &claimed[1], success(), at(11)).await?;
    let ended = read(&store, typed).await?;
    assert_eq!((ended.deadline_at, ended.progress_limit), (None, None));
    Ok(())
}

pub async fn without_any_bound_there_is_none(store: Arc<dyn Store>) -> Result<()> {
    let (_, held) = running(&store, "worker-00000001", job("email"), at(0)).await?;
    assert_eq!((held.timeout, held.progress_timeout), (None, None));
    let stored = read(&store, held.id).await?;
    assert_eq!((stored.deadline_at, stored.progress_limit), (None, None));
    Ok(())
}

pub async fn a_job_that_stands_still_is_taken_back_after_the_grace_without_a_miss(
    store: Arc<dyn Store>,
) -> Result<()> {
    let still = NewJob { progress_timeout: Some(s(30)), ..job("email") };
    let (worker, held) = running(&store, "worker-00000001", still, at(0)).await?;
    assert_eq!(held.progress_timeout.and_then(ms), Some(30_000));
    let mut reporting = beat(&held);
    reporting.report = Report { progress: Some(40), changed: true, ..Report::default() };
    heartbeat_one(&store, &worker, reporting, at(20)).await?;
    heartbeat_one(&store, &worker, beat(&held), at(50)).await?;
    assert!(
        sweep(&store, &RescuePolicy::default(), at(60)).await?.moved.is_empty(),
        "its worker comes first"
    );
    assert_eq!(sweep(&store, &RescuePolicy::default(), at(61)).await?.moved, [held.id]);
    let stored = read(&store, held.id).await?;
    assert_eq!((stored.status, stored.queued_because), (Status::Queued, QueuedBecause::Retry));
    assert_eq!((stored.misses, stored.progress_limit), (0, None));
    assert_eq!(stored.error.expect("an error").kind, "no_progress");
    Ok(())
}

pub async fn whatever_says_that_the_work_went_on_counts_as_progress(store: Arc<dyn Store>) -> Result<()> {
    let (worker, held) = running(&store, "worker-00000001", job("email"), at(0)).await?;
    let items = Some(Items { processed: 1, ..Items::default() });
    let checkpoint = Some(serde_json::json!({ "row": 7 }));
    let reports = [
        (Report { progress: Some(1), ..Report::default() }, true),
        (Report { message: Some("m".to_owned()), ..Report::default() }, true),
        (Report { phase: Some("p".to_owned()), ..Report::default() }, true),
        (Report { items, ..Report::default() }, true),
        (Report { checkpoint, ..Report::default() }, true),
        (Report { log_tail: Some("still there".to_owned()), log_changed: true, ..Report::default() }, false),
        (Report::default(), false),
    ];
    let mut last = None;
    for (second, (report, counts)) in (1..).zip(reports) {
        let mut reporting = beat(&held);
        reporting.report = Report { changed: true, ..report };
        heartbeat_one(&store, &worker, reporting, at(second)).await?;
        if counts {
            last = Some(moment(second));
        }
        assert_eq!(read(&store, held.id).await?.progress.at, last, "report {second}");
    }
    Ok(())
}
