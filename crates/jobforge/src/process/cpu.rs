//! CPU time of a server and its children, for measurements.

use std::time::Duration;

use super::stat::{self, Stat};

/// What the kernel counts in, for programs; it has been this on Linux for ever.
pub(super) const TICKS_PER_SECOND: f64 = 100.0;

/// Returns the CPU time so far of a process and its children, those that it has reaped included; `None` if it is not a
/// process of this machine and namespace.
pub fn cpu_time_with_children(pid: u32) -> Option<Duration> {
    let own = Stat::of(pid)?;
    let children = stat::all()
        .into_iter()
        .filter(|(_, child)| u32::try_from(child.parent) == Ok(pid))
        .map(|(_, child)| child.own_ticks)
        .sum::<u64>();
    let ticks = own.own_ticks + own.reaped_ticks + children;
    Some(Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_a_child_is_counted_while_it_lives() {
        let own = std::process::id();
        let before = cpu_time_with_children(own).expect("this process");
        let mut busy =
            std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("sh");
        let deadline = crate::clock::monotonic() + Duration::from_secs(60);
        let enough = before + Duration::from_millis(100);
        while cpu_time_with_children(own).expect("this process") < enough {
            assert!(crate::clock::monotonic() < deadline, "a busy child counts for nothing");
            std::thread::yield_now();
        }
        busy.kill().expect("kill");
        busy.wait().expect("wait");
        assert_eq!(cpu_time_with_children(busy.id()), None);
    }
}
