//! Counting what the database was made to do, once it is on disk. Called by both engines, so that every change is counted by
//! the process that made it, whoever asked for it.

use std::time::Duration;

use jobforge_core::claim::Claimed;
use jobforge_core::heartbeat::BeatReply;
use jobforge_core::job::NewJob;
use jobforge_core::metric::{Attempt, process, table};
use jobforge_core::schedule::{NewLine, RunOutcome};
use jobforge_core::settle::Settled;
use jobforge_core::worker::NewWorker;

use crate::rows::{Enqueued, FiredLine};

/// Something that counts when its transaction is on disk.
#[derive(Debug, Clone)]
pub(crate) enum Tally {
    /// A job was put into this queue, or had been before.
    Enqueued { queue: String, created: bool },
    /// So many moments of a schedule had their line.
    Moments { schedule: String, outcome: RunOutcome, ticks: u64 },
    /// An attempt ended.
    Ended(Attempt),
    /// A job of this queue was claimed so long after it was due.
    Waited(String, Duration),
    /// A waiting job of this queue was canceled.
    Cancelled(String),
    /// A person queued a job of this queue again.
    Retried(String),
    /// A worker was found to be dead.
    DeclaredDead,
    /// A worker that had been declared lost is there again.
    Resurrected,
}

impl Tally {
    pub(crate) fn count(self) {
        let registry = process();
        match self {
            Self::Enqueued { queue, created } => {
                registry.know_queue(&queue);
                registry.add(&table::ENQUEUED, &[&queue, if created { "created" } else { "duplicate" }], 1);
            }
            Self::Moments { schedule, outcome, ticks } => {
                registry.know_schedule(&schedule);
                registry.add(&table::SCHEDULE_RUNS, &[&schedule, outcome.as_str()], ticks);
                if outcome == RunOutcome::Missed {
                    registry.add(&table::SCHEDULE_MISSED, &[&schedule], ticks);
                }
            }
            Self::Ended(attempt) => registry.attempt_ended(&attempt),
            Self::Waited(queue, wait) => registry.observe(&table::CLAIM_WAIT, &[&queue], wait),
            Self::Cancelled(queue) => registry.add(&table::CANCELLED, &[&queue], 1),
            Self::Retried(queue) => registry.add(&table::RETRIED, &[&queue], 1),
            Self::DeclaredDead => registry.add(&table::DECLARED_DEAD, &[], 1),
            Self::Resurrected => registry.add(&table::RESURRECTED, &[], 1),
        }
    }
}

/// What a worker serves begins at zero.
pub(crate) fn registered(worker: &NewWorker) {
    worker.queues.iter().for_each(|queue| process().know_queue(queue));
    worker.types.iter().flatten().for_each(|name| process().know_job(name));
}

/// A line of a schedule's ledger that was written.
pub(crate) fn fired(line: &FiredLine) -> Tally {
    let NewLine { outcome, ticks, .. } = line.line;
    Tally::Moments { schedule: line.schedule.clone(), outcome, ticks }
}

/// Jobs that were put in, or had been before.
pub(crate) fn enqueued(jobs: &[NewJob], answers: &[Enqueued]) {
    for (job, answer) in jobs.iter().zip(answers) {
        Tally::Enqueued { queue: job.queue.clone(), created: answer.created }.count();
    }
}

/// One claim.
pub(crate) fn claimed(claimed: &Claimed, took: Duration) {
    let result = if claimed.jobs.is_empty() { "empty" } else { "jobs" };
    process().add(&table::CLAIMS, &[result], 1);
    process().observe(&table::CLAIM_SECONDS, &[], took);
}

/// One batch of heartbeats.
pub(crate) fn beaten(replies: &[BeatReply]) {
    let kept = replies.iter().filter(|reply| matches!(reply, BeatReply::Kept)).count() as u64;
    process().add(&table::HEARTBEAT_SENT, &[], kept);
    process().add(&table::FENCED, &["heartbeat"], replies.len() as u64 - kept);
}

/// One batch of settlements; what they ended is counted apart.
pub(crate) fn settled(answers: &[Settled]) {
    let refused = |answer: &&Settled| matches!(answer, Settled::Fenced { .. } | Settled::Gone);
    process().add(&table::FENCED, &["result"], answers.iter().filter(refused).count() as u64);
}

/// Whether the last statement reached the database.
pub(crate) fn reached(reached: bool) {
    process().set(&table::DATABASE_UP, &[], f64::from(u8::from(reached)));
}

/// What a statement is for: few words, so that each may be a label. The names of files say it first.
pub(crate) fn op(statement: &str) -> &'static str {
    let first = statement.split('_').next().unwrap_or_default();
    match first {
        "enqueue" | "kind" | "listed" | "tagged" => "enqueue",
        "claim" => "claim",
        "heartbeat" | "log" | "progress" => "heartbeat",
        "settle" | "settled" | "owner" | "result" | "success" => "settle",
        "rescue" | "suspects" => "rescue",
        "attempt" | "attempts" => "attempt",
        "register" | "worker" | "workers" | "leave" | "supersede" | "least" | "few" | "died" | "restart" => {
            "worker"
        }
        "renew" | "attending" | "fleet" => "renew",
        "expire" => "expire",
        "watchdog" | "watchdogs" | "silent" => "watchdog",
        "reconcile" => "reconcile",
        "dead" | "report" => "dead",
        "job" | "jobs" | "logs" | "facts" => "job",
        "queue" | "queues" | "pause" | "resume" => "queue",
        "status" | "tenant" | "tenants" => "count",
        "gauge" => "gauge",
        "move" | "cancel" | "retry" | "delete" => "move",
        "purge" | "purgeable" => "purge",
        "audit" => "audit",
        "token" | "tokens" => "token",
        "setting" | "settings" => "settings",
        "operation" | "operations" => "operation",
        "clock" => "clock",
        "schedule" | "schedules" | "scheduler" => "schedule",
        "alert" | "alerts" | "silence" | "silences" => "alert",
        "housekeeper" | "tidy" | "check" | "room" | "times" => "upkeep",
        "anew" | "begin" => "restore",
        "migrations" => "migrate",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn statements_are_told_by_at_most_thirty_words() {
        let names = ["sqlite", "postgres"].into_iter().flat_map(|engine| {
            let folder = format!("{}/sql/{engine}", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_dir(folder).expect("sql").map(|entry| entry.expect("entry").file_name())
        });
        let names: Vec<String> = names.map(|name| name.to_string_lossy().replace(".sql", "")).collect();
        let ops: BTreeSet<&str> = names.iter().map(|name| op(name)).collect();
        assert!(ops.len() <= 30, "{ops:?}");
        let other: Vec<&String> = names.iter().filter(|name| op(name) == "other").collect();
        assert!(other.len() <= 8, "give these a word: {other:?}");
    }
}
