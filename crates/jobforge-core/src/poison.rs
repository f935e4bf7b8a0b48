//! Jobs that take their worker down, told from the innocent ones that were running beside them.
//!
//! When a worker process dies, nobody knows which of its jobs it was. So none of several is charged with it; each is
//! remembered as having been there. A job that was there twice runs alone from then on: the next death has one cause only,
//! or the job has shown its innocence.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::death::Proof;
use crate::job::WorkerId;

/// Deaths of workers beside which a job may run in company.
const ALONE_AFTER: usize = 2;
/// Workers that a job may kill, whatever else it is allowed.
pub const MAX_KILLS: usize = 3;
/// Deaths that are remembered of one job, the newest ones.
const REMEMBERED: usize = 10;

/// The death of a worker process in which a job was running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crash {
    /// When it was reported.
    pub at: Timestamp,
    /// The worker.
    pub worker: Option<WorkerId>,
    /// The proof, in words.
    pub proof: String,
    /// Other jobs that were running in the process. With none, the job itself is the cause.
    pub beside: u32,
}

/// Whether a worker that ended like this was taken down: it did not end by its own will, nor with its machine.
pub fn takes_down(proof: &Proof) -> bool {
    match proof {
        // What ends itself says so by its code: 0, 75 for a lease that was lost, 130 when it was told to.
        Proof::Exited { code } => !matches!(code, 0 | 75 | 130),
        Proof::Signaled { .. } | Proof::SlotTaken { .. } | Proof::Ended => true,
        Proof::Rebooted | Proof::Restored => false,
    }
}

/// Adds a death to what is remembered of a job.
pub fn remember(known: &[Crash], crash: Crash) -> Vec<Crash> {
    let skip = (known.len() + 1).saturating_sub(REMEMBERED);
    known.iter().skip(skip).cloned().chain([crash]).collect()
}

/// Whether the job shall run in a process in which nothing else runs.
pub fn runs_alone(crashes: &[Crash]) -> bool {
    crashes.len() >= ALONE_AFTER
}

/// The proofs of the deaths that only this job can have caused.
pub fn kills(crashes: &[Crash]) -> Vec<&str> {
    crashes.iter().filter(|crash| crash.beside == 0).map(|crash| crash.proof.as_str()).collect()
}

/// Says in a sentence what the job did, if it did.
pub fn accusation(crashes: &[Crash]) -> Option<String> {
    let kills = kills(crashes);
    let times = match kills.len() {
        0 => return None,
        1 => "once".to_owned(),
        n => format!("{n} times"),
    };
    Some(format!("poison: it killed its worker {times} while nothing else ran there ({})", kills.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crash(proof: &str, beside: u32) -> Crash {
        Crash { at: Timestamp::UNIX_EPOCH, worker: None, proof: proof.to_owned(), beside }
    }

    #[test]
    fn a_job_runs_alone_after_the_second_death_and_is_accused_only_of_those_it_was_alone_in() {
        let once = remember(&[], crash("signal 9 (SIGKILL)", 3));
        assert!(!runs_alone(&once) && accusation(&once).is_none());
        let twice = remember(&once, crash("signal 9 (SIGKILL)", 3));
        assert!(runs_alone(&twice) && accusation(&twice).is_none());
        let alone = remember(&twice, crash("signal 11 (SIGSEGV)", 0));
        assert_eq!(
            accusation(&alone).as_deref(),
            Some("poison: it killed its worker once while nothing else ran there (signal 11 (SIGSEGV))")
        );
    }

    #[test]
    fn only_the_newest_deaths_are_remembered() {
        let many = (0..30).fold(Vec::new(), |known, n| remember(&known, crash(&n.to_string(), n)));
        assert_eq!((many.len(), many[0].beside, many[9].beside), (REMEMBERED, 20, 29));
    }

    #[test]
    fn workers_that_end_themselves_or_with_their_machine_were_not_taken_down() {
        for code in [0, 75, 130] {
            assert!(!takes_down(&Proof::Exited { code }), "{code}");
        }
        assert!(!takes_down(&Proof::Rebooted));
        assert!(takes_down(&Proof::Exited { code: 101 }));
        assert!(takes_down(&Proof::SlotTaken { slot: "mail".to_owned() }));
    }
}
