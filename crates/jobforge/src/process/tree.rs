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

/// A process and all that it has started, directly or not, parents before children; as far as they live.
pub fn tree(root: u32) -> Vec<u32> {
    let all = stat::all();
    let mut found = Vec::new();
    let mut next: Vec<u32> = all.iter().map(|(pid, _)| *pid).filter(|pid| *pid == root).collect();
    while let Some(pid) = next.pop() {
        found.push(pid);
        let own = |stat: &Stat| u32::try_from(stat.parent) == Ok(pid) && !stat.has_ended;
        next.extend(all.iter().filter(|(_, stat)| own(stat)).map(|(child, _)| *child));
    }
    found
}

fn children(except: Option<u32>) -> Vec<(Pid, Stat)> {
    let own = getpid().as_raw();
    let ours = |(pid, stat): &(u32, Stat)| stat.parent == own && Some(*pid) != except;
    let with_pid = |(pid, stat)| Some((Pid::from_raw(i32::try_from(pid).ok()?), stat));
    stat::all().into_iter().filter(ours).filter_map(with_pid).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_children_of_children_belong_to_a_process_tree_and_others_do_not() {
        let script = "sh -c 'sleep 60 & echo; wait' & wait";
        let mut root = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().expect("sh");
        let mut said = root.stdout.take().expect("its output");
        std::io::Read::read_exact(&mut said, &mut [0]).expect("it has begun");
        let found = tree(root.id());
        assert_eq!((found.first(), found.len()), (Some(&root.id()), 3), "{found:?}");
        for pid in found {
            let _ = kill(Pid::from_raw(i32::try_from(pid).expect("a process number")), Signal::SIGKILL);
        }
        root.wait().expect("it ends");
    }
}
