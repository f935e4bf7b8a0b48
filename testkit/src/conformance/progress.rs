//! What is kept of the reports of running jobs: enough to draw their course, and no more than was promised.

use std::sync::Arc;

use anyhow::Result;
use jobforge_core::heartbeat::{BeatReply, Report};
use jobforge_core::job::{ClaimedJob, JobId, Lease};
use jobforge_core::payload::sanitize_text;
use jobforge_core::progress::{KEPT_FENCES, MAX_POINTS, Noted, ProgressPoint, note};
use jobforge_core::settle::{Outcome, Settled};
use jobforge_core::time::Now;
use jobforge_store::Store;
use jobforge_store::rows::Move;

use crate::fixtures::{
    at, beat_with, by, claim_one, detail, failure, heartbeat_one, moment, register, reported, running_job, s,
    settle_one, success,
};
use crate::history::Random;

fn says(percent: u8, phase: &str, message: &str) -> Report {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let (phase, message) = (text(phase), text(message));
    Report { progress: Some(percent), phase, message, changed: true, ..Report::default() }
}

/// The points of each attempt as people read them, with the second of each.
async fn told(store: &Arc<dyn Store>, id: JobId) -> Result<Vec<Vec<(i64, String)>>> {
    let second = |point: &ProgressPoint| (point.at.as_second() - moment(0).as_second(), point.told());
    let attempts = detail(store, id).await?.attempts;
    Ok(attempts.iter().map(|attempt| attempt.progress.iter().map(second).collect()).collect())
}

/// What the parts of a test expect.
fn points(expected: &[(i64, &str)]) -> Vec<(i64, String)> {
    expected.iter().map(|(second, text)| (*second, (*text).to_owned())).collect()
}

pub async fn what_a_handler_reports_is_kept_as_points_and_nothing_is_kept_twice(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (worker, job) = running_job(&store, "worker-00000001", at(0)).await?;
    assert_eq!(told(&store, job.id).await?, [vec![]]);
    let news = Report { progress: Some(30), ..Report::default() };
    let no_news = Report { log_tail: Some("line".to_owned()), log_changed: true, ..Report::default() };
    let reports = [
        (1, says(10, "fetch", "page 1")),
        (2, no_news),
        (3, says(10, "", "")),
        (4, news),
        (5, says(30, "render\0", "page \0 2")),
    ];
    for (second, report) in reports {
        let sign = beat_with(&job, report);
        assert_eq!(heartbeat_one(&store, &worker, sign, at(second)).await?, BeatReply::Kept);
    }
    let (phase, message) = (sanitize_text("render\0"), sanitize_text("page \0 2"));
    let last = format!("{phase} 30 %: {message}");
    let expected = [(1, "fetch 10 %: page 1"), (4, "fetch 30 %: page 1"), (5, last.as_str())];
    assert_eq!(told(&store, job.id).await?, [points(&expected)]);
    Ok(())
}

pub async fn the_last_report_is_a_point_however_the_attempt_ends(store: Arc<dyn Store>) -> Result<()> {
    for (worker, outcome) in [
        ("worker-00000001", success()),
        ("worker-00000002", Outcome::Failed { error: crate::fixtures::error("boom") }),
    ] {
        let (worker, job) = running_job(&store, worker, at(0)).await?;
        heartbeat_one(&store, &worker, beat_with(&job, says(10, "fetch", "")), at(1)).await?;
        let end = reported(&job, outcome, says(100, "", "done"));
        assert_eq!(store.settle(&worker, std::slice::from_ref(&end), at(2)).await?, [Settled::Applied]);
        // The answer was lost.
        assert_eq!(store.settle(&worker, &[end], at(3)).await?, [Settled::Replayed]);
        assert_eq!(told(&store, job.id).await?, [points(&[(1, "fetch 10 %"), (2, "fetch 100 %: done")])]);
        store.leave(&worker, "done", at(4)).await?;
    }
    Ok(())
}

pub async fn each_attempt_has_points_of_its_own_whatever_ended_it(store: Arc<dyn Store>) -> Result<()> {
    let (worker, first) = running_job(&store, "worker-00000001", at(0)).await?;
    heartbeat_one(&store, &worker, beat_with(&first, says(10, "fetch", "")), at(1)).await?;
    settle_one(&store, &worker, &first, failure("boom"), at(2)).await?;
    let second = claim_one(&store, &worker, at(60)).await?;
    heartbeat_one(&store, &worker, beat_with(&second, says(10, "", "again")), at(61)).await?;
    // Whoever has lost the job says nothing of it any more.
    assert_ne!(
        heartbeat_one(&store, &worker, beat_with(&first, says(99, "", "")), at(62)).await?,
        BeatReply::Kept
    );
    store.move_jobs(&[first.id], Move::Cancel, &by(), at(70)).await?;
    let refused = store.settle(&worker, &[reported(&second, success(), says(100, "", ""))], at(71)).await?;
    assert!(matches!(refused[..], [Settled::Fenced { .. }]), "{refused:?}");
    store.move_jobs(&[first.id], Move::RETRY, &by(), at(80)).await?;
    let third = claim_one(&store, &worker, at(81)).await?;
    heartbeat_one(&store, &worker, beat_with(&third, says(5, "", "")), at(82)).await?;
    settle_one(&store, &worker, &third, success(), at(83)).await?;
    let expected = [[(1, "fetch 10 %")], [(61, "10 %: again")], [(82, "5 %")]];
    assert_eq!(told(&store, first.id).await?, expected.map(|one| points(&one)));
    Ok(())
}

/// Reports by chance, with the moments of a job that sometimes hurries and sometimes sleeps.
async fn a_life(store: &Arc<dyn Store>, seed: u64, phases: u64) -> Result<()> {
    let mut random = Random::new(seed);
    let (worker, job) = running_job(store, &format!("worker-{seed:08x}"), at(0)).await?;
    let (mut kept, mut now): (Vec<ProgressPoint>, _) = (Vec::new(), moment(0));
    for step in 0..250_u64 {
        let pause = if random.percent(10) { 600_000 } else { 3000 };
        now += jiff::SignedDuration::from_micros(i64::try_from(random.below(pause) * 1000 + step % 7)?);
        let report = Report {
            progress: random.percent(80).then(|| u8::try_from(random.below(101)).unwrap_or(100)),
            phase: random.percent(phases).then(|| format!("phase {}", random.below(5))),
            message: random.percent(30).then(|| format!("{}é", "x".repeat(190 + random.below(30) as usize))),
            ..Report::default()
        };
        heartbeat_one(store, &worker, beat_with(&job, report.clone()), Now::Fixed(now)).await?;
        if let Some(Noted { point, gives_way }) = note(&kept, &report, now) {
            kept.push(point);
            gives_way.map(|place| kept.remove(place));
        }
    }
    assert_eq!(kept.len(), MAX_POINTS, "seed {seed}");
    assert_eq!(detail(store, job.id).await?.attempts[0].progress, kept, "seed {seed}");
    store.leave(&worker, "done", Now::Fixed(now)).await?;
    Ok(())
}

pub async fn of_many_reports_the_store_keeps_what_the_core_keeps(store: Arc<dyn Store>) -> Result<()> {
    for (seed, phases) in [(1, 0), (2, 5), (3, 60)] {
        a_life(&store, seed, phases).await?;
    }
    Ok(())
}

pub async fn reports_of_several_jobs_in_one_call_are_kept_apart(store: Arc<dyn Store>) -> Result<()> {
    let worker = register(&store, "worker-00000001", at(0)).await?;
    store.enqueue(&[crate::fixtures::job("a"), crate::fixtures::job("b")], at(0)).await?;
    let held = crate::fixtures::claim(&store, &worker, 2, at(0)).await?;
    for round in 1..=70_u8 {
        let sign = |job: &ClaimedJob, percent: u8| beat_with(job, says(percent, "", ""));
        let beats = [sign(&held[0], round), sign(&held[1], 100 - round)];
        store.heartbeat(&worker, &beats, at(round.into())).await?;
    }
    for (job, end) in held.iter().zip(["70 %", "30 %"]) {
        let points = told(&store, job.id).await?.remove(0);
        assert_eq!((points.len(), points.last()), (MAX_POINTS, Some(&(70, end.to_owned()))));
    }
    Ok(())
}

pub async fn a_job_that_snoozes_for_ever_keeps_the_points_of_its_newest_fences(
    store: Arc<dyn Store>,
) -> Result<()> {
    let (worker, mut job) = running_job(&store, "worker-00000001", at(0)).await?;
    let (first, mut now) = (job.id, 0);
    for _ in 0..KEPT_FENCES {
        heartbeat_one(&store, &worker, beat_with(&job, says(50, "", "")), at(now + 1)).await?;
        settle_one(&store, &worker, &job, failure("boom"), at(now + 2)).await?;
        store.move_jobs(&[first], Move::RETRY, &by(), at(now + 3)).await?;
        job = claim_one(&store, &worker, at(now + 4)).await?;
        now += 10;
    }
    heartbeat_one(&store, &worker, beat_with(&job, says(50, "", "")), at(now + 1)).await?;
    let kept: Vec<Lease> = detail(&store, first)
        .await?
        .attempts
        .iter()
        .filter(|attempt| !attempt.progress.is_empty())
        .map(|attempt| attempt.lease)
        .collect();
    assert!(kept.iter().all(|lease| lease.0 > job.lease.0 - KEPT_FENCES), "{kept:?} of {}", job.lease);
    assert_eq!(kept.last(), Some(&job.lease));
    let pause = Outcome::Snoozed { delay: s(1) };
    settle_one(&store, &worker, &job, pause, at(now + 2)).await?;
    let again = claim_one(&store, &worker, at(now + 9)).await?;
    heartbeat_one(&store, &worker, beat_with(&again, says(51, "", "")), at(now + 10)).await?;
    let newest = told(&store, first).await?.pop();
    assert_eq!(newest, Some(points(&[(now + 10, "51 %")])), "what snoozed is no attempt");
    Ok(())
}
