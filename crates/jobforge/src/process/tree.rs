//! The children of this process: burying those that ended, ending those that must not go on.

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpgrp, getpid};

use super::stat::{self, Stat};

/// Takes note of the ends of all children but `except`, so that they do not stay in the table of processes for ever.
///
/// For a process that adopts orphans; one that waits for its own children would not learn of their ends any more.
pub fn reap_children(except: Option<u32>) {
    for (pid, _) in children(except).into_iter().filter(|(_, child)| child.has_ended) {
        let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
    }
}

/// Kills all children but `except`, each with its process group, and returns how many have not ended yet.
///
/// Their own children become children of whoever adopts orphans: an adopter calls this until nobody is left.
pub fn kill_children(except: Option<u32>) -> usize {
    let own_group = getpgrp().as_raw();
    let living: Vec<(Pid, Stat)> =
        children(except).into_iter().filter(|(_, child)| !child.has_ended).collect();
    for (pid, child) in &living {
        // What has ended meanwhile needs no signal.
        let _ = if child.group == own_group {
            kill(*pid, Signal::SIGKILL)
        } else {
            killpg(Pid::from_raw(child.group), Signal::SIGKILL)
        };
    }
    living.len()
}

fn children(except: Option<u32>) -> Vec<(Pid, Stat)> {
    let own = getpid().as_raw();
    let ours = |(pid, stat): &(u32, Stat)| stat.parent == own && Some(*pid) != except;
    let with_pid = |(pid, stat)| Some((Pid::from_raw(i32::try_from(pid).ok()?), stat));
    stat::all().into_iter().filter(ours).filter_map(with_pid).collect()
}
