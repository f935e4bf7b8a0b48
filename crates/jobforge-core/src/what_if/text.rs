//! The answer in sentences.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Question, Recommended, Record, SETTING, WhatIf, is_late, millis, thresholds};
use crate::time::words;

/// What follows.
pub(super) fn conclusion(answer: &WhatIf, question: &Question) -> String {
    let (now, then) = (question.rhythm, question.proposed());
    let jobs: BTreeSet<_> = answer.hit.iter().map(|line| line.of.job).collect();
    let ms = |ms| words(Duration::from_millis(ms));
    let present = question.threshold == now.threshold;
    let mut said = match &answer.detection {
        Some(found) if present => format!(
            "Under the present threshold of {}, {} was found after {} of silence (the longest after {}).",
            words(now.threshold),
            if answer.caught.len() == 1 {
                "one hung attempt".to_owned()
            } else {
                format!("half of the {} hung attempts", answer.caught.len())
            },
            ms(found.was_ms),
            ms(found.longest_was_ms),
        ),
        None if present => format!(
            "Under the present threshold of {} a hung job may be silent for {} at first; none was hung in {}.",
            words(now.threshold),
            words(now.due_in(now.interval)),
            words(question.look_back),
        ),
        Some(found) if answer.caught.len() == 1 => format!(
            "Under a threshold of {}, the one hung attempt would have been found after {} instead of {}.",
            words(question.threshold),
            ms(found.would_be_ms),
            ms(found.was_ms),
        ),
        Some(found) => format!(
            "Under a threshold of {}, half of the {} hung attempts would have been found within {} instead of {} (the longest after {} instead of {}).",
            words(question.threshold),
            answer.caught.len(),
            ms(found.would_be_ms),
            ms(found.was_ms),
            ms(found.longest_would_be_ms),
            ms(found.longest_was_ms),
        ),
        None => format!(
            "Under a threshold of {} a hung job may be silent for {} instead of {} at first; none was hung in {}.",
            words(question.threshold),
            words(then.due_in(then.interval)),
            words(now.due_in(now.interval)),
            words(question.look_back),
        ),
    };
    let back = answer.caught.iter().filter(|line| line.came_back).count();
    if back > 0 {
        said.push_str(&format!(
            " {back} of them reported back afterwards: they were healthy, and the threshold of then hit them."
        ));
    }
    let in_time = words(question.look_back);
    said.push_str(&match jobs.len() {
        0 => format!(" No healthy job would have been hit in {in_time}."),
        1 => format!(" One healthy job would have been hit in {in_time}."),
        many => format!(" {many} healthy jobs would have been hit in {in_time}."),
    });
    match answer.silent_now.len() {
        0 => {}
        1 => said.push_str(" One running job is silent for longer than that at the moment."),
        many => {
            said.push_str(&format!(" {many} running jobs are silent for longer than that at the moment."));
        }
    }
    said
}

/// The smallest threshold that is longer than every healthy silence, and allowed.
pub(super) fn recommended(record: &Record, question: &Question, longest: Option<Duration>) -> Recommended {
    let rhythm = question.rhythm;
    let whole = |duration: Duration| millis(duration).div_ceil(1000) * 1000;
    let least = whole(rhythm.interval.saturating_mul(2));
    let (low, high) = thresholds();
    let wanted = longest.map_or(0, whole).max(least);
    let threshold = wanted.clamp(low, high);
    let read = if record.cut { " among the attempts that were read" } else { "" };
    let mut why = match longest {
        Some(longest) if whole(longest) >= least => {
            format!("the longest silence that a healthy job came back from was {}{read}", words(longest))
        }
        _ => format!(
            "no healthy job was silent for longer than that{read}, and less than two intervals ({}) is never counted",
            words(rhythm.interval)
        ),
    };
    if wanted > high {
        why.push_str("; more than that cannot be set");
    }
    let goes = threshold == millis(rhythm.threshold);
    let command = (!goes).then(|| format!("jobforge config set {SETTING}={threshold}"));
    Recommended { heartbeat_threshold_ms: threshold, why, command }
}

/// What the answer does not see.
pub(super) fn limits(record: &Record, question: &Question) -> Vec<String> {
    let rhythm = question.rhythm;
    let mut limits = Vec::new();
    if !rhythm.enabled {
        limits.push(
            "Job heartbeats are switched off now, so no threshold counts; switch them on with jobforge flag set JOB_HEARTBEAT on."
                .to_owned(),
        );
    }
    let least = rhythm.interval.saturating_mul(2);
    if question.threshold < least {
        limits.push(format!(
            "HEARTBEAT_THRESHOLD_MS may not be less than twice HEARTBEAT_INTERVAL_MS ({} ms): {} ms would be refused. No job is late before two of its intervals, so the answer is that for {} ms.",
            millis(rhythm.interval),
            millis(question.threshold),
            millis(least),
        ));
    }
    let longest = rhythm.max_interval.saturating_mul(2);
    if longest > question.threshold && longest > least {
        limits.push(format!(
            "Jobs that have run for a while beat every {} and may be silent for {} whatever the threshold; a shorter HEARTBEAT_MAX_INTERVAL_MS changes that.",
            words(rhythm.max_interval),
            words(longest),
        ));
    }
    if record.cut {
        limits.push(
            "There is more than is read at once: only the newest attempts of the time were looked at. Look at a shorter time."
                .to_owned(),
        );
    }
    if question.kept < question.look_back {
        limits.push(format!(
            "Jobs that succeeded are kept for {}; what ended before is not seen.",
            words(question.kept)
        ));
    }
    let unmeasured = record.traces.iter().filter(|trace| is_late(trace) && trace.heard.interval.is_none());
    match unmeasured.count() {
        0 => {}
        count => limits.push(format!(
            "Of {count} hung attempts it is not recorded how often they meant to beat: they were on workers that set a time of their own, or are older than the record."
        )),
    }
    limits.push(
        "Heartbeats are sent by the worker: a handler that hangs while its process is well is found by its time-outs, not by a threshold. Workers that are lost are found by their lease. Workers that speak SQL, or do not say how often they mean to beat, are left out; so are attempts that snoozed."
            .to_owned(),
    );
    limits.push(
        "A silence while the database was away counts as one, though the watchdog would have held its verdict back."
            .to_owned(),
    );
    limits
}
