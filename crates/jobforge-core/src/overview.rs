//! How the whole is, as whoever is called at night needs it: what is broken, what is being done about it, what a person must do.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::alert::render::runbook_url;
use crate::alert::rules::Severity;
use crate::alert::state::Active;
use crate::counted::counted;
use crate::dead::DeadGroup;
use crate::job::{JobId, WorkerId};
use crate::role::Role;
use crate::schedule::{ScheduleState, ScheduleView};
use crate::standing::{Kind, NextStep, Standing};
use crate::time::{since, words};
use crate::worker::WorkerRow;

/// A job that died longer ago is no news.
pub const DEAD_IS_NEWS_FOR: Duration = Duration::from_secs(3600);
/// Counts of jobs by queue and status stop here: whoever looks at the whole looks again and again.
pub const COUNTED_TO: u64 = 2_000;
/// The count of what died of one cause stops here.
pub const DEAD_COUNTED_TO: u64 = 1000;
/// Causes of death that are looked at when all is looked at: those that killed last.
pub const DEAD_CAUSES: usize = 200;
/// Troubles that are told one by one; more are counted.
pub const MOST_TROUBLES: usize = 30;

/// How much the whole, or one trouble, matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing is wrong.
    Well,
    /// Something is wrong, and JobForge sees to it.
    Mending,
    /// A person must do something.
    Act,
}

impl Level {
    /// What the bar over everything says.
    pub fn words(self) -> &'static str {
        match self {
            Self::Well => "All well",
            Self::Mending => "Being mended",
            Self::Act => "Action needed",
        }
    }
}

/// What a trouble is about, for whoever links to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "id")]
pub enum About {
    /// What no process of the fleet does.
    Role(&'static str),
    /// A running job.
    Job(JobId),
    /// Running jobs of a type.
    Jobs(String),
    /// A worker process.
    Worker(WorkerId),
    /// A queue.
    Queue(String),
    /// A schedule.
    Schedule(String),
    /// Dead jobs of one cause.
    DeadGroup(String),
    /// An alert, by its rule.
    Alert(String),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Whether a person must do something.
    pub level: Level,
    /// What it is about.
    pub about: About,
    /// What is broken.
    pub what: String,
    /// What happens next without anybody doing anything.
    pub next: NextStep,
    /// What a person types first.
    pub command: String,
    /// Where it is explained, for an alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runbook_url: Option<String>,
}

/// The whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// How much it matters: as much as the worst trouble.
    pub level: Level,
    /// What is wrong, the worst first.
    pub troubles: Vec<Trouble>,
    /// How many more there are.
    pub more: usize,
    /// The database's clock.
    pub as_of: Timestamp,
}

/// Running jobs in the same trouble.
#[derive(Debug, Clone)]
pub struct StuckGroup {
    /// Their type.
    pub job_type: String,
    /// How many.
    pub jobs: usize,
    /// One of them.
    pub sample: JobId,
    /// How that one is.
    pub standing: Standing,
}

/// A queue, and who takes from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueLoad {
    /// Its name.
    pub name: String,
    /// Jobs that may be claimed now.
    pub ready: u64,
    /// Since when the oldest of them waits.
    pub oldest_ready_at: Option<Timestamp>,
    /// Since when it is paused.
    pub paused_at: Option<Timestamp>,
    /// Live workers that take from it.
    pub workers: usize,
}

impl QueueLoad {
    /// Whether jobs wait that nobody takes.
    pub fn is_unserved(&self) -> bool {
        self.ready > 0 && self.paused_at.is_none() && self.workers == 0
    }
}

/// What is known when the whole is assessed.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The database's clock.
    pub as_of: Timestamp,
    /// What no process does, and when the last sign of one came that did.
    pub unmanned: &'a [(Role, Option<Timestamp>)],
    /// Running jobs in trouble.
    pub stuck: &'a [StuckGroup],
    /// Every queue.
    pub queues: &'a [QueueLoad],
    /// Workers as they are known.
    pub workers: &'a [WorkerRow],
    /// Schedules in trouble.
    pub schedules: &'a [ScheduleView],
    /// Alerts that fire and are not silenced.
    pub alerts: &'a [Active],
    /// Why jobs are dead.
    pub dead: &'a [DeadGroup],
}

/// Assesses the whole.
pub fn assess(facts: &Facts<'_>) -> Overview {
    let mut troubles: Vec<Trouble> = Vec::new();
    troubles.extend(facts.unmanned.iter().map(|(role, last)| unmanned(*role, *last, facts.as_of)));
    troubles.extend(facts.stuck.iter().map(stuck));
    troubles.extend(facts.workers.iter().filter_map(|row| worker(row, facts.as_of)));
    troubles.extend(facts.queues.iter().filter_map(|load| queue(load, facts.as_of)));
    troubles.extend(facts.schedules.iter().filter_map(|view| schedule(view, facts.as_of)));
    troubles.extend(facts.dead.iter().filter_map(|group| dead(group, facts.as_of)));
    troubles.extend(facts.alerts.iter().map(alert));
    // Stable: within a level the order above is that of urgency.
    troubles.sort_by_key(|trouble| std::cmp::Reverse(trouble.level));
    let level = troubles.first().map_or(Level::Well, |worst| worst.level);
    let more = troubles.len().saturating_sub(MOST_TROUBLES);
    troubles.truncate(MOST_TROUBLES);
    Overview { level, troubles, more, as_of: facts.as_of }
}

fn nothing_happens() -> NextStep {
    NextStep { what: "nothing, until somebody acts".to_owned(), by: "nobody".to_owned(), at: None }
}

fn step(what: impl Into<String>, by: &str, at: Option<Timestamp>) -> NextStep {
    NextStep { what: what.into(), by: by.to_owned(), at }
}

fn unmanned(role: Role, last: Option<Timestamp>, as_of: Timestamp) -> Trouble {
    let harm = match role {
        Role::Api => "nobody answers over HTTP",
        Role::Watchdog => "jobs of a lost worker do not come back",
        Role::Scheduler => "no schedule fires",
        Role::Housekeeper => "the audit log is not sealed and the queue not mended",
        Role::Alerts => "nobody is told of anything",
    };
    let ago = last.map_or_else(
        || format!("no {role} has ever been here"),
        |at| format!("no {role} has given a sign for {}", words(since(as_of, at))),
    );
    Trouble {
        level: Level::Act,
        about: About::Role(role.as_str()),
        what: format!("{ago}: {harm}"),
        next: nothing_happens(),
        command: format!("jobforge serve --roles {role}"),
        runbook_url: None,
    }
}

fn stuck(group: &StuckGroup) -> Trouble {
    let standing = &group.standing;
    let what = match group.jobs {
        1 => format!("job {} ({}) {}", group.sample, group.job_type, standing.headline),
        jobs => format!("{jobs} jobs ({}), such as {}: {}", group.job_type, group.sample, standing.headline),
    };
    Trouble {
        // What has a known next step is being mended; what is stuck beyond it is not.
        level: if standing.kind == Kind::Stuck && standing.next.at.is_none() {
            Level::Act
        } else {
            Level::Mending
        },
        about: match group.jobs {
            1 => About::Job(group.sample),
            _ => About::Jobs(group.job_type.clone()),
        },
        what,
        next: standing.next.clone(),
        command: format!("jobforge job explain {}", group.sample),
        runbook_url: None,
    }
}

fn worker(row: &WorkerRow, as_of: Timestamp) -> Option<Trouble> {
    if !row.state.is_active() {
        return None;
    }
    let place = format!("worker {} (pid {} on {})", row.id, row.pid, row.hostname);
    let expiry = || {
        step(
            "its jobs go to other workers when its lease has run out",
            "the watchdog",
            Some(row.lease_expires_at),
        )
    };
    let (what, command) = if let Some(at) = row.stopped_at {
        let what = format!("{place} is stopped since {}, by SIGSTOP or a debugger", words(since(as_of, at)));
        (what, format!("kill -CONT {}", row.pid))
    } else if let Some(at) = row.suspect_at {
        let what = format!("{place} has lost its connection {} ago", words(since(as_of, at)));
        (what, "jobforge worker list".to_owned())
    } else if row.lease_expires_at <= as_of {
        let silent = words(since(as_of, row.last_heartbeat_at));
        (format!("{place} has not been heard for {silent}"), "jobforge worker list".to_owned())
    } else {
        return None;
    };
    let about = About::Worker(row.id.clone());
    Some(Trouble { level: Level::Mending, about, what, next: expiry(), command, runbook_url: None })
}

fn queue(load: &QueueLoad, as_of: Timestamp) -> Option<Trouble> {
    if load.ready == 0 {
        return None;
    }
    let name = &load.name;
    let waits = load
        .oldest_ready_at
        .map_or(String::new(), |at| format!(", the oldest for {}", words(since(as_of, at))));
    let (what, command) = match (load.paused_at, load.workers) {
        (Some(at), _) => {
            let paused = words(since(as_of, at));
            let jobs = counted_to(COUNTED_TO, load.ready, "job");
            let what = format!("queue {name} is paused for {paused}; it has {jobs} to run{waits}");
            (what, format!("jobforge queue resume {name}"))
        }
        (None, 0) => {
            let jobs = counted_to(COUNTED_TO, load.ready, "ready job");
            let what = format!("queue {name} has {jobs} and no live worker{waits}");
            (what, format!("jobforge work --queues {name}"))
        }
        (None, _) => return None,
    };
    Some(Trouble {
        level: Level::Act,
        about: About::Queue(name.clone()),
        what,
        next: nothing_happens(),
        command,
        runbook_url: None,
    })
}

fn schedule(view: &ScheduleView, as_of: Timestamp) -> Option<Trouble> {
    let name = &view.name;
    let failures = match view.schedule.consecutive_failures {
        0 => String::new(),
        1 => ", its last run failed".to_owned(),
        n => format!(", its last {n} runs failed"),
    };
    let (level, what) = match view.state {
        ScheduleState::Stale => {
            let without = words(since(as_of, view.schedule.fresh_since(as_of)));
            let most = view.schedule.stale_after_ms.map(Duration::from_millis).map(words).unwrap_or_default();
            let what = format!(
                "schedule {name} has had no success for {without} (it may be without for {most}){failures}"
            );
            (Level::Act, what)
        }
        ScheduleState::Late => (Level::Mending, format!("schedule {name} is late{failures}")),
        ScheduleState::Failing => (Level::Mending, format!("schedule {name} does not succeed{failures}")),
        _ => return None,
    };
    let next = step("its next run", "the scheduler", view.schedule.next_at);
    let command = format!("jobforge schedule history {name}");
    Some(Trouble { level, about: About::Schedule(name.clone()), what, next, command, runbook_url: None })
}

/// So many of what stops being counted somewhere.
fn counted_to(cap: u64, number: u64, what: &str) -> String {
    if number == cap { format!("{number} or more {what}s") } else { counted(number, what) }
}

fn dead(group: &DeadGroup, as_of: Timestamp) -> Option<Trouble> {
    let ago = since(as_of, group.last_at);
    if ago > DEAD_IS_NEWS_FOR {
        return None;
    }
    Some(Trouble {
        level: Level::Act,
        about: About::DeadGroup(group.group.clone()),
        what: format!(
            "{} ({}), the last {} ago: {}",
            counted_to(DEAD_COUNTED_TO, group.count, "dead job"),
            group.job_type,
            words(ago),
            group.pattern
        ),
        next: step("they stay dead", "nobody", None),
        command: format!("jobforge dead list --group {}", group.group),
        runbook_url: None,
    })
}

fn alert(active: &Active) -> Trouble {
    Trouble {
        level: if active.severity == Severity::Info { Level::Mending } else { Level::Act },
        about: About::Alert(active.rule.clone()),
        what: format!("alert {} fires: {}", active.rule, active.summary),
        next: step("it resolves by itself when its condition no longer holds", "the judge of alerts", None),
        command: "jobforge alert list".to_owned(),
        runbook_url: Some(runbook_url(&active.rule)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{facts as job_facts, running_job, worker as a_worker};
    use crate::standing;
    use crate::standing::Rules;

    const NOTHING: Facts<'_> = Facts {
        as_of: Timestamp::UNIX_EPOCH,
        unmanned: &[],
        stuck: &[],
        queues: &[],
        workers: &[],
        schedules: &[],
        alerts: &[],
        dead: &[],
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn load(name: &str, ready: u64, workers: usize) -> QueueLoad {
        QueueLoad {
            name: name.to_owned(),
            ready,
            oldest_ready_at: (ready > 0).then(|| at(10)),
            paused_at: None,
            workers,
        }
    }

    fn died(count: u64, last: i64) -> DeadGroup {
        DeadGroup {
            group: "g1".to_owned(),
            job_type: "mail".to_owned(),
            kind: "handler".to_owned(),
            pattern: "no route to host".to_owned(),
            count,
            first_at: at(0),
            last_at: at(last),
            sample: JobId(uuid::Uuid::from_u128(7)),
        }
    }

    #[test]
    fn nothing_wrong_is_all_well() {
        let queues = [load("default", 5, 1), load("idle", 0, 0)];
        let workers = [a_worker(95, 115)];
        let seen = assess(&Facts { as_of: at(100), queues: &queues, workers: &workers, ..NOTHING });
        assert_eq!((seen.level, seen.troubles.len(), seen.more), (Level::Well, 0, 0));
    }

    #[test]
    fn a_missing_role_says_the_harm_and_what_to_type() {
        let unmanned = [(Role::Watchdog, Some(at(40))), (Role::Scheduler, None)];
        let seen = assess(&Facts { as_of: at(100), unmanned: &unmanned, ..NOTHING });
        assert_eq!(seen.level, Level::Act);
        let what: Vec<&str> = seen.troubles.iter().map(|trouble| trouble.what.as_str()).collect();
        assert_eq!(
            what,
            [
                "no watchdog has given a sign for 60 s: jobs of a lost worker do not come back",
                "no scheduler has ever been here: no schedule fires"
            ]
        );
        assert_eq!(seen.troubles[0].command, "jobforge serve --roles watchdog");
    }

    #[test]
    fn ready_jobs_need_a_worker_and_a_queue_that_is_not_paused() {
        let paused = QueueLoad { paused_at: Some(at(70)), ..load("held", 2, 3) };
        let queues = [load("reports", 412, 0), paused];
        let seen = assess(&Facts { as_of: at(100), queues: &queues, ..NOTHING });
        let told: Vec<(&str, &str)> =
            seen.troubles.iter().map(|t| (t.what.as_str(), t.command.as_str())).collect();
        assert_eq!(
            told,
            [
                (
                    "queue reports has 412 ready jobs and no live worker, the oldest for 90 s",
                    "jobforge work --queues reports"
                ),
                (
                    "queue held is paused for 30 s; it has 2 jobs to run, the oldest for 90 s",
                    "jobforge queue resume held"
                ),
            ]
        );
    }

    #[test]
    fn a_worker_past_its_lease_is_being_mended_and_a_paused_queue_comes_before_it() {
        let workers = [a_worker(50, 70)];
        let queues = [QueueLoad { paused_at: Some(at(70)), ..load("held", 2, 3) }];
        let seen = assess(&Facts { as_of: at(100), queues: &queues, workers: &workers, ..NOTHING });
        let levels: Vec<Level> = seen.troubles.iter().map(|trouble| trouble.level).collect();
        assert_eq!(levels, [Level::Act, Level::Mending]);
        assert_eq!(seen.troubles[1].next.by, "the watchdog");
        assert_eq!(seen.troubles[1].next.at, Some(at(70)));
    }

    #[test]
    fn a_job_whose_next_step_is_known_is_being_mended() {
        let mut known = job_facts(running_job(100), 135);
        known.worker = Some(a_worker(110, 130));
        let standing = standing::assess(&known, &Rules::default());
        let stuck =
            [StuckGroup { job_type: "email.send".to_owned(), jobs: 3, sample: known.job.id, standing }];
        let seen = assess(&Facts { as_of: at(135), stuck: &stuck, ..NOTHING });
        assert_eq!(seen.level, Level::Mending, "{seen:?}");
        assert!(seen.troubles[0].what.starts_with("3 jobs (email.send), such as "), "{seen:?}");
        assert_eq!(
            seen.troubles[0].about,
            About::Jobs("email.send".to_owned()),
            "where all of them are listed"
        );
    }

    #[test]
    fn only_who_died_lately_is_news() {
        let seen = assess(&Facts { as_of: at(7200), dead: &[died(3, 3000), died(17, 7000)], ..NOTHING });
        assert_eq!(seen.troubles.len(), 1);
        assert_eq!(seen.troubles[0].what, "17 dead jobs (mail), the last 3 min 20 s ago: no route to host");
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let queues: Vec<QueueLoad> = (0..MOST_TROUBLES + 5).map(|n| load(&format!("q{n}"), 1, 0)).collect();
        let seen = assess(&Facts { as_of: at(100), queues: &queues, ..NOTHING });
        assert_eq!((seen.troubles.len(), seen.more), (MOST_TROUBLES, 5));
    }
}
