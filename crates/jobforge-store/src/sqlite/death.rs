//! Workers that are proven dead: marked, and their jobs taken back in the same transaction.

use jobforge_core::death::{Death, DeathReport, Place, ProcessId, Proof};
use jobforge_core::job::WorkerId;
use jobforge_core::metric::DeadSource;
use jobforge_core::rescue::{RescuePolicy, Suspect, SuspectPage, plan};
use jobforge_core::time::Now;
use jobforge_core::worker::WorkerRow;
use rusqlite::params;

use super::rescue;
use super::rows::{self, earlier, json, limit};
use super::statements;
use super::tx::{Tx, as_of};
use crate::error::Result;
use crate::meter::Tally;
use crate::rows::{DEATH_PAGE, DEATH_PAGES, Deaths};

/// Marks all that a process was as dead, and takes its jobs back.
pub(super) fn report(tx: &Tx<'_>, report: &DeathReport, policy: &RescuePolicy, at: Now) -> Result<Deaths> {
    let now = tx.now(at)?;
    let process = &report.process;
    let (namespace, started) = (process.pid_namespace.cast_signed(), process.started.cast_signed());
    tx.prepare(&statements::DEAD_MARK)?.execute(params![
        process.machine_id,
        process.boot_id,
        namespace,
        process.pid,
        started,
        now,
        report.death.proof.to_string(),
        json(&report.death),
    ])?;
    let dead = tx
        .prepare(&statements::DEAD_FIND)?
        .all(params![process.machine_id, process.boot_id, namespace, process.pid, started], rows::worker)?;
    bury(tx, dead, policy, now, at)
}

/// Marks earlier holders of a slot as dead, and takes their jobs back.
pub(super) fn supersede(tx: &Tx<'_>, place: &Place, at: Now) -> Result<Deaths> {
    let Some(slot) = &place.slot else { return Ok(Deaths::default()) };
    let now = tx.now(at)?;
    let process = &place.process;
    let taken = Proof::SlotTaken { slot: slot.name.clone() };
    let (taken_words, rebooted_words) = (taken.to_string(), Proof::Rebooted.to_string());
    let dead = tx.prepare(&statements::SUPERSEDE)?.all(
        params![
            slot.id,
            process.machine_id,
            process.boot_id,
            process.pid_namespace.cast_signed(),
            process.pid,
            process.started.cast_signed(),
            earlier(now, place.up_for),
            now,
            taken_words,
            json(&Death::new(taken, [])),
            rebooted_words,
            json(&Death::new(Proof::Rebooted, [])),
        ],
        rows::worker,
    )?;
    bury(tx, dead, &slot.policy, now, at)
}

/// Takes back what ended workers hold; those that were marked now were not known to be lost.
fn bury(tx: &Tx<'_>, dead: Vec<WorkerRow>, policy: &RescuePolicy, marked: i64, at: Now) -> Result<Deaths> {
    let (marked, as_of) = (as_of(marked), as_of(tx.now(at)?));
    let mut deaths = Deaths::default();
    for _ in dead.iter().filter(|worker| worker.ended_at == Some(marked)) {
        tx.tally(Tally::DeclaredDead);
    }
    let beside = company(tx, &dead)?.saturating_sub(1);
    for worker in dead {
        for _ in 0..DEATH_PAGES {
            let jobs = tx
                .prepare(&statements::DEAD_JOBS)?
                .all(params![worker.id.as_str(), limit(DEATH_PAGE)], rows::job)?;
            let suspects = jobs.into_iter().map(|job| Suspect {
                job,
                worker: Some(worker.clone()),
                beside: Some(beside),
            });
            let lines = plan(&SuspectPage { as_of, suspects: suspects.collect() }, policy);
            let report = rescue::apply(tx, &lines, DeadSource::Cleanup, at)?;
            if !deaths.add(lines, report) {
                break;
            }
        }
        deaths.workers.push(worker.id);
    }
    Ok(deaths)
}

/// How many jobs the process of these workers was running, over all reports of its death.
fn company(tx: &Tx<'_>, dead: &[WorkerRow]) -> Result<u32> {
    let mut company = dead.iter().filter_map(|worker| worker.died_with).max().unwrap_or(0);
    for worker in dead {
        let found = tx.prepare(&statements::DEAD_COUNT)?.one([worker.id.as_str()], |row| row.get(0))?;
        company = company.saturating_add(found.unwrap_or(0));
    }
    for worker in dead {
        tx.prepare(&statements::DIED_WITH)?.execute(params![worker.id.as_str(), company])?;
    }
    Ok(company)
}

/// Notes that a process is stopped, or that it goes on.
pub(super) fn stopped(tx: &Tx<'_>, process: &ProcessId, stopped: bool, at: Now) -> Result<Vec<WorkerId>> {
    let now = tx.now(at)?;
    tx.prepare(&statements::WORKER_STOPPED)?.all(
        params![
            process.machine_id,
            process.boot_id,
            process.pid_namespace.cast_signed(),
            process.pid,
            process.started.cast_signed(),
            stopped,
            now,
        ],
        |row| row.get(0).map(WorkerId),
    )
}
