//! A line of `/proc/PID/stat`, which tells most of what the kernel says about a process.

use std::fs;

/// What is used of it. The meaning of the fields is in proc_pid_stat(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) parent: i32,
    pub(super) group: i32,
    /// The kernel's letter for what it does.
    pub(super) state: char,
    /// It has ended and waits to be reaped.
    pub(super) has_ended: bool,
    /// It has been stopped, by a signal or by a debugger, and does not run until it is let go on.
    pub(super) is_stopped: bool,
    /// CPU time of its own, in ticks.
    pub(super) own_ticks: u64,
    /// CPU time of its reaped children, in ticks.
    pub(super) reaped_ticks: u64,
    /// When it began, in ticks since the machine did.
    pub(super) started: u64,
}

impl Stat {
    /// Reads the line of a process of this namespace; `None` if there is none.
    pub(super) fn of(pid: u32) -> Option<Self> {
        Self::read(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name stands in brackets and may hold anything, so what follows counts from the last bracket.
    fn read(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.rsplit_once(") ")?.1.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let state = *fields.first()?;
        Some(Self {
            state: state.chars().next()?,
            has_ended: matches!(state, "Z" | "X"),
            is_stopped: matches!(state, "T" | "t"),
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            own_ticks: number(11)? + number(12)?,
            reaped_ticks: number(13)? + number(14)?,
            started: number(19)?,
        })
    }
}

/// Every process of this namespace that can be seen, with its line.
pub(super) fn all() -> Vec<(u32, Stat)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, Stat::of(pid)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_past_any_name() {
        let fields = "Z 41 42 43 0 -1 4194560 1 2 3 4 10 20 300 400 20 0 1 0 424242 5\n";
        let expected = Stat {
            parent: 41,
            group: 42,
            state: 'Z',
            has_ended: true,
            is_stopped: false,
            own_ticks: 30,
            reaped_ticks: 700,
            started: 424_242,
        };
        assert_eq!(Stat::read(&format!("7 (sh) {fields}")), Some(expected.clone()));
        assert_eq!(Stat::read(&format!("7 (a) b) c) {fields}")), Some(expected));
        assert_eq!(Stat::read("7 (sh"), None);
        assert_eq!(Stat::read("7 (sh) S 1 2"), None);
    }

    #[test]
    fn this_process_is_among_all_and_has_not_ended() {
        let own = std::process::id();
        let (_, stat) = all().into_iter().find(|(pid, _)| *pid == own).expect("this process");
        assert!(!stat.has_ended && !stat.is_stopped);
    }
}
