//! Proof that a worker process is dead, and the certificate that its jobs keep.
//!
//! Silence is no proof: a worker that is not heard may be frozen or cut off, and its jobs must wait for its lease. Proof
//! comes from a kernel that saw the process end, so its jobs may run elsewhere at once.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::payload::sanitize_text;
use crate::rescue::RescuePolicy;

/// Lines of output that a certificate keeps, and bytes of each.
pub const LAST_OUTPUT: (usize, usize) = (20, 500);

/// One process in the history of the world, so far as a kernel can tell: no two have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessId {
    /// The machine; clones and containers of one image may share it, so it proves nothing alone.
    pub machine_id: String,
    /// The start of its kernel.
    pub boot_id: String,
    /// The namespace in which `pid` counts: containers of one machine have one each.
    pub pid_namespace: u64,
    /// Its number there.
    pub pid: u32,
    /// When it started, in clock ticks since the start of the kernel: process numbers are used again.
    pub started: u64,
}

/// A place of work on a machine that at most one living process holds, by a lock that ends with it.
#[derive(Debug, Clone)]
pub struct Slot {
    /// What people call it.
    pub name: String,
    /// The very file that is locked: new with every file, so that a copy is another slot.
    pub id: String,
    /// By which rules the jobs of earlier holders are taken back.
    pub policy: RescuePolicy,
}

/// Where a worker runs, as far as its operating system says.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its process.
    pub process: ProcessId,
    /// How long the kernel has been up: whoever was heard since cannot have died with an earlier start of it.
    pub up_for: Duration,
    /// The slot whose lock it holds.
    pub slot: Option<Slot>,
}

/// Why it is certain that a process is dead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Proof {
    /// Its parent saw it exit.
    Exited {
        /// With this code.
        code: i32,
    },
    /// Its parent saw it killed.
    Signaled {
        /// By this signal.
        signal: i32,
        /// Its name, such as `SIGKILL`.
        name: String,
        /// The kernel's count of processes killed for want of memory, before and after, if it grew meanwhile.
        oom_kills: Option<(u64, u64)>,
    },
    /// Another process holds the lock that it held.
    SlotTaken {
        /// The slot.
        slot: String,
    },
    /// Its machine has started anew.
    Rebooted,
    /// The server that it spoke to saw its process end, though not how: that only a parent is told.
    Ended,
    /// The database is a copy, restored: whoever held a lease where the copy was made holds none here.
    Restored,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { code } => write!(f, "exit code {code}"),
            Self::Signaled { signal, oom_kills: Some((before, after)), .. } => {
                write!(f, "signal {signal}, out of memory (cgroup oom_kill {before}→{after})")
            }
            Self::Signaled { signal, name, oom_kills: None } => write!(f, "signal {signal} ({name})"),
            Self::SlotTaken { slot } => write!(f, "successor holds slot {slot}"),
            Self::Rebooted => f.write_str("boot id changed"),
            Self::Ended => f.write_str("its process ended, as its server saw"),
            Self::Restored => f.write_str("the database was restored from a backup"),
        }
    }
}

/// What is known of an end: kept with the worker and with each attempt that it cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// Why it is certain.
    pub proof: Proof,
    /// The last lines that the process wrote, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_output: Vec<String>,
}

impl Death {
    /// A certificate with as much of the output as is kept.
    pub fn new(proof: Proof, output: impl IntoIterator<Item = String>) -> Self {
        let mut last_output: Vec<String> = output.into_iter().collect();
        last_output.drain(..last_output.len().saturating_sub(LAST_OUTPUT.0));
        for line in &mut last_output {
            *line = sanitize_text(line);
            let cut = (0..=LAST_OUTPUT.1).rev().find(|&i| line.is_char_boundary(i)).unwrap_or(0);
            line.truncate(cut.min(line.len()));
        }
        Self { proof, last_output }
    }
}

/// A process that somebody saw dead.
#[derive(Debug, Clone)]
pub struct DeathReport {
    /// The process, whichever worker incarnations it was.
    pub process: ProcessId,
    /// What is known of its end.
    pub death: Death,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_proof_says_in_words_what_was_seen() {
        let killed =
            |oom_kills| Proof::Signaled { signal: 9, name: "SIGKILL".to_owned(), oom_kills }.to_string();
        assert_eq!(killed(None), "signal 9 (SIGKILL)");
        assert_eq!(killed(Some((0, 1))), "signal 9, out of memory (cgroup oom_kill 0→1)");
        assert_eq!(Proof::Exited { code: 101 }.to_string(), "exit code 101");
        assert_eq!(Proof::SlotTaken { slot: "mail".to_owned() }.to_string(), "successor holds slot mail");
        assert_eq!(Proof::Rebooted.to_string(), "boot id changed");
        assert_eq!(Proof::Ended.to_string(), "its process ended, as its server saw");
        assert_eq!(Proof::Restored.to_string(), "the database was restored from a backup");
    }

    #[test]
    fn a_certificate_keeps_the_end_of_the_output_and_cuts_long_lines_between_characters() {
        let lines = (0..100).map(|n| format!("{n} {}", "ä".repeat(400)));
        let death = Death::new(Proof::Rebooted, lines);
        assert_eq!(death.last_output.len(), LAST_OUTPUT.0);
        assert!(death.last_output[0].starts_with("80 ä") && death.last_output[19].starts_with("99 ä"));
        assert!(death.last_output.iter().all(|line| line.len() <= LAST_OUTPUT.1));
    }
}
