//! The children of this process: burying those that ended, ending those that must not go on.

use std::fs;

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpgrp, getpid};

/// A child as `/proc` shows it.
struct Child {
    pid: Pid,
    group: Pid,
    has_ended: bool,
}

/// Takes note of the ends of all children but `except`, so that they do not stay in the table of processes for ever.
///
/// For a process that adopts orphans; one that waits for its own children would not learn of their ends any more.
pub fn reap_children(except: Option<u32>) {
    for child in children(except).iter().filter(|child| child.has_ended) {
        let _ = waitpid(child.pid, Some(WaitPidFlag::WNOHANG));
    }
}

/// Kills all children but `except`, each with its process group, and returns how many have not ended yet.
///
/// Their own children become children of whoever adopts orphans: an adopter calls this until nobody is left.
pub fn kill_children(except: Option<u32>) -> usize {
    let own_group = getpgrp();
    let living: Vec<Child> = children(except).into_iter().filter(|child| !child.has_ended).collect();
    for child in &living {
        // What has ended meanwhile needs no signal.
        let _ = if child.group == own_group {
            kill(child.pid, Signal::SIGKILL)
        } else {
            killpg(child.group, Signal::SIGKILL)
        };
    }
    living.len()
}

fn children(except: Option<u32>) -> Vec<Child> {
    let own = getpid();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| except.is_none_or(|except| i64::from(*pid) != i64::from(except)))
        .filter_map(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let (parent, child) = read(pid, &stat)?;
            (parent == own).then_some(child)
        })
        .collect()
}

/// Reads parent and child; the name stands in brackets and may hold anything.
fn read(pid: i32, stat: &str) -> Option<(Pid, Child)> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let has_ended = matches!(fields.next()?, "Z" | "X");
    let parent = Pid::from_raw(fields.next()?.parse().ok()?);
    let group = Pid::from_raw(fields.next()?.parse().ok()?);
    Some((parent, Child { pid: Pid::from_raw(pid), group, has_ended }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parent_group_and_end_are_read_past_any_name() {
        let (parent, child) = read(7, "7 (a) Z 1) Z 41 42 43 0").expect("a line of stat");
        assert_eq!((parent, child.group, child.has_ended), (Pid::from_raw(41), Pid::from_raw(42), true));
        let (_, child) = read(7, "7 (sh) S 41 42 43 0").expect("a line of stat");
        assert!(!child.has_ended);
    }
}
