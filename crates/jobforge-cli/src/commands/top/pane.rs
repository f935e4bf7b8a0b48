//! The panes of `top`: what each shows of a look, line by line.

use std::time::Duration;

use jiff::Timestamp;
use jobforge::core::dead::DeadGroup;
use jobforge::core::job::{JobId, WorkerId};
use jobforge::core::overview::{COUNTED_TO, DEAD_COUNTED_TO};
use jobforge::core::schedule::{ScheduleState, ScheduleView};
use jobforge::core::time::{since, words};
use jobforge::core::verdict::Verdict;

use super::events;
use super::seen::{Queue, Running, Seen, Working};
use crate::output::printable;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pane {
    Running,
    Queues,
    Workers,
    Schedules,
    Dead,
    Events,
}

/// How a line is, for its colour; its words say it as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Dim,
    /// It is being seen to.
    Warn,
    /// A person must act.
    Bad,
}

/// What a line stands for: what can be looked at, or done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Job(JobId),
    Queue { name: String, paused: bool },
    Worker(WorkerId),
    Schedule { name: String, paused: bool },
    DeadGroup { group: String, sample: JobId, count: u64 },
    Nothing,
}

/// One line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) cells: Vec<String>,
    pub(super) tone: Tone,
    pub(super) target: Target,
}

/// A column: its name, its least width, and whether it takes what is left.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) width: u16,
    pub(super) grows: bool,
}

const fn column(name: &'static str, width: u16) -> Column {
    Column { name, width, grows: false }
}

const fn rest(name: &'static str, width: u16) -> Column {
    Column { name, width, grows: true }
}

impl Pane {
    pub(super) const ALL: [Self; 6] =
        [Self::Running, Self::Queues, Self::Workers, Self::Schedules, Self::Dead, Self::Events];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Queues => "Queues",
            Self::Workers => "Workers",
            Self::Schedules => "Schedules",
            Self::Dead => "Dead",
            Self::Events => "Events",
        }
    }

    /// The most important columns come first: a narrow terminal shows as many as fit.
    pub(super) fn columns(self) -> Vec<Column> {
        match self {
            Self::Running => vec![
                column("SILENT", 9),
                column("JOB", 9),
                column("VERDICT", 11),
                column("AT", 5),
                rest("TYPE", 14),
                column("TRY", 5),
                column("RUNS FOR", 12),
                column("QUEUE", 12),
                column("WORKER", 16),
                rest("PHASE AND MESSAGE", 20),
            ],
            Self::Queues => vec![
                rest("QUEUE", 16),
                column("READY", 8),
                column("RUNNING", 8),
                column("WORKERS", 8),
                column("OLDEST", 12),
                column("LATER", 8),
                column("STATE", 14),
            ],
            Self::Workers => vec![
                rest("WORKER", 16),
                column("STATE", 15),
                column("HEARD", 9),
                column("LEASE", 8),
                column("BUSY", 7),
                column("PROCESS", 20),
                rest("QUEUES", 12),
            ],
            Self::Schedules => vec![
                rest("SCHEDULE", 18),
                column("STATE", 8),
                column("NEXT IN", 12),
                column("LAST SUCCESS", 14),
                column("FAILED", 6),
                rest("WHEN", 16),
            ],
            Self::Dead => vec![
                column("JOBS", 7),
                column("LAST", 12),
                column("TYPE", 14),
                rest("DIED OF", 24),
                column("GROUP", 12),
            ],
            Self::Events => {
                vec![column("AGO", 12), column("WHO", 16), column("DID", 18), rest("TO", 20), rest("WHY", 14)]
            }
        }
    }

    /// Its lines that have the word in them.
    pub(super) fn lines(self, seen: &Seen, filter: &str) -> Vec<Line> {
        let now = seen.as_of;
        let lines: Vec<Line> = match self {
            Self::Running => seen.running.iter().map(running).collect(),
            Self::Queues => seen.queues.iter().map(|queue| self::queue(queue, now)).collect(),
            Self::Workers => seen.workers.iter().map(worker).collect(),
            Self::Schedules => seen.schedules.iter().map(|view| schedule(view, now)).collect(),
            Self::Dead => seen
                .dead
                .iter()
                .map(|group| Line {
                    cells: vec![
                        counted_dead(group.count),
                        format!("{} ago", words(since(now, group.last_at))),
                        printable(&group.job_type),
                        printable(&group.pattern),
                        group.group.clone(),
                    ],
                    tone: Tone::Plain,
                    target: dead_target(group),
                })
                .collect(),
            Self::Events => events::lines(seen),
        };
        let filter = filter.to_lowercase();
        let has = |line: &Line| line.cells.iter().any(|cell| cell.to_lowercase().contains(&filter));
        lines.into_iter().filter(|line| filter.is_empty() || has(line)).collect()
    }
}

fn ms(time: u64) -> String {
    words(Duration::from_millis(time))
}

/// The end of a job's id tells jobs apart; its beginning is the time.
pub(super) fn short(id: JobId) -> String {
    let text = id.to_string();
    text.get(text.len().saturating_sub(8)..).unwrap_or(&text).to_owned()
}

fn running(job: &Running) -> Line {
    let said = [job.phase.as_deref(), job.message.as_deref()];
    let said: Vec<&str> = said.into_iter().flatten().collect();
    let tone = match job.verdict {
        Some(Verdict::Running | Verdict::Draining) | None => Tone::Plain,
        Some(Verdict::Suspect | Verdict::Recovering | Verdict::Overdue | Verdict::Held) => Tone::Warn,
        Some(Verdict::NoProgress | Verdict::TimedOut | Verdict::Stopped | Verdict::Orphan) => Tone::Bad,
    };
    Line {
        cells: vec![
            ms(job.silent_ms),
            short(job.id),
            job.verdict.map_or("-", Verdict::as_str).replace('_', " "),
            job.percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent} %")),
            printable(&job.job_type),
            format!("{}/{}", job.attempt, job.max_attempts),
            ms(job.runs_for_ms),
            printable(&job.queue),
            job.worker.as_ref().map(ToString::to_string).unwrap_or_default(),
            printable(&said.join(": ")),
        ],
        tone,
        target: Target::Job(job.id),
    }
}

/// Dead jobs of one cause, of which no more are counted.
pub(super) fn counted_dead(count: u64) -> String {
    if count >= DEAD_COUNTED_TO { format!("{count}+") } else { count.to_string() }
}

pub(super) fn dead_target(group: &DeadGroup) -> Target {
    Target::DeadGroup { group: group.group.clone(), sample: group.sample, count: group.count }
}

pub(super) fn capped(count: u64) -> String {
    if count >= COUNTED_TO { format!("{count}+") } else { count.to_string() }
}

fn queue(queue: &Queue, now: Timestamp) -> Line {
    let Queue { info, workers } = queue;
    let unserved = info.ready > 0 && *workers == 0;
    let (state, tone) = match info.paused_at {
        Some(at) => (format!("paused {}", words(since(now, at))), Tone::Warn),
        None if unserved => ("no workers".to_owned(), Tone::Bad),
        None => ("active".to_owned(), Tone::Plain),
    };
    Line {
        cells: vec![
            printable(&info.name),
            capped(info.ready),
            capped(info.running),
            workers.to_string(),
            info.oldest_ready_at.map_or_else(|| "-".to_owned(), |at| words(since(now, at))),
            capped(info.scheduled),
            state,
        ],
        tone,
        target: Target::Queue { name: info.name.clone(), paused: info.paused_at.is_some() },
    }
}

fn worker(worker: &Working) -> Line {
    let tone = match (worker.is_well, worker.is_active) {
        (_, false) => Tone::Dim,
        (true, true) => Tone::Plain,
        (false, true) => Tone::Bad,
    };
    Line {
        cells: vec![
            worker.id.to_string(),
            worker.state.clone(),
            ms(worker.heard_ms),
            if worker.is_active { ms(worker.lease_ms) } else { "-".to_owned() },
            format!("{}/{}", worker.running, worker.slots),
            printable(&format!("{}:{}", worker.hostname, worker.pid)),
            printable(&worker.queues.join(",")),
        ],
        tone,
        target: Target::Worker(worker.id.clone()),
    }
}

fn schedule(view: &ScheduleView, now: Timestamp) -> Line {
    let kept = &view.schedule;
    let tone = match view.state {
        ScheduleState::Stale | ScheduleState::Late => Tone::Bad,
        ScheduleState::Failing | ScheduleState::Paused => Tone::Warn,
        _ => Tone::Plain,
    };
    let dash = || "-".to_owned();
    Line {
        cells: vec![
            printable(&view.name),
            view.state.to_string(),
            kept.next_at.map_or_else(dash, |at| words(since(at, now))),
            kept.last_success_at.map_or_else(dash, |at| format!("{} ago", words(since(now, at)))),
            kept.consecutive_failures.to_string(),
            printable(&view.when),
        ],
        tone,
        target: Target::Schedule {
            name: view.name.clone(),
            paused: kept.paused.as_ref().is_some_and(|pause| pause.holds(now)),
        },
    }
}
