//! Want of memory, of workers and of programs alike.

use std::time::Duration;

use super::facts::Database;
use super::group::Group;
use super::shared::Well;
use super::{Finding, LATELY, Severity};
use crate::counted::counted;
use crate::death::Proof;
use crate::time::{since, words};
use crate::worker::WorkerRow;

/// One finding for all who ran out of it, if anybody did.
pub(super) fn out_of_memory(database: &Database, group: &Group<'_>, well: &Well<'_>) -> Option<Finding> {
    let killed: Vec<&WorkerRow> = database.workers.iter().filter(|w| starved(database, w)).collect();
    if killed.is_empty() && group.cases.is_empty() {
        return None;
    }
    let what = match (killed.len(), group.cases.len()) {
        (0, _) => group.what("ran out of memory", "ran out of memory"),
        (_, 0) => format!("{} killed for want of memory", were(killed.len())),
        (_, _) => {
            format!(
                "{} killed for want of memory; {}",
                were(killed.len()),
                group.what("ran out of it", "ran out of it")
            )
        }
    };
    let died = |worker: &&WorkerRow| {
        let beside = worker
            .died_with
            .map_or_else(String::new, |jobs| format!(", while it ran {}", counted(jobs, "job")));
        format!(
            "{} on {} ended {} ago: {}{beside}",
            worker.id,
            worker.hostname,
            words(worker.ended_at.map_or(Duration::ZERO, |at| since(database.as_of, at))),
            worker.end_reason.clone().unwrap_or_default()
        )
    };
    let because = match killed.is_empty() {
        false => "the kernel counted a kill for want of memory when they ended".to_owned(),
        true => format!("their errors say so: {}", group.sample()),
    };
    let common = group.shared(well);
    let mut finding = Finding::new("jobs.out_of_memory", Severity::Error, what)
        .seen(killed.iter().map(died))
        .seen(common.said)
        .seen(group.messages())
        .comes_from("jobs need more memory together than their worker has", because)
        .mended_by([
            "run fewer at once: JOBFORGE_SLOTS of the workers; or give their control group, or the program, more memory",
        ])
        .read_more("stuck-jobs#jobs-stop-at-the-same-percent");
    if !group.cases.is_empty() {
        finding.mend.extend(group.again());
    }
    Some(finding)
}

fn were(workers: usize) -> String {
    format!("{} {}", counted(workers, "worker"), if workers == 1 { "was" } else { "were" })
}

/// Whether a worker was killed lately for want of memory.
pub(super) fn starved(database: &Database, worker: &WorkerRow) -> bool {
    let proof = worker.death.as_ref().map(|death| &death.proof);
    matches!(proof, Some(Proof::Signaled { oom_kills: Some(_), .. }))
        && worker.ended_at.is_some_and(|at| since(database.as_of, at) <= LATELY)
}
