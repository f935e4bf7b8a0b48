//! What is remembered of the reports of an attempt: few points, from which its course can still be drawn.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::heartbeat::Report;

/// Points that are kept of one attempt.
pub const MAX_POINTS: usize = 64;
/// Fences of a job whose points are kept, the newest: a job that snoozes or is run again for years stays bounded.
pub const KEPT_FENCES: i64 = 32;
/// The longest message and the longest name of a phase that a point keeps, in characters.
pub const MAX_MESSAGE: usize = 200;
/// See [`MAX_MESSAGE`].
pub const MAX_PHASE: usize = 100;

/// How far an attempt said it had come, from this moment on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProgressPoint {
    /// When it said so.
    pub at: Timestamp,
    /// 0 to 100; absent if it has not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// Its named phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// What it was doing, for people: the first 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl ProgressPoint {
    /// The same for people: `encode 40 %: frame 12 of 30`.
    pub fn told(&self) -> String {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let head = [given(&self.phase), self.percent.map(|percent| format!("{percent} %"))];
        let head = head.into_iter().flatten().collect::<Vec<_>>().join(" ");
        [Some(head).filter(|head| !head.is_empty()), given(&self.message)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(": ")
    }
}

/// What a report adds to the points of its attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// The point.
    pub point: ProgressPoint,
    /// The place of the point that makes room for it, where there is none.
    pub gives_way: Option<usize>,
}

/// Notes a report. Nothing if it does not say anything new of percent, phase or message.
///
/// `points` are those of the attempt so far, in order. While there are fewer than [`MAX_POINTS`], the last of them is enough.
/// The first point stays, and so does every change of phase unless there are too many of them; of the others the one gives way
/// whose neighbours are closest together in time, so that what is kept is spread evenly however long the attempt takes. Mostly
/// that is the last one, and where it is close enough, no other is looked at.
///
/// PostgreSQL does the same within its statements, in `jobforge_note_progress`.
pub fn note(points: &[ProgressPoint], report: &Report, at: Timestamp) -> Option<Noted> {
    if !says_where_it_is(report) {
        return None;
    }
    let last = points.last();
    let kept = |said: &Option<String>, longest: usize, before: Option<&String>| {
        said.as_ref().map(|text| text.chars().take(longest).collect()).or_else(|| before.cloned())
    };
    let point = ProgressPoint {
        at,
        percent: report.progress.or_else(|| last?.percent),
        phase: kept(&report.phase, MAX_PHASE, last.and_then(|last| last.phase.as_ref())),
        message: kept(&report.message, MAX_MESSAGE, last.and_then(|last| last.message.as_ref())),
    };
    if last.is_some_and(|last| ProgressPoint { at, ..last.clone() } == point) {
        return None;
    }
    let gives_way = match points {
        [first, .., before, last] if points.len() >= MAX_POINTS => {
            if is_close(first, before, last, at) {
                Some(points.len() - 1)
            } else {
                gives_way(points, &point)
            }
        }
        _ => None,
    };
    Some(Noted { point, gives_way })
}

/// Whether a report says anything that a point keeps.
pub fn says_where_it_is(report: &Report) -> bool {
    report.progress.is_some() || report.phase.is_some() || report.message.is_some()
}

/// Whether the last point is no change of phase and so close to its neighbours that the points are spread evenly without it.
fn is_close(first: &ProgressPoint, before: &ProgressPoint, last: &ProgressPoint, now: Timestamp) -> bool {
    let since = |then: &ProgressPoint| now.as_microsecond() - then.at.as_microsecond();
    last.phase == before.phase && since(before).saturating_mul(MAX_POINTS as i64 - 1) <= since(first)
}

/// The inner point that is missed least, before `newest` comes after them.
fn gives_way(points: &[ProgressPoint], newest: &ProgressPoint) -> Option<usize> {
    (1..points.len()).min_by_key(|&place| {
        let (before, point) = (&points[place - 1], &points[place]);
        let after = points.get(place + 1).unwrap_or(newest);
        (point.phase != before.phase, after.at.as_microsecond() - before.at.as_microsecond(), place)
    })
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    const PHASES: [&str; 3] = ["fetch", "encode", "upload"];

    /// An attempt that reports on a clock of its own.
    #[derive(Default)]
    struct Attempt {
        /// What is kept.
        points: Vec<ProgressPoint>,
        /// All that was noted, with nothing given up.
        all: Vec<ProgressPoint>,
    }

    impl Attempt {
        fn reports(&mut self, at: Timestamp, report: &Report) {
            let Some(Noted { point, gives_way }) = note(&self.points, report, at) else { return };
            self.all.push(point.clone());
            self.points.push(point);
            if let Some(place) = gives_way {
                self.points.remove(place);
            }
        }

        fn turns(points: &[ProgressPoint]) -> Vec<&ProgressPoint> {
            points.windows(2).filter(|pair| pair[0].phase != pair[1].phase).map(|pair| &pair[1]).collect()
        }
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_millis(ms)
    }

    fn percent(percent: u8) -> Report {
        Report { progress: Some(percent), ..Report::default() }
    }

    #[test]
    fn what_is_not_said_stays_and_what_is_said_again_is_no_point() {
        let mut attempt = Attempt::default();
        let named =
            Report { phase: Some("fetch".to_owned()), message: Some("page 1".to_owned()), ..percent(5) };
        attempt.reports(at(1), &named);
        attempt.reports(at(2), &percent(5));
        attempt.reports(at(3), &Report { items: Some(Default::default()), ..Report::default() });
        attempt.reports(at(4), &percent(10));
        let told: Vec<String> = attempt.points.iter().map(ProgressPoint::told).collect();
        assert_eq!(told, ["fetch 5 %: page 1", "fetch 10 %: page 1"]);
        assert_eq!((attempt.points[0].at, attempt.points[1].at), (at(1), at(4)));
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        let report =
            Report { message: Some("é".repeat(300)), phase: Some("ß".repeat(300)), ..Report::default() };
        let point = note(&[], &report, at(0)).expect("news").point;
        assert_eq!(point.message.map(|text| text.chars().count()), Some(MAX_MESSAGE));
        assert_eq!(point.phase.map(|text| text.chars().count()), Some(MAX_PHASE));
    }

    #[test]
    fn a_day_of_steady_reports_is_kept_evenly() {
        let mut attempt = Attempt::default();
        for minute in 0..1440 {
            attempt.reports(at(minute * 60_000), &percent(u8::try_from(minute * 100 / 1440).expect("small")));
        }
        assert_eq!(attempt.points.len(), MAX_POINTS);
        let gaps = attempt.points.windows(2).map(|pair| (pair[1].at - pair[0].at).get_seconds());
        assert!(gaps.clone().all(|gap| gap <= 2 * 86_400 / 63), "{:?}", gaps.collect::<Vec<_>>());
    }

    #[test]
    fn a_phase_of_a_second_within_a_day_is_kept() {
        let mut attempt = Attempt::default();
        for minute in 0..1440_i64 {
            let phase = if minute == 700 { "swap" } else { "copy" };
            let message = Some(format!("row {minute}"));
            let report = Report { phase: Some(phase.to_owned()), message, ..Report::default() };
            attempt.reports(at(minute * 60_000), &report);
        }
        let turns: Vec<_> = Attempt::turns(&attempt.points).iter().map(|point| point.at).collect();
        assert_eq!(turns, [at(700 * 60_000), at(701 * 60_000)]);
    }

    #[test]
    fn a_point_reads_like_speech() {
        let point = |percent, phase: &str, message: &str| ProgressPoint {
            at: at(0),
            percent,
            phase: Some(phase.to_owned()),
            message: Some(message.to_owned()),
        };
        assert_eq!(point(Some(40), "encode", "frame 12").told(), "encode 40 %: frame 12");
        assert_eq!(point(None, "", "frame 12").told(), "frame 12");
        assert_eq!(point(Some(0), "", "").told(), "0 %");
    }

    proptest! {
        #[test]
        fn whatever_is_reported_the_first_the_last_and_the_changes_of_phase_stay_and_no_stretch_is_lost(
            steps in proptest::collection::vec((0_i64..100_000, 0_u8..=100, 0_usize..40), 1..400),
        ) {
            let (mut attempt, mut now) = (Attempt::default(), 0);
            for (later, done, phase) in &steps {
                now += later;
                let phase = PHASES.get(*phase).map(|&name| name.to_owned());
                attempt.reports(at(now), &Report { phase, ..percent(*done) });
            }
            let (points, all) = (&attempt.points, &attempt.all);
            prop_assert!(points.len() <= MAX_POINTS && points.len() >= all.len().min(MAX_POINTS));
            prop_assert_eq!(points.first(), all.first());
            prop_assert_eq!(points.last(), all.last());
            let mut rest = all.iter();
            prop_assert!(points.iter().all(|point| rest.any(|one| one == point)), "what is kept was said, in order");
            let turns = Attempt::turns(all);
            if turns.len() <= MAX_POINTS - 2 {
                prop_assert_eq!(Attempt::turns(points), turns.clone());
            }
            if turns.is_empty() {
                // Of n inner points one has neighbours no further apart than two n-ths of the whole.
                let most = 2 * now / (i64::try_from(MAX_POINTS)? - 1);
                let apart = |pair: &[ProgressPoint]| pair[1].at.as_millisecond() - pair[0].at.as_millisecond();
                let longest = all.windows(2).map(apart).max().unwrap_or(0).max(most);
                prop_assert!(points.windows(2).map(apart).all(|gap| gap <= longest));
            }
        }

        #[test]
        fn too_many_changes_of_phase_are_bounded_too(count in 1_usize..300) {
            let mut attempt = Attempt::default();
            for step in 0..count {
                let phase = Some(format!("phase {step}"));
                attempt.reports(at(i64::try_from(step)?), &Report { phase, ..Report::default() });
            }
            prop_assert_eq!(attempt.points.len(), count.min(MAX_POINTS));
            prop_assert_eq!(attempt.points.last(), attempt.all.last());
        }
    }
}
