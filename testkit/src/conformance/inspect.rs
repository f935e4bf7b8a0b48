//! Looking: lists without loss or repetition, counts, and the facts behind every standing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jobforge_core::heartbeat::BeatReply;
use jobforge_core::job::{Job, JobId, NewJob, RunAt, WorkerId};
use jobforge_core::job_state::JobState;
use jobforge_core::rescue::RescuePolicy;
use jobforge_core::settle::{Outcome, Settled};
use jobforge_core::standing::Rules;
use jobforge_core::standing::{Kind, WaitingFor, assess};
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_core::worker::NewWorker;
use jobforge_store::Store;
use jobforge_store::rows::{JobFilter, MAX_PAGE, Move, SUCCESSES_KEPT};

use crate::fixtures::{
    asking, at, beat, by, claim_as, claim_one, ended_job, enqueue, failure, heartbeat_one, job, moment,
    new_worker, register, register_for, running_job, s, settle_one, success, sweep, unknown_job,
};

fn all() -> JobFilter {
    JobFilter { limit: MAX_PAGE, ..JobFilter::default() }
}

async fn listed(store: &Arc<dyn Store>, filter: JobFilter) -> Result<Vec<JobId>> {
    Ok(store.jobs(&filter).await?.iter().map(|job| job.id).collect())
}

/// What the store's facts make of a job.
async fn standing(store: &Arc<dyn Store>, id: JobId, seconds: i64) -> Result<(Kind, Option<WaitingFor>)> {
    let facts = store.job_facts(id, at(seconds)).await?.expect("the job exists");
    assert_eq!(facts.as_of, moment(seconds));
    let standing = assess(&facts, &Rules::default());
    Ok((standing.kind, standing.waiting_for))
}

fn in_queue(queue: &str) -> NewJob {
    NewJob { queue: queue.to_owned(), ..job("email") }
}

pub async fn jobs_are_listed_newest_first(store: Arc<dyn Store>) -> Result<()> {
    let mut ids = Vec::new();
    for seconds in 0..5 {
        ids.push(enqueue(&store, job("email"), at(seconds)).await?);
    }
    ids.reverse();
    assert_eq!(listed(&store, all()).await?, ids);
    assert_eq!(listed(&store, JobFilter { limit: 2, ..all() }).await?, ids[..2]);
    assert_eq!(listed(&store, JobFilter { limit: 0, ..all() }).await?, []);
    Ok(())
}

pub async fn known_jobs_are_those_that_are_there_whatever_became_of_them(
    store: Arc<dyn Store>,
) -> Result<()> {
    let ended = ended_job(&store, Status::Succeeded, job("email"), at(0)).await?;
    let (queued, gone) =
        (enqueue(&store, job("email"), at(1)).await?, enqueue(&store, job("email"), at(1)).await?);
    store.move_jobs(&[gone], Move::Delete, &by(), at(2)).await?;
    let known = store.known_jobs(&[queued, gone, ended, JobId::new(), queued]).await?;
    assert_eq!(known, BTreeSet::from([queued, ended]));
    assert!(store.known_jobs(&[]).await?.is_empty());
    Ok(())
}

pub async fn each_filter_finds_its_jobs_and_filters_combine(store: Arc<dyn Store>) -> Result<()> {
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    let tenant = enqueue(&store, NewJob { tenant_id: "acme".to_owned(), ..job("email") }, at(0)).await?;
    let typed =
        enqueue(&store, NewJob { idempotency_key: Some("k".to_owned()), ..job("invoice") }, at(0)).await?;
    let other = enqueue(&store, NewJob { tenant_id: "acme".to_owned(), ..in_queue("mail") }, at(0)).await?;
    let tagged =
        enqueue(&store, NewJob { tags: vec!["vip".to_owned(), "é, {x}".to_owned()], ..job("email") }, at(0))
            .await?;
    enqueue(&store, NewJob { tags: vec!["vip2".to_owned()], ..job("email") }, at(0)).await?;
    let text = |word: &str| Some(word.to_owned());
    let cases = [
        (JobFilter { tenant_id: text("acme"), ..all() }, vec![other, tenant]),
        (JobFilter { statuses: vec![Status::Running], ..all() }, vec![held.id]),
        (JobFilter { statuses: vec![Status::Dead, Status::Failed], ..all() }, vec![]),
        (JobFilter { job_type: text("invoice"), ..all() }, vec![typed]),
        (JobFilter { queue: text("mail"), ..all() }, vec![other]),
        (JobFilter { tag: text("vip"), ..all() }, vec![tagged]),
        (JobFilter { tag: text("é, {x}"), ..all() }, vec![tagged]),
        (JobFilter { tag: text("vi"), ..all() }, vec![]),
        (JobFilter { idempotency_key: text("k"), ..all() }, vec![typed]),
        (JobFilter { worker: Some(worker), ..all() }, vec![held.id]),
        (JobFilter { worker: Some(WorkerId("worker-0badbad0".to_owned())), ..all() }, vec![]),
        (
            JobFilter {
                tenant_id: text("acme"),
                queue: text("default"),
                statuses: vec![Status::Queued, Status::Running],
                ..all()
            },
            vec![tenant],
        ),
        (JobFilter { tenant_id: text("acme"), job_type: text("invoice"), ..all() }, vec![]),
        (JobFilter { before: Some(other), tenant_id: text("acme"), ..all() }, vec![tenant]),
    ];
    for (filter, expected) in cases {
        let shown = format!("{filter:?}");
        assert_eq!(listed(&store, filter).await?, expected, "{shown}");
    }
    Ok(())
}

pub async fn pages_show_every_job_once_also_while_jobs_come_and_go(store: Arc<dyn Store>) -> Result<()> {
    let batch: Vec<NewJob> = (0..25).map(|_| job("email")).collect();
    store.enqueue(&batch, at(0)).await?;
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = listed(&store, JobFilter { before, limit: 4, ..JobFilter::default() }).await?;
        let Some(last) = page.last() else { break };
        before = Some(*last);
        seen.extend(page);
        enqueue(&store, job("newcomer"), at(1)).await?;
        if seen.len() == 8 {
            // The cursor itself goes, and the pages go on.
            store.move_jobs(&[seen[7]], Move::Delete, &by(), at(1)).await?;
        }
    }
    let expected: Vec<JobId> = batch.iter().rev().map(|job| job.id).collect();
    assert_eq!(seen, expected);
    Ok(())
}

pub async fn an_unknown_job_has_neither_row_nor_detail_nor_facts(store: Arc<dyn Store>) -> Result<()> {
    assert!(store.job(unknown_job()).await?.is_none());
    assert!(store.job_detail(unknown_job()).await?.is_none());
    assert!(store.job_facts(unknown_job(), at(0)).await?.is_none());
    Ok(())
}

pub async fn queues_tell_what_is_in_them(store: Arc<dyn Store>) -> Result<()> {
    register(&store, "worker-00000001", at(0)).await?;
    store
        .register(&NewWorker { queues: vec!["served".to_owned()], ..new_worker("worker-00000002") }, at(0))
        .await?;
    let mailer = WorkerId("worker-00000002".to_owned());
    store.enqueue(&[in_queue("mail"), in_queue("mail"), in_queue("mail")], at(10)).await?;
    enqueue(&store, NewJob { when: RunAt::At(moment(-50)), ..in_queue("mail") }, at(10)).await?;
    enqueue(&store, NewJob { when: RunAt::At(moment(500)), ..in_queue("mail") }, at(10)).await?;
    enqueue(&store, NewJob { when: RunAt::At(moment(30)), ..in_queue("mail") }, at(10)).await?;
    let first = claim_as(&store, &asking(&mailer, "mail", 1), at(11)).await?.jobs;
    assert_eq!(first[0].created_at, moment(10));
    store.pause_queue("stopped", true, &by(), at(12)).await?;
    let told = |seconds: i64| {
        let store = store.clone();
        async move {
            let queues = store.queues(at(seconds)).await?;
            let line = queues.into_iter().find(|queue| queue.name == "mail").expect("mail is listed");
            anyhow::Ok((line.ready, line.scheduled, line.running, line.oldest_ready_at, line.paused_at))
        }
    };
    assert_eq!(told(20).await?, (3, 2, 1, Some(moment(10)), None));
    // A job whose time has come is ready, whether or not a claim has looked since.
    assert_eq!(told(30).await?, (4, 1, 1, Some(moment(10)), None));
    let mut names: Vec<String> = store.queues(at(30)).await?.into_iter().map(|queue| queue.name).collect();
    names.sort();
    assert_eq!(names, ["default", "mail", "served", "stopped"], "with jobs, paused, or served");
    Ok(())
}

pub async fn gauges_tell_what_waits_runs_and_last_succeeded(store: Arc<dyn Store>) -> Result<()> {
    let nothing = store.gauges(at(0)).await?;
    assert!(nothing.ready.is_empty() && nothing.running.is_empty() && nothing.successes.is_empty());
    assert_eq!(nothing.as_of, moment(0));
    // One runs since 0; of its kind one has succeeded, one waits for another attempt, and two may run or soon will.
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    for (outcome, seconds) in [(success(), 3), (failure("busy"), 4)] {
        enqueue(&store, job("email"), at(seconds)).await?;
        let next = claim_one(&store, &worker, at(seconds)).await?;
        settle_one(&store, &worker, &next, outcome, at(seconds)).await?;
    }
    enqueue(&store, NewJob { tenant_id: "acme".to_owned(), ..job("email") }, at(4)).await?;
    enqueue(&store, NewJob { when: RunAt::At(moment(7)), ..job("report") }, at(4)).await?;
    let told = store.gauges(at(4)).await?;
    assert_eq!(told.ready, [("email".to_owned(), 1)]);
    assert_eq!(told.retrying, [("default".to_owned(), 1)]);
    assert_eq!(told.successes, [("email".to_owned(), moment(3))]);
    let running: Vec<_> = told
        .running
        .iter()
        .map(|row| (row.job_type.as_str(), row.tenant_id.as_str(), row.jobs, row.oldest, row.timeout))
        .collect();
    assert_eq!(running, [("email", held.tenant_id.as_str(), 1, Some(moment(0)), None)]);
    // What is due may run, whether or not a claim has looked since, and waits no more.
    let mut later = store.gauges(at(5000)).await?;
    later.ready.sort();
    assert_eq!(later.ready, [("email".to_owned(), 2), ("report".to_owned(), 1)]);
    assert_eq!(later.retrying, []);
    // A later success counts, and is remembered when its job is forgotten.
    settle_one(&store, &worker, &held, success(), at(9)).await?;
    store.move_jobs(&[held.id], Move::Delete, &by(), at(9)).await?;
    assert_eq!(store.gauges(at(10)).await?.successes, [("email".to_owned(), moment(9))]);
    // Of several the longest limit is told.
    for timeout in [90, 30] {
        let slow = NewJob { timeout: Some(s(timeout)), queue: "slow".to_owned(), ..job("slow") };
        enqueue(&store, slow, at(10)).await?;
    }
    claim_as(&store, &asking(&worker, "slow", 10), at(10)).await?;
    let told = store.gauges(at(11)).await?;
    let slow = told.running.iter().find(|row| row.job_type == "slow").map(|row| (row.jobs, row.timeout));
    assert_eq!(slow, Some((2, Some(s(90)))));
    Ok(())
}

pub async fn a_name_that_has_not_succeeded_for_a_quarter_is_forgotten(store: Arc<dyn Store>) -> Result<()> {
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    settle_one(&store, &worker, &held, success(), at(1)).await?;
    assert_eq!(store.gauges(at(2)).await?.successes.len(), 1);
    let quarter = i64::try_from(SUCCESSES_KEPT.as_secs())?;
    store.tidy(at(quarter)).await?;
    assert_eq!(store.gauges(at(quarter)).await?.successes.len(), 1);
    store.tidy(at(quarter + 2)).await?;
    assert_eq!(store.gauges(at(quarter + 2)).await?.successes, []);
    Ok(())
}

pub async fn gauges_tell_workers_by_how_they_are(store: Arc<dyn Store>) -> Result<()> {
    let on =
        |id: &str, queue: &str| NewWorker { queues: vec![queue.to_owned()], lease: s(20), ..new_worker(id) };
    for (id, queue) in [
        ("worker-00000001", "a"),
        ("worker-00000002", "a"),
        ("worker-00000003", "b"),
        ("worker-00000004", "c"),
    ] {
        store.register(&on(id, queue), at(0)).await?;
    }
    let id = |id: &str| WorkerId(id.to_owned());
    store.renew(&id("worker-00000002"), true, None, at(15)).await?;
    store.renew(&id("worker-00000003"), false, None, at(15)).await?;
    store.leave(&id("worker-00000004"), "done", at(15)).await?;
    let told = |seconds: i64| {
        let store = store.clone();
        async move {
            let gauges = store.gauges(at(seconds)).await?;
            let mut lines: Vec<_> =
                gauges.workers.into_iter().map(|row| (row.queue, row.state, row.workers)).collect();
            lines.sort();
            anyhow::Ok(lines)
        }
    };
    let line = |queue: &str, state: &str| (queue.to_owned(), state.to_owned(), 1);
    assert_eq!(told(1).await?, [line("a", "draining"), line("a", "live"), line("b", "live")]);
    // Leases are of 20 s: the first is late with its renewal, then past its lease, then lost.
    assert!(told(18).await?.contains(&line("a", "quiet")));
    assert!(told(25).await?.contains(&line("a", "stale")));
    store.expire_workers(10, at(25)).await?;
    assert!(told(26).await?.contains(&line("a", "down")));
    // Another that has taken its place makes it forgotten, and so does time.
    store.register(&on("worker-00000005", "a"), at(27)).await?;
    assert!(!told(28).await?.contains(&line("a", "down")));
    store.expire_workers(10, at(60)).await?;
    assert!(told(61).await?.contains(&line("b", "down")));
    assert!(!told(61 + 3600).await?.contains(&line("b", "down")));
    Ok(())
}

pub async fn a_queue_with_nothing_in_it_tells_zeros(store: Arc<dyn Store>) -> Result<()> {
    assert!(store.queues(at(0)).await?.is_empty());
    register(&store, "worker-00000001", at(0)).await?;
    let queues = store.queues(at(1)).await?;
    assert_eq!(queues.len(), 1);
    assert_eq!(
        (queues[0].ready, queues[0].scheduled, queues[0].running, queues[0].oldest_ready_at),
        (0, 0, 0, None)
    );
    Ok(())
}

pub async fn counts_stop_where_they_shall_and_the_oldest_is_found_all_the_same(
    store: Arc<dyn Store>,
) -> Result<()> {
    for second in 0..4 {
        let later = NewJob { priority: 7, ..job("email") };
        enqueue(&store, if second == 0 { later } else { job("email") }, at(second)).await?;
        ended_job(&store, Status::Failed, NewJob { queue: "other".to_owned(), ..job("fax") }, at(second))
            .await?;
    }
    let queues = store.queues_to(3, at(9)).await?;
    let told: Vec<_> = queues
        .iter()
        .filter(|queue| queue.ready > 0)
        .map(|queue| (queue.ready, queue.oldest_ready_at))
        .collect();
    assert_eq!(told, [(3, Some(moment(0)))], "the oldest is not the most urgent");
    let counts = store.status_counts_to(2, None, moment(0)).await?;
    for status in [Status::Queued, Status::Failed] {
        assert!(counts.contains(&(status, 2)), "{counts:?}");
    }
    assert!(store.status_counts(None, moment(0)).await?.contains(&(Status::Failed, 4)));
    Ok(())
}

pub async fn facts_count_the_workers_that_could_run_the_job(store: Arc<dyn Store>) -> Result<()> {
    let id = enqueue(&store, job("email"), at(0)).await?;
    let count = |seconds: i64| {
        let store = store.clone();
        async move {
            let facts = store.job_facts(id, at(seconds)).await?.expect("the job exists");
            anyhow::Ok((facts.queue_workers, facts.able_workers))
        }
    };
    assert_eq!(count(1).await?, (0, 0));
    let typed = |types: &[&str]| Some(types.iter().map(|&name| name.to_owned()).collect());
    store.register(&NewWorker { types: typed(&["video"]), ..new_worker("worker-00000001") }, at(1)).await?;
    store
        .register(&NewWorker { queues: vec!["mail".to_owned()], ..new_worker("worker-00000002") }, at(1))
        .await?;
    assert_eq!(count(2).await?, (1, 0));
    store
        .register(&NewWorker { types: typed(&["video", "email"]), ..new_worker("worker-00000003") }, at(1))
        .await?;
    let any = register(&store, "worker-00000004", at(1)).await?;
    let leaving = register(&store, "worker-00000005", at(1)).await?;
    assert_eq!(count(2).await?, (4, 3));
    store.leave(&leaving, "done", at(2)).await?;
    assert!(store.renew(&any, true, None, at(2)).await?.is_some());
    assert_eq!(count(3).await?, (2, 1), "neither the one that left nor the one that drains");
    let short = register_for(&store, "worker-00000006", s(20), at(3)).await?;
    assert_eq!(count(4).await?, (3, 2));
    assert_eq!(count(24).await?, (2, 1), "{short} is silent, though nobody has marked it yet");
    Ok(())
}

pub async fn every_kind_of_waiting_is_told_apart(store: Arc<dyn Store>) -> Result<()> {
    let id = enqueue(&store, NewJob { when: RunAt::After(s(60)), ..job("email") }, at(0)).await?;
    assert_eq!(standing(&store, id, 1).await?, (Kind::Waiting, Some(WaitingFor::Time)));
    assert_eq!(standing(&store, id, 61).await?, (Kind::Waiting, Some(WaitingFor::Worker)));
    let worker = register(&store, "worker-00000001", at(61)).await?;
    assert_eq!(standing(&store, id, 62).await?, (Kind::Waiting, Some(WaitingFor::Slot)));
    store.pause_queue("default", true, &by(), at(63)).await?;
    assert_eq!(standing(&store, id, 64).await?, (Kind::Waiting, Some(WaitingFor::PausedQueue)));
    let facts = store.job_facts(id, at(64)).await?.expect("the job exists");
    assert_eq!((facts.queue_paused_at, facts.worker.is_none()), (Some(moment(63)), true));
    store.pause_queue("default", false, &by(), at(65)).await?;
    let held = claim_one(&store, &worker, at(66)).await?;
    settle_one(&store, &worker, &held, failure("boom"), at(66)).await?;
    assert_eq!(standing(&store, id, 66).await?, (Kind::Waiting, Some(WaitingFor::Retry)));
    Ok(())
}

pub async fn a_running_job_is_running_then_recovering_then_stuck(store: Arc<dyn Store>) -> Result<()> {
    let worker = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    let id = enqueue(&store, job("email"), at(0)).await?;
    claim_one(&store, &worker, at(0)).await?;
    assert_eq!(standing(&store, id, 10).await?, (Kind::Running, None));
    let facts = store.job_facts(id, at(10)).await?.expect("the job exists");
    assert_eq!(facts.worker.map(|worker| worker.id), Some(worker));
    assert_eq!(standing(&store, id, 22).await?, (Kind::Recovering, None));
    assert_eq!(standing(&store, id, 60).await?, (Kind::Stuck, None));
    sweep(&store, &RescuePolicy::default(), at(61)).await?;
    register(&store, "worker-00000002", at(61)).await?;
    assert_eq!(standing(&store, id, 62).await?, (Kind::Recovering, None), "until somebody takes it");
    Ok(())
}

pub async fn a_list_by_state_finds_what_is_so_and_nothing_else(store: Arc<dyn Store>) -> Result<()> {
    let now = Now::Database;
    // Long ago: its worker's lease ended before anything else began.
    let lost = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    let stuck = enqueue(&store, in_queue("default"), at(0)).await?;
    claim_one(&store, &lost, at(0)).await?;
    let (worker, well) = running_job(&store, "worker-00000002", now).await?;
    enqueue(&store, job("email"), now).await?;
    let again = claim_one(&store, &worker, now).await?;
    settle_one(&store, &worker, &again, failure("boom"), now).await?;
    let ready = enqueue(&store, in_queue("mail"), now).await?;
    let hour = RunAt::After(Duration::from_secs(3600));
    let scheduled = enqueue(&store, NewJob { when: hour, ..in_queue("mail") }, now).await?;
    for ended in [Status::Succeeded, Status::Dead] {
        ended_job(&store, ended, job("other"), at(100)).await?;
    }
    for (state, wanted) in [
        (JobState::Ready, vec![ready]),
        (JobState::Scheduled, vec![scheduled, again.id]),
        (JobState::Retrying, vec![again.id]),
        (JobState::Stuck, vec![stuck]),
    ] {
        let filter = JobFilter { state: Some(state), ..all() };
        assert_eq!(listed(&store, filter.clone()).await?, wanted, "{state}");
        let nobodys = JobFilter { tenant_id: Some("nobody".to_owned()), ..filter.clone() };
        assert_eq!(listed(&store, nobodys).await?, [], "{state}");
        let other = JobFilter { statuses: vec![Status::Succeeded], ..filter.clone() };
        assert_eq!(listed(&store, other).await?, [], "{state} and succeeded");
        let one = store.job_page(&JobFilter { limit: 1, ..filter.clone() }).await?;
        let rest = store.job_page(&JobFilter { before: one.next, ..filter }).await?;
        let paged: Vec<JobId> = one.jobs.iter().chain(&rest.jobs).map(|job| job.id).collect();
        assert_eq!(
            paged,
            if one.next.is_some() { wanted.clone() } else { [&wanted[..], &wanted[..]].concat() },
            "{state}"
        );
        for id in wanted {
            let facts = store.job_facts(id, now).await?.expect("the job exists");
            let kind = assess(&facts, &Rules::default()).kind;
            let agrees = match state {
                JobState::Stuck => matches!(kind, Kind::Stuck | Kind::Recovering),
                _ => kind == Kind::Waiting,
            };
            assert!(agrees, "{state}: explain says {kind:?}");
        }
    }
    let by_queue = JobFilter { state: Some(JobState::Scheduled), queue: Some("mail".to_owned()), ..all() };
    assert_eq!(listed(&store, by_queue).await?, [scheduled]);
    let quiet = listed(&store, JobFilter { state: Some(JobState::Quiet), ..all() }).await?;
    assert!(!quiet.contains(&well.id), "{quiet:?}");
    Ok(())
}

pub async fn every_end_is_told_apart(store: Arc<dyn Store>) -> Result<()> {
    let ends = [
        (Status::Succeeded, Kind::Finished),
        (Status::Failed, Kind::Finished),
        (Status::Dead, Kind::Dead),
        (Status::Canceled, Kind::Canceled),
    ];
    for (status, kind) in ends {
        let id = ended_job(&store, status, job("email"), at(0)).await?;
        assert_eq!(standing(&store, id, 9).await?, (kind, None));
    }
    Ok(())
}

pub async fn a_snoozed_and_a_retried_job_wait_for_their_time(store: Arc<dyn Store>) -> Result<()> {
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    settle_one(&store, &worker, &held, Outcome::Snoozed { delay: s(60) }, at(1)).await?;
    assert_eq!(standing(&store, held.id, 2).await?, (Kind::Waiting, Some(WaitingFor::Time)));
    let failed = ended_job(&store, Status::Failed, job("other"), at(2)).await?;
    store.move_jobs(&[failed], Move::Retry { delay: Duration::from_secs(30) }, &by(), at(3)).await?;
    assert_eq!(standing(&store, failed, 4).await?, (Kind::Waiting, Some(WaitingFor::Time)));
    Ok(())
}

pub async fn a_job_lives_its_life_on_the_databases_own_clock(store: Arc<dyn Store>) -> Result<()> {
    let now = Now::Database;
    let before = store.now().await?;
    let (worker, held) = running_job(&store, "worker-00000001", now).await?;
    assert!(store.renew(&worker, false, None, now).await?.is_some());
    assert_eq!(heartbeat_one(&store, &worker, beat(&held), now).await?, BeatReply::Kept);
    assert!(sweep(&store, &RescuePolicy::default(), now).await?.moved.is_empty());
    assert_eq!(settle_one(&store, &worker, &held, failure("boom"), now).await?, Settled::Applied);
    store.move_jobs(&[held.id], Move::Retry { delay: Duration::ZERO }, &by(), now).await?;
    let again = claim_one(&store, &worker, now).await?;
    assert_eq!(settle_one(&store, &worker, &again, success(), now).await?, Settled::Applied);
    let stored = store.job(held.id).await?.expect("the job exists");
    let after = store.now().await?;
    for moment in [Some(stored.created_at), stored.started_at, stored.finished_at] {
        assert!(
            moment.is_some_and(|moment| (before..=after).contains(&moment)),
            "{moment:?} of {before} to {after}"
        );
    }
    Ok(())
}

pub async fn the_stores_own_clock_goes_forward(store: Arc<dyn Store>) -> Result<()> {
    let first = store.now().await?;
    assert!(store.now().await? >= first);
    assert!(first > moment(0) - jiff::SignedDuration::from_hours(24 * 365), "{first} is no present time");
    Ok(())
}

pub async fn the_schema_is_complete_and_migrating_again_does_nothing(store: Arc<dyn Store>) -> Result<()> {
    store.verify_schema().await?;
    let known = store.migrations().await?;
    assert!(!known.is_empty() && known.iter().all(|step| step.applied_at.is_some()));
    assert!(store.migrate().await?.is_empty());
    let capabilities = store.capabilities();
    assert!(!capabilities.engine.is_empty() && !store.location().is_empty());
    Ok(())
}

/// Every combination of filters finds exactly what a person would who looks at every job, page by page.
pub async fn lists_find_what_a_look_at_every_job_finds(store: Arc<dyn Store>) -> Result<()> {
    let mut made = Vec::new();
    for number in 0..60_usize {
        let new = NewJob {
            tenant_id: format!("tenant-{}", number % 3),
            queue: format!("queue-{}", number % 4),
            tags: if number % 5 == 0 { vec!["red".to_owned(), "old".to_owned()] } else { Vec::new() },
            ..job(if number % 2 == 0 { "email" } else { "invoice" })
        };
        made.push(enqueue(&store, new, at(number as i64)).await?);
    }
    let ends: Vec<JobId> = made.iter().copied().step_by(7).collect();
    store.move_jobs(&ends, Move::Cancel, &by(), at(100)).await?;
    store.move_jobs(&made[..3], Move::Delete, &by(), at(101)).await?;
    let every = store.jobs(&all()).await?;
    assert_eq!(every.len(), 57);
    let some = |text: &str| Some(text.to_owned());
    for tenant_id in [None, some("tenant-1"), some("nobody")] {
        for job_type in [None, some("email")] {
            for queue in [None, some("queue-2")] {
                for tag in [None, some("red"), some("blue")] {
                    for statuses in [
                        vec![],
                        vec![Status::Canceled],
                        vec![Status::Queued, Status::Canceled],
                        vec![Status::Succeeded],
                    ] {
                        let filter = JobFilter {
                            tenant_id: tenant_id.clone(),
                            job_type: job_type.clone(),
                            queue: queue.clone(),
                            tag: tag.clone(),
                            statuses,
                            ..all()
                        };
                        let fits = |job: &&Job| {
                            filter.tenant_id.as_ref().is_none_or(|wanted| *wanted == job.tenant_id)
                                && filter.job_type.as_ref().is_none_or(|wanted| *wanted == job.job_type)
                                && filter.queue.as_ref().is_none_or(|wanted| *wanted == job.queue)
                                && filter.tag.as_ref().is_none_or(|wanted| job.tags.contains(wanted))
                                && (filter.statuses.is_empty() || filter.statuses.contains(&job.status))
                        };
                        let wanted: Vec<JobId> = every.iter().filter(fits).map(|job| job.id).collect();
                        assert_eq!(listed(&store, filter.clone()).await?, wanted, "{filter:?}");
                        let mut paged = Vec::new();
                        let mut page = JobFilter { limit: 4, ..filter.clone() };
                        loop {
                            let found = store.job_page(&page).await?;
                            assert!(found.jobs.len() <= 4 && !found.stopped_early, "{page:?}");
                            paged.extend(found.jobs.iter().map(|job| job.id));
                            let Some(next) = found.next else { break };
                            page.before = Some(next);
                        }
                        assert_eq!(paged, wanted, "page by page: {filter:?}");
                    }
                }
            }
        }
    }
    Ok(())
}

/// A page that looked at thousands of jobs in vain says where to go on, and going on finds the job.
pub async fn a_search_in_vain_stops_early_and_goes_on_where_it_stopped(store: Arc<dyn Store>) -> Result<()> {
    let (_, held) = running_job(&store, "worker-00000001", at(0)).await?;
    settle_one(&store, &WorkerId("worker-00000001".to_owned()), &held, success(), at(1)).await?;
    for _ in 0..5 {
        let batch: Vec<NewJob> = (0..1000).map(|_| job("email")).collect();
        store.enqueue(&batch, at(2)).await?;
    }
    let filter = JobFilter { statuses: vec![Status::Succeeded], limit: 10, ..JobFilter::default() };
    let first = store.job_page(&filter).await?;
    assert!(first.jobs.is_empty() && first.stopped_early);
    let second = store.job_page(&JobFilter { before: first.next, ..filter.clone() }).await?;
    assert_eq!(second.jobs.len(), 1);
    assert!(second.next.is_none() && !second.stopped_early);
    assert_eq!(listed(&store, filter).await?, [held.id], "who does not want pages gets all");
    Ok(())
}
