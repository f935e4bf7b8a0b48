//! The life of a job as a picture: attempts as bars, their heartbeats with silent gaps, the silence since the last sign of life,
//! what they reported, what operators did, and when it may next be claimed.
//!
//! Long stretches in which nothing happens are drawn shorter, with a mark. The same is in a table beside it, for whoever
//! reads pages rather than sees them.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use jobforge::core::job::{Attempt, Job, WorkerId};
use jobforge::core::state::Status;
use jobforge::core::time::{since, words};
use jobforge_api::TimelineEvent;

use super::timeline_progress::{self, lane, turns};

/// The picture's size; it scales with the page.
const WIDTH: f64 = 1000.0;
const HEIGHT: u32 = 112;
pub(super) const LEFT: f64 = 8.0;
pub(super) const RIGHT: f64 = 992.0;
/// The share of the width that one stretch without events takes at most, where there are several.
const LONGEST: f64 = 0.45;
/// And the least, so that what happened at once can be told apart.
const SHORTEST: f64 = 0.02;
/// Attempts that are drawn, the newest.
const MOST: usize = 60;

/// Where moments lie on the picture.
pub(super) struct Axis {
    /// Moments in order, with their places.
    marks: Vec<(Timestamp, f64)>,
    /// Stretches that are drawn shorter than they were: from where to where, and how long they were.
    broken: Vec<(f64, f64, Duration)>,
}

impl Axis {
    pub(super) fn of(mut moments: Vec<Timestamp>) -> Self {
        moments.sort_unstable();
        moments.dedup();
        let gaps: Vec<f64> = moments.windows(2).map(|pair| since(pair[1], pair[0]).as_secs_f64()).collect();
        let total: f64 = gaps.iter().sum();
        let mut shares: Vec<f64> =
            gaps.iter().map(|gap| if total > 0.0 { gap / total } else { 0.0 }).collect();
        let mut is_broken = vec![false; shares.len()];
        if shares.len() > 2 {
            for (share, broken) in shares.iter_mut().zip(&mut is_broken) {
                *broken = *share > LONGEST;
                *share = share.clamp(SHORTEST, LONGEST);
            }
        }
        let sum: f64 = shares.iter().sum();
        let scale = if sum > 0.0 { (RIGHT - LEFT) / sum } else { 0.0 };
        let (mut at, mut marks, mut broken) = (LEFT, Vec::with_capacity(moments.len()), Vec::new());
        for (place, moment) in moments.iter().enumerate() {
            marks.push((*moment, at));
            if let Some(share) = shares.get(place) {
                let to = at + share * scale;
                if is_broken[place] {
                    broken.push((at, to, Duration::from_secs_f64(gaps[place])));
                }
                at = to;
            }
        }
        Self { marks, broken }
    }

    pub(super) fn x(&self, moment: Timestamp) -> f64 {
        match self.marks.binary_search_by_key(&moment, |(at, _)| *at) {
            Ok(place) => self.marks[place].1,
            Err(0) => LEFT,
            Err(place) if place == self.marks.len() => RIGHT,
            Err(place) => {
                let ((from, left), (to, right)) = (self.marks[place - 1], self.marks[place]);
                let part =
                    since(moment, from).as_secs_f64() / since(to, from).as_secs_f64().max(f64::MIN_POSITIVE);
                left + (right - left) * part
            }
        }
    }
}

/// Draws it.
pub(super) fn draw(job: &Job, attempts: &[Attempt], events: &[TimelineEvent], now: Timestamp) -> String {
    let drawn = &attempts[attempts.len().saturating_sub(MOST)..];
    let end = job.finished_at.unwrap_or(now).max(job.created_at);
    let due = job.heartbeat_due_at.filter(|_| job.status == Status::Running);
    let mut moments = vec![job.created_at, end];
    moments.extend(drawn.iter().flat_map(|attempt| [attempt.started_at, attempt.finished_at]).flatten());
    moments.extend(job.heartbeat_at.filter(|_| job.status == Status::Running));
    moments.extend(due);
    let gaps = drawn.iter().flat_map(|attempt| &attempt.heard.gaps);
    moments.extend(gaps.flat_map(|gap| [gap.began_at(), gap.ended_at]));
    moments.extend(drawn.iter().filter_map(|attempt| attempt.stop_ignored_at));
    moments.extend(turns(drawn));
    moments.extend(Some(job.run_at).filter(|at| job.status == Status::Queued && *at > now));
    let axis = Axis::of(moments);
    let mut svg = String::with_capacity(4096);
    let reported = drawn.iter().rfind(|attempt| !attempt.progress.is_empty());
    let height = HEIGHT + reported.map_or(0, |_| timeline_progress::HEIGHT);
    let course =
        reported.map(|attempt| format!("{}; ", timeline_progress::told(attempt))).unwrap_or_default();
    let _ = write!(
        svg,
        "<svg class=\"timeline\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"tl-t tl-d\">\
         <title id=\"tl-t\">Timeline of the job</title><desc id=\"tl-d\">{} attempts; {}the table below tells the same.</desc>\
         <defs><pattern id=\"silence\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
         <rect class=\"hatch\" width=\"3\" height=\"8\"/></pattern></defs><line class=\"axis\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"44\" y2=\"44\"/>",
        attempts.len(),
        escape(&course)
    );
    mark(&mut svg, axis.x(job.created_at), "enqueued", "plain");
    for attempt in drawn {
        bar(&mut svg, &axis, attempt, now);
        beats(&mut svg, &axis, attempt, now);
    }
    silence(&mut svg, &axis, job, now);
    if reported.is_some() {
        lane(&mut svg, &axis, drawn, now);
    }
    for event in events {
        let (x, reason) = (axis.x(event.at), event.reason.as_deref().unwrap_or_default());
        match (event.event.as_str(), event.attempt, &event.by) {
            ("ignores_stop", Some(attempt), _) => {
                mark(&mut svg, x, &format!("attempt {attempt}: {reason}"), "alarm");
            }
            ("planned", None, _) => mark(&mut svg, x, reason, "plan"),
            ("enqueued", ..) | (_, Some(_), _) => {}
            (deed, None, who) => {
                mark(&mut svg, x, &format!("{deed} by {}", who.as_deref().unwrap_or_default()), "deed");
            }
        }
    }
    for (from, to, lasted) in &axis.broken {
        let middle = f64::midpoint(*from, *to);
        let _ = write!(
            svg,
            "<text class=\"break\" x=\"{middle:.1}\" y=\"{}\" text-anchor=\"middle\">// {}</text>",
            height - 6,
            words(*lasted)
        );
    }
    svg.push_str("</svg>");
    svg
}

fn tone(outcome: &str) -> &'static str {
    match outcome {
        "succeeded" => "succeeded",
        "running" => "running",
        "failed" | "retry" => "failed",
        "dead" => "dead",
        "lost" => "recovering",
        "canceled" | "reset" => "canceled",
        _ => "scheduled",
    }
}

fn bar(svg: &mut String, axis: &Axis, attempt: &Attempt, now: Timestamp) {
    let Some(from) = attempt.started_at.or(attempt.finished_at) else { return };
    let to = attempt.finished_at.unwrap_or(now);
    let (left, right) = (axis.x(from), axis.x(to));
    let width = (right - left).max(3.0);
    let worker = attempt.worker.as_ref().map_or("nobody", WorkerId::as_str);
    let tone = tone(&attempt.outcome);
    let _ = write!(
        svg,
        "<g class=\"run {tone}\"><title>attempt {} {} after {} on {}</title>\
         <rect x=\"{left:.1}\" y=\"32\" width=\"{width:.1}\" height=\"24\" rx=\"3\"/>",
        attempt.attempt,
        escape(&attempt.outcome),
        words(since(to, from)),
        escape(worker)
    );
    if width > 90.0 {
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"48\">{} · {}</text>",
            left + 8.0,
            attempt.attempt,
            escape(&words(since(to, from)))
        );
    }
    svg.push_str("</g>");
}

/// The heartbeats of an attempt as a thin line below it, hatched where nothing was heard for long and it went on.
fn beats(svg: &mut String, axis: &Axis, attempt: &Attempt, now: Timestamp) {
    let heard = &attempt.heard;
    let (Some(told), Some(from)) = (heard.told(), attempt.started_at) else { return };
    let to = attempt.finished_at.or(attempt.heartbeat_at).unwrap_or(now);
    let (left, right) = (axis.x(from), axis.x(to));
    let _ = write!(
        svg,
        "<g class=\"beats\"><title>attempt {}: {}</title><rect x=\"{left:.1}\" y=\"66\" width=\"{:.1}\" height=\"8\"/></g>",
        attempt.attempt,
        escape(&told),
        (right - left).max(2.0)
    );
    for gap in &heard.gaps {
        let (left, right) = (axis.x(gap.began_at()), axis.x(gap.ended_at));
        let (width, lasted) = ((right - left).max(2.0), words(gap.lasted()));
        let _ = write!(
            svg,
            "<g class=\"gap\"><title>silent for {lasted}, then heard again</title><rect class=\"hole\" x=\"{left:.1}\" y=\"66\" \
             width=\"{width:.1}\" height=\"8\"/><rect x=\"{left:.1}\" y=\"66\" width=\"{width:.1}\" height=\"8\" fill=\"url(#silence)\"/>"
        );
        if width > 50.0 {
            let middle = f64::midpoint(left, right);
            let _ = write!(svg, "<text x=\"{middle:.1}\" y=\"90\" text-anchor=\"middle\">{lasted}</text>");
        }
        svg.push_str("</g>");
    }
}

/// The time since the last sign of life, hatched, and the moment at which it counts as too long.
fn silence(svg: &mut String, axis: &Axis, job: &Job, now: Timestamp) {
    let (Status::Running, Some(beat)) = (job.status, job.heartbeat_at) else { return };
    let (from, to) = (axis.x(beat), axis.x(now));
    let silent = words(since(now, beat));
    let _ = write!(
        svg,
        "<g><title>last sign of life {silent} ago</title><rect class=\"silent\" x=\"{from:.1}\" y=\"32\" width=\"{:.1}\" \
         height=\"24\" fill=\"url(#silence)\"/><line class=\"beat\" x1=\"{from:.1}\" x2=\"{from:.1}\" y1=\"26\" y2=\"62\"/></g>",
        (to - from).max(1.0)
    );
    if let Some(due) = job.heartbeat_due_at {
        let x = axis.x(due);
        let _ = write!(
            svg,
            "<g><title>the next sign of life is due here</title><line class=\"due\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"20\" y2=\"68\"/></g>"
        );
    }
}

fn mark(svg: &mut String, x: f64, what: &str, class: &str) {
    let (left, right) = (x - 5.0, x + 5.0);
    let _ = write!(
        svg,
        "<g class=\"mark {class}\"><title>{}</title><path d=\"M{x:.1} 12 L{right:.1} 20 L{x:.1} 28 L{left:.1} 20 Z\"/></g>",
        escape(what)
    );
}

pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // What XML cannot hold.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    #[test]
    fn moments_keep_their_order_and_long_silences_are_broken() {
        let axis = Axis::of(vec![at(0), at(10), at(20), at(100_000), at(100_010)]);
        assert!(axis.marks.windows(2).all(|pair| pair[0].1 < pair[1].1), "{:?}", axis.marks);
        assert_eq!(axis.broken.len(), 1);
        assert!((axis.x(at(0)) - LEFT).abs() < 0.1 && (axis.x(at(100_010)) - RIGHT).abs() < 0.1);
        assert!(axis.x(at(15)) > axis.x(at(10)) && axis.x(at(15)) < axis.x(at(20)));
    }

    #[test]
    fn a_single_moment_is_drawn_without_a_division_by_nothing() {
        let axis = Axis::of(vec![at(5), at(5)]);
        assert!(axis.x(at(5)).is_finite() && axis.x(at(0)).is_finite() && axis.x(at(9)).is_finite());
    }

    #[test]
    fn nothing_that_a_job_is_called_gets_out_of_its_text() {
        assert_eq!(escape("<script>\"'&\u{7}"), "&lt;script&gt;&quot;&#39;&amp; ");
    }
}
