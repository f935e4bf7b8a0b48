//! What a process has started, as a person who looks for what hangs would see it.

use std::fs;
use std::time::Duration;

use super::cpu::TICKS_PER_SECOND;
use super::stat::Stat;
use super::tree::tree;

/// A process that another one has started, directly or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Below {
    /// Its number.
    pub pid: u32,
    /// Its program, without arguments, which may hold secrets.
    pub name: String,
    /// The kernel's letter for what it does: R, S, D, T.
    pub state: char,
    /// The processor time that it has used.
    pub cpu: Duration,
    /// How long it has been there.
    pub age: Duration,
}

/// All that a process of this namespace has started and that lives.
pub fn below(root: u32) -> Vec<Below> {
    let Some(up) = uptime() else { return Vec::new() };
    tree(root).into_iter().filter(|pid| *pid != root).filter_map(|pid| look(pid, up)).collect()
}

/// What a process of this namespace was given as this variable of its environment, if that may be read.
pub fn variable(pid: u32, name: &str) -> Option<String> {
    let given = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut values = given
        .split(|byte| *byte == 0)
        .filter_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    values.next_back().and_then(|value| String::from_utf8(value.to_vec()).ok())
}

fn look(pid: u32, up: Duration) -> Option<Below> {
    let stat = Stat::of(pid)?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(Below {
        pid,
        name: name.trim().to_owned(),
        state: stat.state,
        cpu: ticks(stat.own_ticks),
        age: up.saturating_sub(ticks(stat.started)),
    })
}

fn ticks(count: u64) -> Duration {
    Duration::from_secs_f64(count as f64 / TICKS_PER_SECOND)
}

/// How long the kernel has been up.
fn uptime() -> Option<Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    Duration::try_from_secs_f64(text.split_whitespace().next()?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::*;

    #[test]
    fn a_child_that_is_stopped_is_seen_with_its_name_and_its_letter() {
        let mut child = Command::new("sleep").arg("300").env("JOB_ID", "7=8").spawn().expect("sleep");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a number"));
        kill(pid, Signal::SIGSTOP).expect("kill");
        let deadline = crate::clock::monotonic() + Duration::from_secs(60);
        let seen = loop {
            let all = below(std::process::id());
            let seen = all.into_iter().find(|below| below.pid == child.id() && below.state == 'T');
            if let Some(seen) = seen {
                break seen;
            }
            assert!(crate::clock::monotonic() < deadline, "it does not stop");
            std::thread::yield_now();
        };
        assert_eq!(seen.name, "sleep");
        assert_eq!(variable(child.id(), "JOB_ID").as_deref(), Some("7=8"));
        assert_eq!(variable(child.id(), "JOB"), None);
        assert!(seen.age < Duration::from_secs(100) && seen.cpu < Duration::from_secs(10), "{seen:?}");
        child.kill().expect("kill");
        child.wait().expect("wait");
        assert!(below(child.id()).is_empty());
    }
}
