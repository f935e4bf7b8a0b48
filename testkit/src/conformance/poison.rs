//! Jobs that take their workers down, and those that die beside them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jobforge_core::claim::{ClaimAsk, QueueAsk};
use jobforge_core::job::{ClaimedJob, JobId, NewJob, WorkerId};
use jobforge_core::rescue::RescuePolicy;
use jobforge_core::settle::Settled;
use jobforge_core::state::Status;
use jobforge_store::Store;
use jobforge_store::rows::Move;

use super::death::{process, register_at, report, without_slot};
use crate::fixtures::{asking, at, by, claim_as, claim_one, detail, enqueue, job, read, settle_one, success};

/// A new worker in process `pid` takes what there is and dies; says what it held.
async fn take_and_die(store: &Arc<dyn Store>, pid: u32, alone: bool, second: i64) -> Result<Vec<ClaimedJob>> {
    let worker = start(store, pid, second).await?;
    let ask = ClaimAsk { alone, ..asking(&worker, "default", 10) };
    let held = claim_as(store, &ask, at(second)).await?.jobs;
    report(store, process(pid), &RescuePolicy::default(), at(second)).await?;
    Ok(held)
}

async fn start(store: &Arc<dyn Store>, pid: u32, second: i64) -> Result<WorkerId> {
    let worker = WorkerId::random();
    register_at(store, worker.as_str(), without_slot(pid), at(second)).await?;
    Ok(worker)
}

/// Two jobs that were running in two workers that died.
async fn twice_beside(store: &Arc<dyn Store>) -> Result<(JobId, JobId)> {
    let (a, b) = (enqueue(store, job("a"), at(0)).await?, enqueue(store, job("b"), at(0)).await?);
    for (pid, second) in [(41, 1), (42, 2)] {
        assert_eq!(take_and_die(store, pid, false, second).await?.len(), 2);
    }
    Ok((a, b))
}

pub async fn jobs_that_died_beside_each_other_lose_neither_attempt_nor_miss(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (a, b) = twice_beside(&store).await?;
    for id in [a, b] {
        let told = detail(&store, id).await?;
        assert_eq!((told.job.status, told.job.attempts, told.job.misses), (Status::Queued, 0, 0));
        let beside: Vec<u32> = told.job.crashes.iter().map(|crash| crash.beside).collect();
        assert_eq!(beside, [1, 1]);
        assert_eq!(told.job.crashes[0].proof, "signal 9 (SIGKILL)");
        let lost: Vec<(u32, &str)> =
            told.attempts.iter().map(|attempt| (attempt.attempt, attempt.outcome.as_str())).collect();
        assert_eq!(lost, [(1, "lost"), (1, "lost")], "each claim was the first that counted");
    }
    Ok(())
}

pub async fn a_job_that_was_there_twice_comes_only_to_who_asks_for_it_alone(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (a, b) = twice_beside(&store).await?;
    let worker = start(&store, 43, 3).await?;
    let claimed = claim_as(&store, &asking(&worker, "default", 10), at(3)).await?;
    assert_eq!((claimed.jobs.len(), claimed.alone_waits), (0, true));
    let other_type = ClaimAsk { types: Some(vec!["c".to_owned()]), ..asking(&worker, "default", 10) };
    assert!(!claim_as(&store, &other_type, at(3)).await?.alone_waits, "it could not run them");
    for alone in [false, true] {
        let tenant = Some("globex".to_owned());
        let other_tenant = ClaimAsk { alone, tenant, ..asking(&worker, "default", 10) };
        let claimed = claim_as(&store, &other_tenant, at(3)).await?;
        assert_eq!((claimed.jobs.len(), claimed.alone_waits), (0, false), "they are another's");
    }
    let healthy = enqueue(&store, job("c"), at(3)).await?;
    assert_eq!(claim_one(&store, &worker, at(3)).await?.id, healthy);
    let alone = ClaimAsk { alone: true, ..asking(&worker, "default", 1) };
    store.pause_queue("default", true, &by(), at(4)).await?;
    assert!(!claim_as(&store, &alone, at(4)).await?.alone_waits, "its queue is paused");
    store.pause_queue("default", false, &by(), at(4)).await?;
    let claimed = claim_as(&store, &alone, at(4)).await?;
    assert_eq!((claimed.jobs[0].id, claimed.jobs[0].alone, claimed.alone_waits), (a, true, true));
    assert_eq!(settle_one(&store, &worker, &claimed.jobs[0], success(), at(5)).await?, Settled::Applied);
    assert_eq!(claim_as(&store, &alone, at(6)).await?.jobs[0].id, b);
    assert!(!claim_as(&store, &alone, at(6)).await?.alone_waits);
    Ok(())
}

pub async fn who_asks_for_a_job_to_run_alone_gets_one_of_all_its_queues(store: Arc<dyn Store>) -> Result<()> {
    let ids = [
        enqueue(&store, job("a"), at(0)).await?,
        enqueue(&store, job("a"), at(0)).await?,
        enqueue(&store, NewJob { queue: "other".to_owned(), ..job("a") }, at(0)).await?,
    ];
    let both = |worker: &WorkerId| {
        let queue = |name: &str| QueueAsk { queue: name.to_owned(), limit: 10 };
        ClaimAsk { queues: vec![queue("default"), queue("other")], ..asking(worker, "default", 10) }
    };
    for (pid, second) in [(41, 1), (42, 2)] {
        let worker = start(&store, pid, second).await?;
        assert_eq!(claim_as(&store, &both(&worker), at(second)).await?.jobs.len(), 3);
        report(&store, process(pid), &RescuePolicy::default(), at(second)).await?;
    }
    let worker = start(&store, 43, 3).await?;
    let alone = ClaimAsk { alone: true, ..both(&worker) };
    for (number, id) in ids.into_iter().enumerate() {
        let claimed = claim_as(&store, &alone, at(3)).await?;
        assert_eq!(claimed.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [id]);
        assert!(claimed.alone_waits || number == 2, "others wait for their turn");
        settle_one(&store, &worker, &claimed.jobs[0], success(), at(3)).await?;
    }
    let claimed = claim_as(&store, &alone, at(3)).await?;
    assert_eq!((claimed.jobs.len(), claimed.alone_waits), (0, false));
    Ok(())
}

pub async fn a_job_that_kills_alone_is_dead_with_the_proofs(store: Arc<dyn Store>) -> Result<()> {
    let (a, b) = twice_beside(&store).await?;
    let worker = start(&store, 44, 4).await?;
    let innocent =
        ClaimAsk { alone: true, types: Some(vec!["b".to_owned()]), ..asking(&worker, "default", 1) };
    let held = claim_as(&store, &innocent, at(4)).await?.jobs.remove(0);
    settle_one(&store, &worker, &held, success(), at(4)).await?;
    for (pid, second) in [(45, 5), (46, 6)] {
        let held = take_and_die(&store, pid, true, second).await?;
        assert_eq!(held.iter().map(|job| job.id).collect::<Vec<_>>(), [a]);
    }
    let told = read(&store, a).await?;
    let error = told.error.expect("an error");
    assert_eq!((told.status, told.misses, error.kind.as_str()), (Status::Dead, 2, "poison"));
    let accused = "poison: it killed its worker 2 times while nothing else ran there \
                   (signal 9 (SIGKILL); signal 9 (SIGKILL))";
    assert_eq!(error.message, accused);
    assert_eq!(read(&store, b).await?.status, Status::Succeeded);
    Ok(())
}

pub async fn an_operators_retry_forgets_the_deaths(store: Arc<dyn Store>) -> Result<()> {
    let (a, _) = twice_beside(&store).await?;
    store.move_jobs(&[a], Move::Retry { delay: Duration::ZERO }, &by(), at(3)).await?;
    assert_eq!(read(&store, a).await?.crashes, []);
    let worker = start(&store, 43, 4).await?;
    assert_eq!(claim_one(&store, &worker, at(4)).await?.id, a);
    Ok(())
}
