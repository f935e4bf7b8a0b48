//! Resource limits of a child process: the one module of the library with unsafe code, for one call.

#![expect(unsafe_code, reason = "limits must be set in the child between fork and exec; only pre_exec can")]

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::process::Command;

/// A program that ignores SIGXCPU is killed this many CPU seconds later.
pub(super) const CPU_HARD_MARGIN_S: u64 = 5;

/// What one program may use; `None` is no limit of ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// Address space in MiB, for each process of the group on its own.
    pub memory_mb: Option<u64>,
    /// CPU time in seconds, for each process of the group on its own.
    pub cpu_seconds: Option<u64>,
}

impl Limits {
    /// Makes `command` start under these limits.
    ///
    /// Set by the child itself before it becomes the program, so there is no moment in which the program runs
    /// without them, as there would be with `prlimit` on its pid after the spawn.
    pub(super) fn apply(self, command: &mut Command) {
        let memory = self.memory_mb.map(|mb| bounded(Resource::RLIMIT_AS, mb << 20, mb << 20));
        let cpu = self.cpu_seconds.map(|s| bounded(Resource::RLIMIT_CPU, s, s + CPU_HARD_MARGIN_S));
        if memory.is_none() && cpu.is_none() {
            return;
        }
        let set = move || {
            if let Some((soft, hard)) = memory {
                setrlimit(Resource::RLIMIT_AS, soft, hard)?;
            }
            if let Some((soft, hard)) = cpu {
                setrlimit(Resource::RLIMIT_CPU, soft, hard)?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec only async-signal-safe work is allowed. The closure owns four plain numbers,
        // makes at most two setrlimit(2) calls, takes no lock and allocates nothing; its error is a bare errno.
        unsafe { command.pre_exec(set) };
    }
}

/// A limit can be lowered by anyone and raised by nobody: a wish above what this process has is cut to it.
fn bounded(resource: Resource, soft: u64, hard: u64) -> (u64, u64) {
    let ceiling = getrlimit(resource).map_or(u64::MAX, |(_, hard)| hard);
    (soft.min(ceiling), hard.min(ceiling))
}
