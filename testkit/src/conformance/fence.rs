//! The fence: an attempt ends once, by the holder of its lease, however often and by whomever the end is sent.

use std::sync::Arc;

use anyhow::Result;
use jobforge_core::heartbeat::{BeatReply, Report};
use jobforge_core::job::{ClaimedJob, Lease, NewJob};
use jobforge_core::rescue::RescuePolicy;
use jobforge_core::settle::{Outcome, Settled, Settlement};
use jobforge_core::standing::Rules;
use jobforge_core::standing::assess;
use jobforge_core::state::Status;
use jobforge_store::Store;
use jobforge_store::rows::Move;

use crate::fixtures::{
    at, attempts, beat, by, claim, claim_one, detail, enqueue, error, failure, heartbeat_one, job, json,
    moment, next, read, register, register_for, running_job, s, settle_one, settlement, success, sweep,
    unknown_job,
};

pub async fn a_settlement_sent_again_is_answered_as_replayed_and_changes_nothing(
    store: Arc<dyn Store>,
) -> Result<()> {
    let outcomes = [
        Outcome::Succeeded { result: Some(json("[1]")) },
        success(),
        failure("boom"),
        Outcome::Failed { error: error("no") },
        Outcome::Snoozed { delay: s(1000) },
        Outcome::Released,
    ];
    let worker = register(&store, "worker-00000001", at(0)).await?;
    for outcome in outcomes {
        let id = enqueue(&store, NewJob { priority: -1, ..job("email") }, at(0)).await?;
        let claimed = claim(&store, &worker, 1, at(0)).await?.remove(0);
        assert_eq!(claimed.id, id);
        let end = settlement(&claimed, outcome.clone());
        assert_eq!(
            store.settle(&worker, std::slice::from_ref(&end), at(7)).await?,
            [Settled::Applied],
            "{outcome:?}"
        );
        let before = format!("{:?}", detail(&store, id).await?);
        assert_eq!(
            store.settle(&worker, &[end.clone(), end], at(9)).await?,
            [Settled::Replayed, Settled::Replayed]
        );
        assert_eq!(format!("{:?}", detail(&store, id).await?), before, "{outcome:?}");
        store.move_jobs(&[id], Move::Delete, &by(), at(10)).await?;
    }
    Ok(())
}

pub async fn a_settlement_twice_in_one_batch_counts_once(store: Arc<dyn Store>) -> Result<()> {
    let (worker, job) = running_job(&store, "worker-00000001", at(0)).await?;
    let end = settlement(&job, failure("boom"));
    let answers = store.settle(&worker, &[end.clone(), end], at(7)).await?;
    assert_eq!(answers, [Settled::Applied, Settled::Replayed]);
    assert_eq!(attempts(&detail(&store, job.id).await?), [(1, 1, "retry", Some("boom"))]);
    Ok(())
}

pub async fn of_two_different_ends_the_first_counts(store: Arc<dyn Store>) -> Result<()> {
    let (worker, job) = running_job(&store, "worker-00000001", at(0)).await?;
    settle_one(&store, &worker, &job, success(), at(7)).await?;
    let answer = settle_one(&store, &worker, &job, failure("late"), at(8)).await?;
    assert_eq!(answer, Settled::Fenced { status: Status::Succeeded, lease: job.lease });
    let stored = read(&store, job.id).await?;
    assert_eq!((stored.status, stored.error, stored.finished_at), (Status::Succeeded, None, Some(moment(7))));
    Ok(())
}

pub async fn of_two_different_ends_in_one_batch_the_first_counts(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    store.enqueue(&[job("a"), job("b")], at(0)).await?;
    let held = claim(&store, &worker, 2, at(0)).await?;
    let no = || Outcome::Failed { error: error("no") };
    let sent = [
        settlement(&held[0], no()),
        settlement(&held[1], success()),
        settlement(&held[0], success()),
        settlement(&held[1], no()),
    ];
    let answers = store.settle(&worker, &sent, at(7)).await?;
    let late = |status, job: &ClaimedJob| Settled::Fenced { status, lease: job.lease };
    let expected = [
        Settled::Applied,
        Settled::Applied,
        late(Status::Failed, &held[0]),
        late(Status::Succeeded, &held[1]),
    ];
    assert_eq!(answers, expected);
    assert_eq!(read(&store, held[0].id).await?.status, Status::Failed);
    assert_eq!(read(&store, held[1].id).await?.status, Status::Succeeded);
    Ok(())
}

pub async fn an_old_lease_in_the_same_batch_does_not_hide_the_present_one(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (worker, first) = running_job(&store, "worker-00000001", at(0)).await?;
    settle_one(&store, &worker, &first, Outcome::Released, at(1)).await?;
    let second = claim_one(&store, &worker, at(2)).await?;
    let sent = [settlement(&first, failure("old")), settlement(&second, failure("present"))];
    let answers = store.settle(&worker, &sent, at(3)).await?;
    // Whether the first line tells where the job stood before or after the second is not promised.
    assert!(matches!(answers[..], [Settled::Fenced { .. }, Settled::Applied]), "got {answers:?}");
    assert_eq!(read(&store, first.id).await?.error.expect("an error").message, "present");
    Ok(())
}

pub async fn a_replay_after_the_next_claim_is_fenced(store: Arc<dyn Store>) -> Result<()> {
    let (worker, first) = running_job(&store, "worker-00000001", at(0)).await?;
    settle_one(&store, &worker, &first, Outcome::Released, at(1)).await?;
    let second = claim_one(&store, &worker, at(2)).await?;
    let answer = settle_one(&store, &worker, &first, success(), at(3)).await?;
    assert_eq!(answer, Settled::Fenced { status: Status::Running, lease: second.lease });
    assert_eq!(read(&store, first.id).await?.status, Status::Running);
    Ok(())
}

pub async fn another_worker_cannot_settle(store: Arc<dyn Store>) -> Result<()> {
    let (worker, job) = running_job(&store, "worker-00000001", at(0)).await?;
    let other = register(&store, "worker-00000002", at(0)).await?;
    let answer = settle_one(&store, &other, &job, success(), at(1)).await?;
    assert_eq!(answer, Settled::Fenced { status: Status::Running, lease: job.lease });
    assert_eq!(settle_one(&store, &worker, &job, success(), at(2)).await?, Settled::Applied);
    let answer = settle_one(&store, &other, &job, success(), at(3)).await?;
    assert_eq!(
        answer,
        Settled::Fenced { status: Status::Succeeded, lease: job.lease },
        "no replay of another's"
    );
    Ok(())
}

pub async fn a_lease_that_was_never_given_settles_nothing(store: Arc<dyn Store>) -> Result<()> {
    let (worker, job) = running_job(&store, "worker-00000001", at(0)).await?;
    for lease in [Lease(0), next(job.lease), Lease(-1), Lease(i64::MAX)] {
        let forged = Settlement { lease, ..settlement(&job, success()) };
        let answer = store.settle(&worker, &[forged], at(1)).await?;
        assert_eq!(answer, [Settled::Fenced { status: Status::Running, lease: job.lease }]);
    }
    assert_eq!(read(&store, job.id).await?.status, Status::Running);
    Ok(())
}

pub async fn a_zombie_cannot_settle_after_rescue(store: Arc<dyn Store>) -> Result<()> {
    enqueue(&store, job("email"), at(0)).await?;
    let zombie = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    let held = claim_one(&store, &zombie, at(0)).await?;
    sweep(&store, &RescuePolicy::default(), at(21)).await?;
    let mut before = detail(&store, held.id).await?;
    let answer = settle_one(&store, &zombie, &held, success(), at(22)).await?;
    assert_eq!(answer, Settled::Fenced { status: Status::Queued, lease: next(held.lease) });
    // That it tried is all that is left of it.
    before.attempts[0].refused = 1;
    assert_eq!(format!("{:?}", detail(&store, held.id).await?), format!("{before:?}"));
    Ok(())
}

pub async fn a_worker_whose_lease_ran_out_may_settle_what_nobody_took(store: Arc<dyn Store>) -> Result<()> {
    enqueue(&store, job("email"), at(0)).await?;
    let late = register_for(&store, "worker-00000001", s(20), at(0)).await?;
    let held = claim_one(&store, &late, at(0)).await?;
    store.expire_workers(u32::MAX, at(21)).await?;
    assert_eq!(settle_one(&store, &late, &held, success(), at(22)).await?, Settled::Applied);
    let report = sweep(&store, &RescuePolicy::default(), at(23)).await?;
    assert!(report.moved.is_empty() && report.lost_races.is_empty());
    Ok(())
}

pub async fn a_canceled_or_deleted_job_cannot_be_settled(store: Arc<dyn Store>) -> Result<()> {
    let (worker, job) = running_job(&store, "worker-00000001", at(0)).await?;
    store.move_jobs(&[job.id], Move::Cancel, &by(), at(1)).await?;
    match settle_one(&store, &worker, &job, success(), at(2)).await? {
        Settled::Fenced { status: Status::Canceled, lease } => assert!(lease > job.lease),
        other => panic!("expected fenced, got {other:?}"),
    }
    assert_eq!(read(&store, job.id).await?.finished_at, Some(moment(1)));
    store.move_jobs(&[job.id], Move::Delete, &by(), at(3)).await?;
    assert_eq!(settle_one(&store, &worker, &job, success(), at(4)).await?, Settled::Gone);
    let never = Settlement { id: unknown_job(), ..settlement(&job, success()) };
    assert_eq!(store.settle(&worker, &[never], at(4)).await?, [Settled::Gone]);
    Ok(())
}

pub async fn what_comes_too_late_is_counted_with_the_attempt_that_was_taken(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    store.move_jobs(&[held.id], Move::Cancel, &by(), at(5)).await?;
    for second in [6, 7] {
        let fenced = Settled::Fenced { status: Status::Canceled, lease: next(held.lease) };
        assert_eq!(settle_one(&store, &worker, &held, success(), at(second)).await?, fenced);
    }
    let told = detail(&store, held.id).await?;
    assert_eq!((told.attempts[0].outcome.as_str(), told.attempts[0].refused), ("canceled", 2));
    assert_eq!(told.job.status, Status::Canceled);
    let other = register(&store, "worker-00000002", at(8)).await?;
    settle_one(&store, &other, &held, success(), at(8)).await?;
    assert_eq!(detail(&store, held.id).await?.attempts[0].refused, 2, "it was not theirs to report");
    Ok(())
}

pub async fn a_handler_that_ignores_cancel_is_told_of(store: Arc<dyn Store>) -> Result<()> {
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    let mut ignoring = beat(&held);
    ignoring.report = Report { ignores_stop: true, ..Report::default() };
    heartbeat_one(&store, &worker, ignoring.clone(), at(4)).await?;
    store.move_jobs(&[held.id], Move::Cancel, &by(), at(5)).await?;
    let facts = store.job_facts(held.id, at(6)).await?.expect("the job is there");
    let headline = |facts| assess(facts, &Rules::default()).headline;
    assert_eq!(headline(&facts), "was canceled 1000 ms ago", "while it was its own, nothing was ignored");
    for second in [12, 20] {
        assert_eq!(heartbeat_one(&store, &worker, ignoring.clone(), at(second)).await?, BeatReply::Canceled);
    }
    assert_eq!(detail(&store, held.id).await?.attempts[0].stop_ignored_at, Some(moment(12)));
    let facts = store.job_facts(held.id, at(21)).await?.expect("the job is there");
    assert_eq!(headline(&facts), "was canceled 16 s ago; its handler is ignoring cancel");
    Ok(())
}
