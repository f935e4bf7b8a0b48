//! Silences of running jobs: which are kept, where, and how they are found again.

use std::sync::Arc;

use anyhow::Result;
use jobforge_core::claim::ClaimAsk;
use jobforge_core::heartbeat::{Beat, BeatReply, Heard, MAX_GAPS};
use jobforge_core::job::{ClaimedJob, JobId, Lease, WorkerId};
use jobforge_core::payload::Payload;
use jobforge_core::rescue::RescuePolicy;
use jobforge_core::settle::{Outcome, Settled};
use jobforge_store::Store;
use jobforge_store::rows::Move;

use crate::fixtures::{
    asking, at, beat, by, claim_as, claim_one, detail, enqueue, failure, heartbeat_one, job, moment, read,
    register, running_job, s, settle_one, success, sweep,
};

/// How long silences were, and when they ended, in seconds.
fn gaps(heard: &Heard) -> Vec<(u64, i64)> {
    heard
        .gaps
        .iter()
        .map(|silence| (silence.ms / 1000, silence.ended_at.as_second() - moment(0).as_second()))
        .collect()
}

async fn beats(store: &Arc<dyn Store>, worker: &WorkerId, job: &ClaimedJob, seconds: &[i64]) -> Result<()> {
    for second in seconds {
        anyhow::ensure!(heartbeat_one(store, worker, beat(job), at(*second)).await? == BeatReply::Kept);
    }
    Ok(())
}

pub async fn a_long_silence_is_kept_and_a_punctual_heartbeat_is_only_counted(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (worker, job) = running_job(&store, "worker-00000001", at(0)).await?;
    // The worker means to beat every 30 s; twice that is not too long yet.
    beats(&store, &worker, &job, &[30, 91, 151]).await?;
    let heard = read(&store, job.id).await?.heard;
    assert_eq!((heard.beats, heard.interval), (3, Some(s(30))));
    assert_eq!(gaps(&heard), [(61, 91)]);
    assert_eq!(heard.gaps[0].interval_ms, Some(30_000));
    // What counts is the interval that was meant when the silence began.
    let slow = Beat { interval: Some(s(60)), ..beat(&job) };
    heartbeat_one(&store, &worker, slow.clone(), at(180)).await?;
    heartbeat_one(&store, &worker, slow, at(280)).await?;
    heartbeat_one(&store, &worker, beat(&job), at(401)).await?;
    let heard = read(&store, job.id).await?.heard;
    assert_eq!((gaps(&heard), heard.gaps[1].interval_ms), (vec![(61, 91), (121, 401)], Some(60_000)));
    Ok(())
}

pub async fn of_many_silences_the_longest_are_kept(store: Arc<dyn Store>) -> Result<()> {
    let (worker, job) = running_job(&store, "worker-00000001", at(0)).await?;
    let mut now = 0;
    let mut all = Vec::new();
    for lasted in [200, 61].into_iter().chain(70..90) {
        now += i64::try_from(lasted)?;
        beats(&store, &worker, &job, &[now]).await?;
        all.push((lasted, now));
    }
    let expected: Vec<(u64, i64)> = all.iter().copied().filter(|(lasted, _)| *lasted >= 75).collect();
    assert_eq!(expected.len(), MAX_GAPS);
    let heard = read(&store, job.id).await?.heard;
    assert_eq!(gaps(&heard), expected);
    assert_eq!(heard.longest().map(|silence| silence.ms), Some(200_000));
    assert_eq!(heard.beats, 22);
    Ok(())
}

pub async fn a_silence_that_the_end_of_the_attempt_breaks_is_kept_with_it(
    store: Arc<dyn Store>,
) -> Result<()> {
    for (worker, outcome) in [
        ("worker-00000001", success()),
        ("worker-00000002", Outcome::Succeeded { result: Some(Payload::empty()) }),
        ("worker-00000003", failure("boom")),
    ] {
        let (worker, job) = running_job(&store, worker, at(0)).await?;
        assert_eq!(settle_one(&store, &worker, &job, outcome.clone(), at(100)).await?, Settled::Applied);
        let told = detail(&store, job.id).await?;
        assert_eq!(told.attempts.len(), 1, "{outcome:?}");
        assert_eq!(gaps(&told.attempts[0].heard), [(100, 100)], "{outcome:?}");
        assert_eq!(told.attempts[0].heartbeat_at, Some(moment(0)), "{outcome:?}");
        store.leave(&worker, "done", at(100)).await?;
    }
    Ok(())
}

pub async fn a_claim_begins_the_record_anew_and_the_attempt_keeps_its_own(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (worker, first) = running_job(&store, "worker-00000001", at(0)).await?;
    beats(&store, &worker, &first, &[30, 100]).await?;
    settle_one(&store, &worker, &first, failure("boom"), at(110)).await?;
    let second = claim_one(&store, &worker, at(160)).await?;
    let told = detail(&store, first.id).await?;
    assert_eq!(told.job.heard, Heard { interval: Some(s(30)), ..Heard::default() });
    let kept = &told.attempts[0];
    assert_eq!((kept.heard.beats, kept.heartbeat_at), (2, Some(moment(100))));
    assert_eq!(gaps(&kept.heard), [(70, 100)]);
    beats(&store, &worker, &second, &[190]).await?;
    settle_one(&store, &worker, &second, success(), at(200)).await?;
    let told = detail(&store, first.id).await?;
    let beats: Vec<u32> = told.attempts.iter().map(|attempt| attempt.heard.beats).collect();
    assert_eq!((beats, gaps(&told.attempts[1].heard)), (vec![2, 1], vec![]));
    Ok(())
}

pub async fn whatever_ends_an_attempt_keeps_what_was_heard_of_it(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    store.enqueue(&[job("a"), job("b"), job("c"), job("d")], at(0)).await?;
    let ask = ClaimAsk { beat_due_in: s(120), ..asking(&worker, "default", 4) };
    let held = claim_as(&store, &ask, at(0)).await?.jobs;
    for job in &held {
        let sign = Beat { due_in: s(120), ..beat(job) };
        heartbeat_one(&store, &worker, sign, at(70)).await?;
    }
    store.move_jobs(&[held[0].id], Move::Cancel, &by(), at(80)).await?;
    store.move_jobs(&[held[1].id], Move::RETRY, &by(), at(80)).await?;
    settle_one(&store, &worker, &held[2], success(), at(80)).await?;
    // A fresh start after a success makes a record of what only the job's row told.
    store.move_jobs(&[held[2].id], Move::RETRY, &by(), at(81)).await?;
    assert_eq!(sweep(&store, &RescuePolicy::default(), at(191)).await?.moved, [held[3].id]);
    for (job, outcome) in held.iter().zip(["canceled", "reset", "succeeded", "lost"]) {
        let kept = detail(&store, job.id).await?.attempts.remove(0);
        assert_eq!(kept.outcome, outcome);
        assert_eq!((kept.heard.beats, kept.heartbeat_at), (1, Some(moment(70))), "{outcome}");
        assert_eq!((kept.heard.interval, gaps(&kept.heard)), (Some(s(30)), vec![(70, 70)]), "{outcome}");
    }
    Ok(())
}

pub async fn a_stale_fence_records_nothing(store: Arc<dyn Store>) -> Result<()> {
    let (worker, first) = running_job(&store, "worker-00000001", at(0)).await?;
    let other = register(&store, "worker-00000002", at(0)).await?;
    settle_one(&store, &worker, &first, failure("boom"), at(1)).await?;
    let second = claim_one(&store, &worker, at(60)).await?;
    let before = detail(&store, first.id).await?;
    let guess = Beat { lease: Lease(second.lease.0 + 1), ..beat(&second) };
    for (who, sign) in [(&worker, beat(&first)), (&other, beat(&second)), (&worker, guess)] {
        assert_ne!(heartbeat_one(&store, who, sign, at(500)).await?, BeatReply::Kept);
    }
    let refused = settle_one(&store, &worker, &first, success(), at(500)).await?;
    assert!(matches!(refused, Settled::Fenced { .. }), "{refused:?}");
    let after = detail(&store, first.id).await?;
    assert_eq!(after.job.heard, before.job.heard);
    assert_eq!(after.attempts[0].heard, before.attempts[0].heard);
    Ok(())
}

pub async fn a_worker_that_does_not_say_how_often_it_beats_leaves_no_gaps(
    store: Arc<dyn Store>,
) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    enqueue(&store, job("email"), at(0)).await?;
    let ask = ClaimAsk { beat_interval: None, ..asking(&worker, "default", 1) };
    let held = claim_as(&store, &ask, at(0)).await?.jobs;
    let sign = Beat { interval: None, ..beat(&held[0]) };
    heartbeat_one(&store, &worker, sign.clone(), at(500)).await?;
    heartbeat_one(&store, &worker, sign, at(900)).await?;
    settle_one(&store, &worker, &held[0], success(), at(2000)).await?;
    assert_eq!(read(&store, held[0].id).await?.heard, Heard { beats: 2, ..Heard::default() });
    Ok(())
}

pub async fn what_a_threshold_bears_on_is_found_and_nothing_else(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    let types = ["once", "twice", "hung", "runs", "silent", "punctual", "quick"];
    let jobs: Vec<_> = types.iter().map(|name| job(name)).collect();
    let ids: Vec<JobId> = store.enqueue(&jobs, at(0)).await?.iter().map(|one| one.id).collect();
    let ask = ClaimAsk { beat_due_in: s(120), ..asking(&worker, "default", 7) };
    let held = claim_as(&store, &ask, at(0)).await?.jobs;
    let of = |name: &str| {
        let place = types.iter().position(|one| *one == name).expect("a type");
        held.iter().find(|job| job.id == ids[place]).expect("claimed")
    };
    let sign = |name: &str| Beat { due_in: s(120), ..beat(of(name)) };
    settle_one(&store, &worker, of("quick"), success(), at(1)).await?;
    for name in ["punctual", "silent"] {
        heartbeat_one(&store, &worker, sign(name), at(30)).await?;
    }
    settle_one(&store, &worker, of("punctual"), failure("boom"), at(40)).await?;
    for name in ["once", "twice", "runs"] {
        heartbeat_one(&store, &worker, sign(name), at(70)).await?;
    }
    settle_one(&store, &worker, of("once"), success(), at(80)).await?;
    settle_one(&store, &worker, of("twice"), failure("boom"), at(90)).await?;
    heartbeat_one(&store, &worker, sign("runs"), at(100)).await?;
    assert_eq!(sweep(&store, &RescuePolicy::default(), at(121)).await?.moved, [of("hung").id]);
    let found = async |since: i64, most: usize| store.silent_attempts(moment(since), most, at(122)).await;
    let record = found(0, 100).await?;
    assert_eq!((record.as_of, record.cut), (moment(122), false));
    let told: Vec<_> =
        record.traces.iter().map(|t| (t.job_type.as_str(), t.outcome.as_str(), t.attempt)).collect();
    let (attempts, rest) = told.split_at(2);
    assert_eq!(attempts, [("hung", "lost", 1), ("twice", "retry", 1)]);
    assert_eq!(rest[0], ("once", "succeeded", 1));
    let mut running = rest[1..].to_vec();
    running.sort_unstable();
    assert_eq!(running, [("runs", "running", 1), ("silent", "running", 1)]);
    let hung = &record.traces[0];
    assert_eq!((hung.cause.as_deref(), hung.refused), (Some(jobforge_core::what_if::LATE), 0));
    assert_eq!((hung.heartbeat_at, hung.finished_at), (Some(moment(0)), Some(moment(121))));
    assert_eq!((hung.heard.interval, hung.worker.as_ref()), (Some(s(30)), Some(&worker)));
    assert_eq!(gaps(&record.traces[1].heard), [(70, 70)]);
    let later: Vec<_> = found(85, 100).await?.traces.iter().map(|trace| trace.outcome.clone()).collect();
    assert_eq!(later, ["lost", "retry", "running", "running"]);
    let few = found(0, 1).await?;
    assert!(few.cut);
    let outcomes: Vec<&str> = few.traces.iter().map(|trace| trace.outcome.as_str()).collect();
    assert_eq!(outcomes, ["lost", "succeeded", "running"]);
    // What came back after it was taken away tells so.
    let refused = settle_one(&store, &worker, of("hung"), success(), at(130)).await?;
    assert!(matches!(refused, Settled::Fenced { .. }), "{refused:?}");
    assert_eq!(found(0, 100).await?.traces[0].refused, 1);
    Ok(())
}
