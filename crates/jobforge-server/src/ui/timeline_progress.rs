//! What the attempts of a job reported, as a lane of its timeline: phases by name, and a line from 0 to 100 %.

use std::fmt::Write as _;

use jiff::Timestamp;
use jobforge::core::job::Attempt;
use jobforge::core::progress::ProgressPoint;

use super::timeline::{Axis, LEFT, RIGHT, escape};
use super::words::cut;

/// How much higher the picture is with the lane.
pub(super) const HEIGHT: u32 = 76;
/// Where the phases lie, and how high they are.
const PHASES: f64 = 98.0;
const PHASE_HEIGHT: f64 = 18.0;
/// Where 100 % and 0 % lie.
const FULL: f64 = 124.0;
const NOTHING: f64 = 164.0;
/// About the width of a character.
const CHARACTER: f64 = 7.0;
/// Changes of phase that the picture makes room for, the newest.
const MOST_TURNS: usize = 40;
/// Phases that are named in words.
const MOST_NAMED: usize = 8;

/// When phases began, for the picture to make room for: short ones shall be seen beside long ones.
pub(super) fn turns(attempts: &[Attempt]) -> Vec<Timestamp> {
    let phases = attempts.iter().rev().flat_map(|attempt| phases(&attempt.progress).into_iter().rev());
    phases.take(MOST_TURNS).map(|first| first.at).collect()
}

/// Draws the lane.
pub(super) fn lane(svg: &mut String, axis: &Axis, attempts: &[Attempt], now: Timestamp) {
    for y in [FULL, NOTHING] {
        let _ = write!(svg, "<line class=\"guide\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y}\" y2=\"{y}\"/>");
    }
    let newest = attempts.iter().rposition(|attempt| !attempt.progress.is_empty());
    for (place, attempt) in attempts.iter().enumerate() {
        let Some(last) = attempt.progress.last() else { continue };
        let end = axis.x(attempt.finished_at.unwrap_or(now).max(last.at));
        let _ = write!(svg, "<g class=\"course\"><title>{}</title>", escape(&told(attempt)));
        strip(svg, axis, &attempt.progress, end);
        line(svg, axis, &attempt.progress, end);
        if newest == Some(place) {
            dots(svg, axis, &attempt.progress);
        }
        svg.push_str("</g>");
    }
}

/// The first point of each phase.
fn phases(points: &[ProgressPoint]) -> Vec<&ProgressPoint> {
    let mut before = None;
    let mut begins = |point: &&ProgressPoint| {
        let is_new = point.phase.is_some() && point.phase != before;
        before.clone_from(&point.phase);
        is_new
    };
    points.iter().filter(|point| begins(point)).collect()
}

/// What an attempt reported, in words: `attempt 2 came to 64 %, through fetch, encode`.
pub(super) fn told(attempt: &Attempt) -> String {
    let mut told = format!("attempt {}", attempt.attempt);
    if let Some(percent) = attempt.progress.last().and_then(|last| last.percent) {
        let _ = write!(told, " came to {percent} %");
    }
    let phases = phases(&attempt.progress);
    let names: Vec<String> =
        phases.iter().take(MOST_NAMED).filter_map(|first| Some(cut(first.phase.as_ref()?, 40))).collect();
    if !names.is_empty() {
        let _ = write!(told, ", through {}", names.join(", "));
    }
    if phases.len() > MOST_NAMED {
        let _ = write!(told, " and {} more phases", phases.len() - MOST_NAMED);
    }
    told
}

/// The phases beside each other, with their names where there is room.
fn strip(svg: &mut String, axis: &Axis, points: &[ProgressPoint], end: f64) {
    let phases = phases(points);
    for (place, first) in phases.iter().enumerate() {
        let from = axis.x(first.at);
        let to = phases.get(place + 1).map_or(end, |next| axis.x(next.at));
        let width = (to - from).max(2.0);
        let name = first.phase.as_deref().unwrap_or_default();
        let _ = write!(
            svg,
            "<g class=\"phase\"><title>{}</title><rect x=\"{from:.1}\" y=\"{PHASES}\" width=\"{width:.1}\" height=\"{PHASE_HEIGHT}\"/>",
            escape(&cut(name, 100))
        );
        let room = ((width - 8.0) / CHARACTER).max(0.0) as usize;
        if room >= 3 {
            let (x, y) = (from + 5.0, PHASES + 13.0);
            let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y}\">{}</text>", escape(&cut(name, room)));
        }
        svg.push_str("</g>");
    }
}

fn height(percent: u8) -> f64 {
    NOTHING - (NOTHING - FULL) * f64::from(percent.min(100)) / 100.0
}

/// The points that say how far it is, each with its place.
fn said<'a>(
    axis: &'a Axis,
    points: &'a [ProgressPoint],
) -> impl Iterator<Item = (f64, u8, &'a ProgressPoint)> {
    points.iter().filter_map(|point| Some((axis.x(point.at), point.percent?, point)))
}

/// The line of how far it said to be: from each report on, until the next one.
fn line(svg: &mut String, axis: &Axis, points: &[ProgressPoint], end: f64) {
    let (mut path, mut drawn) = (String::new(), f64::NEG_INFINITY);
    for (x, percent, _) in said(axis, points) {
        // Steps that nobody can tell apart are one.
        if x - drawn >= 1.0 {
            let y = height(percent);
            let _ = match path.is_empty() {
                true => write!(path, "M{x:.1} {y:.1}"),
                false => write!(path, "H{x:.1}V{y:.1}"),
            };
            drawn = x;
        }
    }
    let Some((_, last, _)) = said(axis, points).last() else { return };
    let y = height(last);
    let _ = write!(svg, "<path class=\"done\" d=\"{path}V{y:.1}H{:.1}\"/>", end.max(drawn + 2.0));
    if end - LEFT > 40.0 {
        // Within the lane: below a high line, above a low one.
        let beside = if last > 50 { y + 14.0 } else { y - 5.0 };
        let _ =
            write!(svg, "<text x=\"{:.1}\" y=\"{beside:.1}\" text-anchor=\"end\">{last} %</text>", end - 3.0);
    }
}

/// A dot for each report, with what it said.
fn dots(svg: &mut String, axis: &Axis, points: &[ProgressPoint]) {
    for (x, percent, point) in said(axis, points) {
        let _ = write!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3\"><title>{:.0}: {}</title></circle>",
            height(percent),
            point.at,
            escape(&cut(&point.told(), 120))
        );
    }
}

#[cfg(test)]
mod tests {
    use jobforge::core::job::Lease;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn attempt(points: &[(i64, Option<u8>, &str)]) -> Attempt {
        let point = |(second, percent, phase): &(i64, Option<u8>, &str)| ProgressPoint {
            at: at(*second),
            percent: *percent,
            phase: Some((*phase).to_owned()).filter(|phase| !phase.is_empty()),
            message: Some("<b>".to_owned()),
        };
        Attempt {
            attempt: 2,
            lease: Lease(2),
            worker: None,
            outcome: "running".to_owned(),
            error: None,
            started_at: Some(at(0)),
            finished_at: None,
            stop_ignored_at: None,
            refused: 0,
            heartbeat_at: None,
            heard: Default::default(),
            progress: points.iter().map(point).collect(),
        }
    }

    fn drawn(attempt: &Attempt, now: i64) -> String {
        let mut svg = String::new();
        let axis = Axis::of(vec![at(0), at(now)]);
        lane(&mut svg, &axis, std::slice::from_ref(attempt), at(now));
        svg
    }

    #[test]
    fn the_line_steps_from_report_to_report_and_goes_on_until_now() {
        let attempt =
            attempt(&[(0, Some(0), "fetch"), (50, Some(50), "encode <i>"), (75, Some(100), "encode <i>")]);
        let svg = drawn(&attempt, 100);
        assert!(svg.contains("d=\"M8.0 164.0H500.0V144.0H746.0V124.0V124.0H992.0\""), "{svg}");
        assert!(
            svg.contains("<title>attempt 2 came to 100 %, through fetch, encode &lt;i&gt;</title>"),
            "{svg}"
        );
        assert!(svg.contains(">fetch</text>") && svg.contains(">encode &lt;i&gt;</text>"), "{svg}");
        assert_eq!((svg.matches("class=\"phase\"").count(), svg.matches("<circle").count()), (2, 3));
        assert!(!svg.contains("<b>"), "{svg}");
        assert_eq!(turns(&[attempt]), [at(50), at(0)]);
    }

    #[test]
    fn a_phase_without_percent_has_no_line_and_many_reports_at_once_make_a_short_one() {
        let svg = drawn(&attempt(&[(10, None, "fetch")]), 100);
        assert!(svg.contains("class=\"phase\"") && !svg.contains("<path"), "{svg}");
        let many: Vec<_> = (0..64).map(|step| (step, Some(step as u8), "")).collect();
        let svg = drawn(&attempt(&many), 1_000_000);
        let path = svg.split(" d=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a path");
        assert_eq!(path, "M8.0 164.0V138.8H992.0");
    }

    #[test]
    fn of_many_phases_the_first_are_named() {
        let names: Vec<String> = (0..12).map(|step| format!("p{step}")).collect();
        let points: Vec<_> =
            names.iter().zip(0..).map(|(name, second)| (second, None, name.as_str())).collect();
        assert_eq!(
            told(&attempt(&points)),
            "attempt 2, through p0, p1, p2, p3, p4, p5, p6, p7 and 4 more phases"
        );
    }
}
