//! Taking jobs: the most urgent due ones, each by one worker only, under a lease that grows.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jobforge_core::claim::{ClaimAsk, MAX_CLAIM, QueueAsk};
use jobforge_core::job::{JobId, Lease, NewJob, RunAt, WorkerId};
use jobforge_core::settle::{Outcome, RetryPolicy};
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_store::Store;
use jobforge_store::rows::Move;

use crate::fixtures::{
    asking, at, by, claim, claim_as, claim_one, enqueue, error, job, json, moment, new_worker, next, read,
    register, register_for, s, settle_one,
};

/// Claimers and jobs of the race.
const CLAIMERS: usize = 8;
const RACED_JOBS: usize = 2000;

fn ids(jobs: &[jobforge_core::job::ClaimedJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

pub async fn a_claimed_job_carries_all_that_its_handler_needs(store: Arc<dyn Store>) -> Result<()> {
    let new = NewJob {
        tenant_id: "acme".to_owned(),
        priority: 3,
        payload: json(r#"{"to":"a@example.org"}"#),
        max_attempts: 4,
        timeout: Some(s(30)),
        tags: vec!["vip".to_owned()],
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        retry: Some(RetryPolicy { base_ms: 5, ..RetryPolicy::default() }),
        ..job("email.send")
    };
    enqueue(&store, new.clone(), at(1)).await?;
    let worker = register(&store, "worker-00000001", at(5)).await?;
    let claimed = claim_one(&store, &worker, at(9)).await?;
    assert_eq!((claimed.id, claimed.tenant_id, claimed.job_type), (new.id, new.tenant_id, new.job_type));
    assert_eq!((claimed.queue, claimed.priority, claimed.timeout), (new.queue, 3, new.timeout));
    assert_eq!((claimed.attempt, claimed.max_attempts, claimed.lease), (1, 4, Lease(1)));
    assert_eq!((claimed.created_at, claimed.started_at), (moment(1), moment(9)));
    assert_eq!((claimed.tags, claimed.traceparent, claimed.retry), (new.tags, new.traceparent, new.retry));
    assert!(claimed.payload.same_as(&new.payload));
    assert_eq!(claimed.checkpoint, None);
    Ok(())
}

pub async fn a_claimed_job_is_running_under_its_worker(store: Arc<dyn Store>) -> Result<()> {
    let id = enqueue(&store, NewJob { timeout: Some(s(30)), ..job("email") }, at(0)).await?;
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let ask = ClaimAsk { beat_due_in: Duration::from_millis(120_500), ..asking(&worker, "default", 1) };
    let claimed = claim_as(&store, &ask, at(9)).await?;
    assert_eq!((claimed.jobs.len(), claimed.as_of), (1, moment(9)));
    let stored = read(&store, id).await?;
    assert_eq!((stored.status, stored.attempts, stored.lease), (Status::Running, 1, Lease(1)));
    assert_eq!((stored.locked_by, stored.locked_at), (Some(worker), Some(moment(9))));
    assert_eq!((stored.started_at, stored.heartbeat_at), (Some(moment(9)), Some(moment(9))));
    assert_eq!(stored.heartbeat_due_at, Some(moment(129) + jiff::SignedDuration::from_millis(500)));
    assert_eq!((stored.deadline_at, stored.finished_at), (Some(moment(39)), None));
    Ok(())
}

pub async fn the_most_urgent_come_first_then_the_longest_due_then_the_oldest(
    store: Arc<dyn Store>,
) -> Result<()> {
    let due =
        |seconds: i64, priority: i16| NewJob { priority, when: RunAt::At(moment(seconds)), ..job("email") };
    let batch = [due(-10, 5), due(-5, 0), due(-10, 0), due(-10, 0), due(-1, -3), due(-99, 6)];
    let order: Vec<JobId> = [4, 2, 3, 1, 0, 5].iter().map(|&index: &usize| batch[index].id).collect();
    store.enqueue(&batch, at(0)).await?;
    let worker = register(&store, "worker-00000001", at(0)).await?;
    assert_eq!(ids(&claim(&store, &worker, 2, at(0)).await?), order[..2]);
    assert_eq!(ids(&claim(&store, &worker, 10, at(0)).await?), order[2..]);
    Ok(())
}

pub async fn a_more_urgent_job_that_comes_later_is_claimed_first(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let batch: Vec<NewJob> = (0..20).map(|_| job("email")).collect();
    store.enqueue(&batch, at(0)).await?;
    claim(&store, &worker, 10, at(1)).await?;
    let urgent = enqueue(&store, NewJob { priority: -1, ..job("email") }, at(2)).await?;
    let early = enqueue(&store, NewJob { when: RunAt::At(moment(-60)), ..job("email") }, at(2)).await?;
    assert_eq!(ids(&claim(&store, &worker, 3, at(2)).await?), [urgent, early, batch[10].id]);
    // The same for a job that was moved to the front by hand.
    let last = batch[19].id;
    store.move_jobs(&[urgent], Move::Retry { delay: Duration::ZERO }, &by(), at(3)).await?;
    assert_eq!(ids(&claim(&store, &worker, 1, at(3)).await?), [urgent], "before {last}");
    Ok(())
}

pub async fn a_job_is_claimed_only_when_its_time_has_come(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let id = enqueue(&store, NewJob { when: RunAt::After(s(60)), ..job("email") }, at(0)).await?;
    assert_eq!(ids(&claim(&store, &worker, 5, at(59)).await?), []);
    assert_eq!(ids(&claim(&store, &worker, 5, at(60)).await?), [id]);
    Ok(())
}

pub async fn a_claim_tells_when_the_next_job_becomes_due(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let nothing = claim_as(&store, &asking(&worker, "default", 5), at(0)).await?;
    assert_eq!((nothing.next_due, nothing.more), (None, false));
    for seconds in [300, 60, 900] {
        enqueue(&store, NewJob { when: RunAt::At(moment(seconds)), ..job("email") }, at(0)).await?;
    }
    let waiting = claim_as(&store, &asking(&worker, "default", 5), at(1)).await?;
    assert_eq!((waiting.jobs.len(), waiting.next_due, waiting.more), (0, Some(moment(60)), false));
    let due = claim_as(&store, &asking(&worker, "default", 5), at(60)).await?;
    assert_eq!((due.jobs.len(), due.next_due), (1, Some(moment(300))));
    Ok(())
}

pub async fn a_full_claim_says_that_there_may_be_more(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let batch: Vec<NewJob> = (0..5).map(|_| job("email")).collect();
    store.enqueue(&batch, at(0)).await?;
    let first = store.claim(&asking(&worker, "default", 3), at(0)).await?;
    assert_eq!((first.jobs.len(), first.more), (3, true));
    let rest = claim_as(&store, &asking(&worker, "default", 3), at(0)).await?;
    assert_eq!((rest.jobs.len(), rest.more), (2, false));
    Ok(())
}

pub async fn one_claim_takes_no_more_than_its_limit_whatever_is_asked(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let batch: Vec<NewJob> = (0..MAX_CLAIM + 50).map(|_| job("email")).collect();
    store.enqueue(&batch, at(0)).await?;
    let first = store.claim(&asking(&worker, "default", MAX_CLAIM * 5), at(0)).await?;
    assert_eq!((first.jobs.len(), first.more), (MAX_CLAIM, true));
    assert_eq!(claim(&store, &worker, MAX_CLAIM * 5, at(0)).await?.len(), 50);
    Ok(())
}

pub async fn each_queue_gives_at_most_what_was_asked_of_it(store: Arc<dyn Store>) -> Result<()> {
    let in_queue = |queue: &str| NewJob { queue: queue.to_owned(), ..job("email") };
    let batch: Vec<NewJob> =
        ["mail", "video", "other"].iter().flat_map(|queue| (0..6).map(|_| in_queue(queue))).collect();
    store.enqueue(&batch, at(0)).await?;
    let queues = vec!["mail".to_owned(), "video".to_owned()];
    store
        .register(&jobforge_core::worker::NewWorker { queues, ..new_worker("worker-00000001") }, at(0))
        .await?;
    let worker = WorkerId("worker-00000001".to_owned());
    let ask = |queue: &str, limit| QueueAsk { queue: queue.to_owned(), limit };
    let both = ClaimAsk { queues: vec![ask("mail", 2), ask("video", 4)], ..asking(&worker, "", 0) };
    let claimed = claim_as(&store, &both, at(0)).await?.jobs;
    let from = |queue: &str| claimed.iter().filter(|job| job.queue == queue).count();
    assert_eq!((claimed.len(), from("mail"), from("video")), (6, 2, 4));
    let nothing = ClaimAsk { queues: Vec::new(), ..asking(&worker, "", 0) };
    assert_eq!(store.claim(&nothing, at(0)).await?.jobs.len(), 0);
    let none = asking(&worker, "mail", 0);
    assert!(
        claim_as(&store, &none, at(0)).await?.jobs.is_empty(),
        "none were asked for, and none are promised"
    );
    let none_of_mail = ClaimAsk { queues: vec![ask("mail", 0), ask("video", 1)], ..asking(&worker, "", 0) };
    assert_eq!(
        claim_as(&store, &none_of_mail, at(0)).await?.jobs.iter().filter(|job| job.queue == "mail").count(),
        0
    );
    Ok(())
}

pub async fn a_worker_gets_only_the_types_it_asks_for(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let email = enqueue(&store, job("email"), at(0)).await?;
    let video = enqueue(&store, job("video"), at(0)).await?;
    let typed = |types: &[&str]| ClaimAsk {
        types: Some(types.iter().map(|&name| name.to_owned()).collect()),
        ..asking(&worker, "default", 10)
    };
    assert_eq!(ids(&claim_as(&store, &typed(&[]), at(0)).await?.jobs), []);
    assert_eq!(ids(&claim_as(&store, &typed(&["fax"]), at(0)).await?.jobs), []);
    assert_eq!(ids(&claim_as(&store, &typed(&["fax", "video"]), at(0)).await?.jobs), [video]);
    // What was passed over for its type is still found by who can run it.
    assert_eq!(ids(&claim(&store, &worker, 10, at(0)).await?), [email]);
    Ok(())
}

pub async fn a_claim_of_one_tenant_takes_and_tells_of_only_its_jobs(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let of = |tenant: &str, priority| NewJob { tenant_id: tenant.to_owned(), priority, ..job("email") };
    let mut acme = Vec::new();
    for number in 0..3 {
        enqueue(&store, of("globex", -1), at(number)).await?;
        acme.push(enqueue(&store, of("acme", 0), at(number)).await?);
    }
    let asked = |tenant: &str| ClaimAsk { tenant: Some(tenant.to_owned()), ..asking(&worker, "default", 2) };
    assert_eq!(ids(&claim_as(&store, &asked("initech"), at(9)).await?.jobs), []);
    let first = claim_as(&store, &asked("acme"), at(9)).await?;
    let rest = claim_as(&store, &asked("acme"), at(9)).await?;
    let claimed: Vec<JobId> = ids(&first.jobs).into_iter().chain(ids(&rest.jobs)).collect();
    assert_eq!(claimed, acme);
    assert!(first.jobs.iter().chain(&rest.jobs).all(|job| job.tenant_id == "acme"));
    assert_eq!(ids(&claim_as(&store, &asked("acme"), at(9)).await?.jobs), []);
    Ok(())
}

pub async fn a_paused_queue_gives_nothing_until_it_is_resumed(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let first = enqueue(&store, job("email"), at(0)).await?;
    store.pause_queue("default", true, &by(), at(1)).await?;
    let second = enqueue(&store, job("email"), at(2)).await?;
    assert_eq!(ids(&claim(&store, &worker, 10, at(3)).await?), []);
    store.pause_queue("default", false, &by(), at(4)).await?;
    assert_eq!(ids(&claim(&store, &worker, 10, at(4)).await?), [first, second]);
    Ok(())
}

pub async fn a_worker_that_is_unknown_silent_draining_or_gone_gets_nothing(
    store: Arc<dyn Store>,
) -> Result<()> {
    enqueue(&store, job("email"), at(0)).await?;
    let unknown = WorkerId("worker-0badbad0".to_owned());
    let silent = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    let draining = register(&store, "worker-00000002", at(0)).await?;
    let gone = register(&store, "worker-00000003", at(0)).await?;
    assert!(store.renew(&draining, true, None, at(1)).await?.is_some());
    store.leave(&gone, "done", at(1)).await?;
    for worker in [&unknown, &silent, &draining, &gone] {
        assert_eq!(ids(&claim(&store, worker, 10, at(21)).await?), [], "{worker}");
    }
    let able = register(&store, "worker-00000004", at(21)).await?;
    assert_eq!(claim(&store, &able, 10, at(21)).await?.len(), 1);
    Ok(())
}

pub async fn every_claim_raises_the_lease_by_one_and_counts_an_attempt(store: Arc<dyn Store>) -> Result<()> {
    let id = enqueue(&store, job("email"), at(0)).await?;
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let mut last = Lease(0);
    for round in 1..=4_u32 {
        let now = at(i64::from(round));
        let claimed = claim_one(&store, &worker, now).await?;
        assert_eq!((claimed.attempt, claimed.lease), (round, next(last)));
        last = claimed.lease;
        let again = Outcome::Retry { error: error("boom"), delay: Some(Duration::ZERO) };
        settle_one(&store, &worker, &claimed, again, now).await?;
        assert_eq!(read(&store, id).await?.lease, last, "a settlement does not raise the lease");
    }
    Ok(())
}

pub async fn a_claimed_job_is_not_claimed_again(store: Arc<dyn Store>) -> Result<()> {
    enqueue(&store, job("email"), at(0)).await?;
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let other = register(&store, "worker-00000002", at(0)).await?;
    assert_eq!(claim(&store, &worker, 10, at(0)).await?.len(), 1);
    assert_eq!(claim(&store, &worker, 10, at(1)).await?.len(), 0);
    assert_eq!(claim(&store, &other, 10, at(1)).await?.len(), 0);
    Ok(())
}

pub async fn what_a_claim_has_passed_by_is_still_found_by_the_next_ones(store: Arc<dyn Store>) -> Result<()> {
    // On the database's own clock, where an engine may remember how far its last claim came.
    let now = Now::Database;
    let worker = register(&store, "worker-00000001", now).await?;
    let batch: Vec<NewJob> = (0..20).map(|_| job("email")).collect();
    store.enqueue(&batch, now).await?;
    let mut seen = ids(&claim(&store, &worker, 10, now).await?);
    let early = RunAt::At(store.now().await? - jiff::SignedDuration::from_hours(1));
    let late = [NewJob { priority: -1, ..job("urgent") }, NewJob { when: early, ..job("early") }];
    store.enqueue(&late, now).await?;
    store.move_jobs(&seen[..1], Move::Retry { delay: Duration::ZERO }, &by(), now).await?;
    seen.remove(0);
    loop {
        // Until a claim says that there is nothing: nothing must be left then.
        let more = claim(&store, &worker, 4, now).await?;
        if more.is_empty() {
            break;
        }
        seen.extend(ids(&more));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), batch.len() + late.len());
    Ok(())
}

pub async fn each_job_is_claimed_once_by_many_claimers_at_the_same_time(store: Arc<dyn Store>) -> Result<()> {
    race(store, at(1)).await
}

pub async fn each_job_is_claimed_once_on_the_databases_own_clock_too(store: Arc<dyn Store>) -> Result<()> {
    race(store, Now::Database).await
}

async fn race(store: Arc<dyn Store>, now: Now) -> Result<()> {
    let batch: Vec<NewJob> =
        (0..RACED_JOBS).map(|n| NewJob { priority: (n % 3) as i16, ..job("email") }).collect();
    store.enqueue(&batch, now).await?;
    let mut claimers = Vec::new();
    for n in 0..CLAIMERS {
        let store = store.clone();
        let worker = register(&store, &format!("worker-0000000{n}"), now).await?;
        claimers.push(tokio::spawn(async move {
            let mut mine = Vec::new();
            // Empty once is not empty for good: another's transaction may have held what is left.
            let mut empty = 0;
            while empty < 3 {
                let jobs = claim(&store, &worker, 7, now).await?;
                empty = if jobs.is_empty() { empty + 1 } else { 0 };
                mine.extend(jobs.into_iter().map(|job| (job.id, job.lease)));
            }
            anyhow::Ok(mine)
        }));
    }
    let mut all = Vec::new();
    for claimer in claimers {
        all.extend(claimer.await??);
    }
    let distinct: HashSet<JobId> = all.iter().map(|(id, _)| *id).collect();
    assert_eq!((all.len(), distinct.len()), (RACED_JOBS, RACED_JOBS), "claims, and distinct jobs among them");
    assert!(all.iter().all(|(_, lease)| *lease == Lease(1)));
    Ok(())
}
