//! How a worker process ended, told by the process that saw it.

use jobforge_core::death::{Death, DeathReport, ProcessId, Proof};
use jobforge_core::job::{JobId, WorkerId};
use jobforge_core::state::Status;
use serde::{Deserialize, Serialize};

/// `POST /v1/worker/deaths`: says how a worker process ended, so that its jobs run elsewhere at once and keep the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeathRequest {
    /// Which process.
    pub process: ProcessView,
    /// How it ended.
    pub end: ProcessEnd,
    /// The last lines that it wrote, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_output: Vec<String>,
}

/// One process of the machine, told from every other that had or will have its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessView {
    /// The start of the kernel: `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// The namespace in which `pid` counts: the inode of `/proc/self/ns/pid`.
    pub pid_namespace: u64,
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since the start of the kernel: field 22 of `/proc/PID/stat`.
    pub started: u64,
}

/// How a process ended, as its parent is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ProcessEnd {
    /// By itself.
    Exited {
        /// With this code.
        code: i32,
    },
    /// By a signal.
    Signaled {
        /// Its number.
        signal: i32,
        /// Its name, such as `SIGKILL`.
        name: String,
        /// The kernel's count of processes killed for want of memory, before and after, if it grew meanwhile.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        oom_kills: Option<(u64, u64)>,
    },
}

/// What the report of a death led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeathAnswer {
    /// The workers that the process was; empty if it had not registered.
    pub workers: Vec<WorkerId>,
    /// The jobs that were taken back by this report, and what they are now.
    pub jobs: Vec<TakenBack>,
}

/// A job that a dead worker held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenBack {
    /// The job.
    pub id: JobId,
    /// What it is now.
    pub status: Status,
}

impl DeathRequest {
    /// What a parent has seen; `None` for a proof that no parent gives.
    pub fn of(report: &DeathReport) -> Option<Self> {
        let end = match &report.death.proof {
            Proof::Exited { code } => ProcessEnd::Exited { code: *code },
            Proof::Signaled { signal, name, oom_kills } => {
                ProcessEnd::Signaled { signal: *signal, name: name.clone(), oom_kills: *oom_kills }
            }
            Proof::SlotTaken { .. } | Proof::Rebooted | Proof::Ended | Proof::Restored => return None,
        };
        let ProcessId { machine_id: _, boot_id, pid_namespace, pid, started } = report.process.clone();
        let process = ProcessView { boot_id, pid_namespace, pid, started };
        Some(Self { process, end, last_output: report.death.last_output.clone() })
    }

    /// The report to a store; `machine_id` is that of the machine on which it was received.
    pub fn report(self, machine_id: String) -> DeathReport {
        let ProcessView { boot_id, pid_namespace, pid, started } = self.process;
        let proof = match self.end {
            ProcessEnd::Exited { code } => Proof::Exited { code },
            ProcessEnd::Signaled { signal, name, oom_kills } => Proof::Signaled { signal, name, oom_kills },
        };
        DeathReport {
            process: ProcessId { machine_id, boot_id, pid_namespace, pid, started },
            death: Death::new(proof, self.last_output),
        }
    }
}
