//! What becomes of the moments of schedules.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jobforge_core::job::JobId;
use jobforge_core::schedule::{
    Definition, HISTORY_KEPT, Missed, Overlap, RunLine, RunOutcome, ScheduleState, ScheduleView,
    TAKEN_OVER_AFTER,
};
use jobforge_core::settle::Outcome;
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use jobforge_store::Store;
use jobforge_store::rows::{Fired, JobFilter, Move, RanSchedule};

use super::schedules::{ada, add, each_minute, get};
use crate::fixtures::{at, claim_one, error, failure, moment, register_for, settle_one, success};

async fn fire(store: &Arc<dyn Store>, now: Now) -> Result<Fired> {
    Ok(store.fire_schedules(Duration::ZERO, 100, now).await?)
}

async fn history(store: &Arc<dyn Store>, name: &str) -> Result<Vec<RunLine>> {
    let mut lines = store.schedule_runs(name, None, 1000).await?;
    lines.reverse();
    Ok(lines)
}

/// What became of each moment, in order, as second and word.
async fn story(store: &Arc<dyn Store>, name: &str) -> Result<Vec<(i64, RunOutcome)>> {
    let second = |line: &RunLine| line.planned_for.duration_since(moment(0)).as_secs();
    Ok(history(store, name).await?.iter().map(|line| (second(line), line.outcome)).collect())
}

async fn jobs(store: &Arc<dyn Store>) -> Result<usize> {
    Ok(store.jobs(&JobFilter { limit: 1000, ..JobFilter::default() }).await?.len())
}

fn job_of(fired: &Fired) -> Result<JobId> {
    fired.lines.first().and_then(|line| line.job_id).context("a job was made")
}

/// Ends a job by hand, as a worker would.
async fn end(store: &Arc<dyn Store>, id: JobId, now: Now) -> Result<()> {
    store.move_jobs(&[id], Move::Cancel, &ada(), now).await?;
    Ok(())
}

pub async fn a_due_schedule_makes_its_job_in_the_same_step_and_moves_on(store: Arc<dyn Store>) -> Result<()> {
    let definition = Definition { queue: Some("mail".to_owned()), priority: Some(4), ..each_minute("one") };
    add(&store, definition, at(10)).await?;
    let early = fire(&store, at(59)).await?;
    assert_eq!((early.lines.len(), early.next_due), (0, Some(moment(60))));
    let fired = fire(&store, at(61)).await?;
    assert_eq!((fired.as_of, fired.next_due), (moment(61), Some(moment(120))));
    let job = store.job(job_of(&fired)?).await?.context("the job")?;
    assert_eq!((job.job_type.as_str(), job.queue.as_str(), job.priority), ("refresh", "mail", 4));
    assert_eq!((job.status, job.created_by.as_deref()), (Status::Queued, Some("schedule:one")));
    assert_eq!((job.run_at, job.created_at), (moment(61), moment(61)));
    let lines = history(&store, "one").await?;
    let [line] = &lines[..] else { bail!("{lines:?}") };
    assert_eq!((line.planned_for, line.outcome, line.why.as_ref()), (moment(60), RunOutcome::Ran, None));
    assert_eq!((line.recorded_at, line.job_id, line.finished_at), (moment(61), Some(job.id), None));
    let kept = get(&store, "one").await?;
    assert_eq!((kept.next_at, kept.last_planned_for), (Some(moment(120)), Some(moment(60))));
    assert_eq!((kept.last_fired_at, kept.last_job_id), (Some(moment(61)), Some(job.id)));
    assert!(fire(&store, at(61)).await?.lines.is_empty());
    Ok(())
}

pub async fn a_job_of_a_schedule_is_counted_under_the_schedules_name(store: Arc<dyn Store>) -> Result<()> {
    add(&store, each_minute("one"), at(0)).await?;
    fire(&store, at(60)).await?;
    let worker = register_for(&store, "worker-00000001", Duration::from_secs(60), at(61)).await?;
    let held = claim_one(&store, &worker, at(61)).await?;
    settle_one(&store, &worker, &held, success(), at(62)).await?;
    assert_eq!(store.gauges(at(63)).await?.successes, [("one".to_owned(), moment(62))]);
    Ok(())
}

pub async fn each_moment_fires_once_however_many_fire_at_once(store: Arc<dyn Store>) -> Result<()> {
    const SCHEDULES: usize = 30;
    for number in 0..SCHEDULES {
        add(&store, each_minute(&format!("s{number}")), at(0)).await?;
    }
    for minute in 1..=3 {
        let now = at(minute * 60);
        let firing: Vec<_> = (0..6)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.fire_schedules(Duration::ZERO, 7, now).await })
            })
            .collect();
        for one in firing {
            one.await??;
        }
        while !fire(&store, now).await?.lines.is_empty() {}
    }
    for number in 0..SCHEDULES {
        let name = format!("s{number}");
        let lines = story(&store, &name).await?;
        // The job of the first minute has not ended, so the others are skipped.
        let expected = [(60, RunOutcome::Ran), (120, RunOutcome::Skipped), (180, RunOutcome::Skipped)];
        assert_eq!(lines, expected, "{name}");
    }
    assert_eq!(jobs(&store).await?, SCHEDULES);
    Ok(())
}

pub async fn a_moment_that_has_its_line_never_fires_again_after_the_clock_was_set_back(
    store: Arc<dyn Store>,
) -> Result<()> {
    add(&store, Definition { overlap: Overlap::Allow, ..each_minute("one") }, at(0)).await?;
    for minute in 1..=3 {
        fire(&store, at(minute * 60)).await?;
    }
    // The clock goes back by two minutes.
    assert_eq!(store.rearm_schedules(at(70)).await?, 1);
    assert_eq!(store.rearm_schedules(at(70)).await?, 0);
    assert_eq!(get(&store, "one").await?.next_at, Some(moment(120)));
    for minute in 2..=4 {
        fire(&store, at(minute * 60)).await?;
    }
    let ran = RunOutcome::Ran;
    assert_eq!(story(&store, "one").await?, [(60, ran), (120, ran), (180, ran), (240, ran)]);
    assert_eq!(jobs(&store).await?, 4);
    Ok(())
}

pub async fn after_an_outage_the_policy_decides_and_every_moment_is_told_of(
    store: Arc<dyn Store>,
) -> Result<()> {
    let with = |name: &str, missed| Definition {
        overlap: Overlap::Allow,
        missed,
        missed_limit: (missed == Missed::All).then_some(2),
        ..each_minute(name)
    };
    add(&store, with("skip", Missed::Skip), at(0)).await?;
    add(&store, with("once", Missed::Once), at(0)).await?;
    add(&store, with("all", Missed::All), at(0)).await?;
    let window = Definition { catch_up_ms: Some(90_000), ..with("window", Missed::All) };
    add(&store, window, at(0)).await?;
    // From 60 to 300, and 300 is fresh at 301.
    fire(&store, at(301)).await?;
    use RunOutcome::{Late, Ran};
    assert_eq!(story(&store, "skip").await?, [(60, RunOutcome::Missed), (300, Ran)]);
    assert_eq!(story(&store, "once").await?, [(60, RunOutcome::Missed), (300, Ran)]);
    assert_eq!(story(&store, "all").await?, [(60, RunOutcome::Missed), (180, Late), (240, Late), (300, Ran)]);
    assert_eq!(story(&store, "window").await?, [(60, RunOutcome::Missed), (240, Late), (300, Ran)]);
    let first = history(&store, "once").await?.swap_remove(0);
    assert_eq!((first.ticks, first.planned_until), (4, Some(moment(240))));
    assert!(first.why.context("why")?.contains("stands for it"));
    assert_eq!(get(&store, "once").await?.missed_runs, 4);
    assert_eq!(get(&store, "all").await?.missed_runs, 2);
    // A daily schedule that was missed for hours runs once.
    let daily = Definition { every: Some("1d".to_owned()), ..each_minute("daily") };
    add(&store, daily, at(400)).await?;
    let next = get(&store, "daily").await?.next_at.context("next")?;
    let hours_later = Now::Fixed(next + Duration::from_secs(5 * 3600));
    store.fire_schedules(Duration::ZERO, 100, hours_later).await?;
    let lines = history(&store, "daily").await?;
    assert_eq!((lines.len(), lines[0].outcome), (1, Late));
    assert!(lines[0].why.as_ref().is_some_and(|why| why.contains("5 h")), "{lines:?}");
    Ok(())
}

pub async fn a_moment_is_skipped_while_the_job_before_has_not_ended_and_says_which(
    store: Arc<dyn Store>,
) -> Result<()> {
    add(&store, each_minute("one"), at(0)).await?;
    let first = job_of(&fire(&store, at(60)).await?)?;
    fire(&store, at(120)).await?;
    let why = history(&store, "one").await?[1].why.clone().context("why")?;
    assert!(why.contains(&first.to_string()) && why.contains("still waits"), "{why}");
    end(&store, first, at(130)).await?;
    fire(&store, at(180)).await?;
    use RunOutcome::{Ran, Skipped};
    assert_eq!(story(&store, "one").await?, [(60, Ran), (120, Skipped), (180, Ran)]);
    assert_eq!(jobs(&store).await?, 2);
    Ok(())
}

pub async fn a_queued_moment_waits_for_the_end_of_the_job_before(store: Arc<dyn Store>) -> Result<()> {
    add(&store, Definition { overlap: Overlap::Queue, ..each_minute("one") }, at(0)).await?;
    let first = job_of(&fire(&store, at(60)).await?)?;
    for second in 120..126 {
        let waiting = fire(&store, at(second)).await?;
        assert!(waiting.lines.is_empty(), "{waiting:?}");
        assert!(waiting.next_due > Some(moment(second)), "it is not asked for without a pause");
    }
    fire(&store, at(200)).await?;
    assert_eq!(get(&store, "one").await?.next_at, Some(moment(120)), "it waits");
    end(&store, first, at(205)).await?;
    fire(&store, at(210)).await?;
    use RunOutcome::{Late, Ran, Skipped};
    assert_eq!(story(&store, "one").await?, [(60, Ran), (120, Late), (180, Skipped)]);
    assert_eq!((jobs(&store).await?, get(&store, "one").await?.missed_runs), (2, 0));
    Ok(())
}

pub async fn the_old_job_is_canceled_where_the_policy_says_so(store: Arc<dyn Store>) -> Result<()> {
    add(&store, Definition { overlap: Overlap::CancelOld, ..each_minute("one") }, at(0)).await?;
    let first = job_of(&fire(&store, at(60)).await?)?;
    let second = job_of(&fire(&store, at(120)).await?)?;
    let status = async |id| -> Result<Status> { Ok(store.job(id).await?.context("job")?.status) };
    assert_eq!((status(first).await?, status(second).await?), (Status::Canceled, Status::Queued));
    store.end_schedule_runs(at(121)).await?;
    let lines = history(&store, "one").await?;
    assert_eq!((lines[0].status, lines[1].status), (Some(Status::Canceled), None));
    Ok(())
}

pub async fn a_paused_schedule_skips_its_moments_until_its_pause_is_over(
    store: Arc<dyn Store>,
) -> Result<()> {
    add(&store, Definition { overlap: Overlap::Allow, ..each_minute("one") }, at(0)).await?;
    store.pause_schedule("one", Some(moment(150)), &ada(), at(30)).await?;
    fire(&store, at(60)).await?;
    fire(&store, at(120)).await?;
    assert!(get(&store, "one").await?.paused.is_some());
    fire(&store, at(180)).await?;
    use RunOutcome::{Ran, Skipped};
    assert_eq!(story(&store, "one").await?, [(60, Skipped), (120, Skipped), (180, Ran)]);
    let why = history(&store, "one").await?[0].why.clone().context("why")?;
    assert_eq!(why, "paused by cli:ada: it must be");
    assert_eq!(get(&store, "one").await?.paused, None, "the pause is over");
    Ok(())
}

pub async fn a_run_by_hand_has_its_line_and_keeps_to_the_overlap_policy(store: Arc<dyn Store>) -> Result<()> {
    let keyed = Definition { idempotency_key: Some("day-{date}".to_owned()), ..each_minute("one") };
    add(&store, keyed, at(0)).await?;
    store.pause_schedule("one", None, &ada(), at(1)).await?;
    let RanSchedule::Ran(job) = store.run_schedule("one", false, &ada(), at(5)).await? else {
        bail!("a paused schedule can be run by hand");
    };
    let key = store.job(job).await?.context("job")?.idempotency_key;
    assert_eq!(key, None, "who runs it by hand means it");
    let RanSchedule::Busy(busy) = store.run_schedule("one", false, &ada(), at(6)).await? else {
        bail!("its job has not ended");
    };
    assert_eq!((busy.job_id, busy.running), (job, false));
    let RanSchedule::Ran(forced) = store.run_schedule("one", true, &ada(), at(7)).await? else {
        bail!("who insists gets it");
    };
    let RanSchedule::Ran(at_once) = store.run_schedule("one", true, &ada(), at(7)).await? else {
        bail!("also twice at the same moment");
    };
    assert!(forced != at_once);
    let lines = history(&store, "one").await?;
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.triggered_by.as_deref() == Some("cli:ada")), "{lines:?}");
    assert_eq!(get(&store, "one").await?.next_at, Some(moment(60)), "its moments stay where they are");
    assert_eq!(store.run_schedule("none", false, &ada(), at(8)).await?, RanSchedule::Missing);
    Ok(())
}

pub async fn a_job_that_has_the_key_already_stands_for_the_moment(store: Arc<dyn Store>) -> Result<()> {
    let keyed = |name: &str, payload: &str| -> Result<Definition> {
        Ok(Definition {
            payload: Some(jobforge_core::payload::Payload::parse(payload)?),
            idempotency_key: Some("day-{date}".to_owned()),
            ..each_minute(name)
        })
    };
    add(&store, keyed("one", r#"{"days": 30}"#)?, at(0)).await?;
    add(&store, keyed("same", r#"{"days":30}"#)?, at(0)).await?;
    add(&store, keyed("tother", r#"{"days": 60}"#)?, at(0)).await?;
    let fired = fire(&store, at(60)).await?;
    let one = fired.lines.iter().find(|line| line.schedule == "one").and_then(|line| line.job_id);
    let same = history(&store, "same").await?.swap_remove(0);
    assert_eq!((same.job_id, same.outcome), (one, RunOutcome::Ran));
    assert!(same.why.context("why")?.contains("stands for it"));
    let tother = history(&store, "tother").await?.swap_remove(0);
    assert_eq!((tother.job_id, tother.outcome), (None, RunOutcome::Skipped));
    assert!(tother.why.context("why")?.contains("another payload"));
    assert_eq!(jobs(&store).await?, 1);
    Ok(())
}

pub async fn how_runs_ended_is_noted_with_success_and_failures_in_a_row(store: Arc<dyn Store>) -> Result<()> {
    let definition = Definition { overlap: Overlap::Allow, max_attempts: Some(1), ..each_minute("one") };
    add(&store, definition, at(0)).await?;
    let me = register_for(&store, "w-1", Duration::from_secs(3600), at(0)).await?;
    for (minute, status) in [
        (1, Status::Succeeded),
        (2, Status::Dead),
        (3, Status::Failed),
        (4, Status::Succeeded),
        (5, Status::Dead),
    ] {
        fire(&store, at(minute * 60)).await?;
        let claimed = claim_one(&store, &me, at(minute * 60 + 2)).await?;
        let outcome = match status {
            Status::Succeeded => success(),
            Status::Failed => Outcome::Failed { error: error("no") },
            _ => failure("not now"),
        };
        settle_one(&store, &me, &claimed, outcome, at(minute * 60 + 7)).await?;
        assert_eq!(store.end_schedule_runs(at(minute * 60 + 8)).await?, 1, "{status}");
        let kept = get(&store, "one").await?;
        let end = kept.last_end.context("an end")?;
        assert_eq!((end.status, end.at), (Some(status), moment(minute * 60 + 7)));
        assert_eq!(end.duration_ms, Some(5000));
        let expected = match minute {
            1 => (Some(moment(67)), 0),
            2 => (Some(moment(67)), 1),
            3 => (Some(moment(67)), 2),
            4 => (Some(moment(247)), 0),
            _ => (Some(moment(247)), 1),
        };
        assert_eq!((kept.last_success_at, kept.consecutive_failures), expected, "after minute {minute}");
    }
    // A job that is deleted before anybody has looked has ended somehow.
    let job = job_of(&fire(&store, at(360)).await?)?;
    store.move_jobs(&[job], Move::Delete, &ada(), at(361)).await?;
    assert_eq!(store.end_schedule_runs(at(362)).await?, 1);
    let line = history(&store, "one").await?.pop().context("a line")?;
    assert_eq!((line.status, line.finished_at), (None, Some(moment(362))));
    assert_eq!(get(&store, "one").await?.consecutive_failures, 1);
    assert_eq!(store.end_schedule_runs(at(363)).await?, 0);
    Ok(())
}

/// Who may be in trouble, and how each is.
async fn suspects(store: &Arc<dyn Store>, now: i64) -> Result<Vec<(String, ScheduleState)>> {
    let survey = store.survey_schedules(10, at(now)).await?;
    assert_eq!(survey.as_of, moment(now));
    let told = |schedule| {
        let view = ScheduleView::of(schedule, survey.as_of);
        (view.name, view.state)
    };
    Ok(survey.suspects.into_iter().map(told).collect())
}

pub async fn a_schedule_that_succeeds_no_more_is_found_among_others_once_its_own_limit_is_over(
    store: Arc<dyn Store>,
) -> Result<()> {
    let allow = |name: &str| Definition { overlap: Overlap::Allow, ..each_minute(name) };
    add(&store, allow("one"), at(0)).await?;
    add(&store, Definition { paused: true, ..allow("resting") }, at(0)).await?;
    let me = register_for(&store, "w-1", Duration::from_secs(3600), at(0)).await?;
    fire(&store, at(60)).await?;
    let claimed = claim_one(&store, &me, at(61)).await?;
    settle_one(&store, &me, &claimed, success(), at(70)).await?;
    store.end_schedule_runs(at(71)).await?;
    add(&store, Definition { stale_after_ms: Some(600_000), ..allow("patient") }, at(71)).await?;
    let survey = store.survey_schedules(10, at(71)).await?;
    assert_eq!((survey.total, survey.paused, survey.suspects.len()), (3, 1, 0));
    assert_eq!(get(&store, "one").await?.fresh_at, moment(70));
    fire(&store, at(120)).await?;
    fire(&store, at(190)).await?;
    assert_eq!(suspects(&store, 190).await?, [], "its limit is not over");
    assert_eq!(suspects(&store, 191).await?, [("one".to_owned(), ScheduleState::Stale)]);
    let stale = ScheduleView::of(get(&store, "one").await?, moment(191));
    assert_eq!((stale.stale_at, stale.schedule.stale_after_ms), (Some(moment(190)), Some(120_000)));
    // The moments of a minute that nobody has fired make it late, which is worse.
    let late = suspects(&store, 370).await?;
    assert!(late.contains(&("one".to_owned(), ScheduleState::Late)), "{late:?}");
    Ok(())
}

pub async fn what_a_person_did_to_a_schedule_gives_it_time_to_succeed(store: Arc<dyn Store>) -> Result<()> {
    add(&store, each_minute("one"), at(0)).await?;
    fire(&store, at(60)).await?;
    fire(&store, at(121)).await?;
    assert_eq!(suspects(&store, 121).await?, [("one".to_owned(), ScheduleState::Stale)]);
    store.pause_schedule("one", None, &ada(), at(122)).await?;
    assert_eq!(suspects(&store, 130).await?, [], "who paused it knows");
    store.resume_schedule("one", &ada(), at(1000)).await?;
    assert_eq!(get(&store, "one").await?.fresh_at, moment(1000));
    assert_eq!(suspects(&store, 1010).await?, []);
    // A pause that ends by itself counts from its end, before and after somebody has taken note of that.
    store.pause_schedule("one", Some(moment(2000)), &ada(), at(1011)).await?;
    assert_eq!(get(&store, "one").await?.fresh_since(moment(2001)), moment(2000));
    fire(&store, at(2005)).await?;
    fire(&store, at(2040)).await?;
    assert_eq!(suspects(&store, 2041).await?, []);
    assert!(get(&store, "one").await?.fresh_since(moment(2041)) >= moment(2000));
    let kept = get(&store, "one").await?;
    let version = kept.version;
    let changed = super::schedules::checked(Definition { every: Some("2m".to_owned()), ..kept.definition })?;
    assert!(store.change_schedule(&changed, version, &ada(), at(3000)).await?);
    assert_eq!(get(&store, "one").await?.fresh_at, moment(3000));
    Ok(())
}

pub async fn the_history_keeps_its_length(store: Arc<dyn Store>) -> Result<()> {
    add(&store, Definition { every: Some("1s".to_owned()), ..each_minute("one") }, at(0)).await?;
    let more = i64::try_from(HISTORY_KEPT)? + 5;
    for second in 1..=more {
        fire(&store, at(second)).await?;
    }
    let lines = history(&store, "one").await?;
    assert_eq!(lines.len() as u64, HISTORY_KEPT);
    assert_eq!(lines.first().map(|line| line.planned_for), Some(moment(6)));
    Ok(())
}

pub async fn who_is_not_elected_fires_only_what_is_left_undone(store: Arc<dyn Store>) -> Result<()> {
    add(&store, each_minute("one"), at(0)).await?;
    let seen = store.fire_schedules(TAKEN_OVER_AFTER, 10, at(61)).await?;
    assert_eq!((seen.lines.len(), seen.next_due), (0, Some(moment(60))));
    assert_eq!(store.fire_schedules(TAKEN_OVER_AFTER, 10, at(62)).await?.lines.len(), 1);
    Ok(())
}
