//! Which process on which start of which machine.

use std::fs;
use std::os::unix::fs::MetadataExt;

use jobforge_core::death::ProcessId;

use super::stat::Stat;

/// This process; `None` where the operating system does not tell, as without `/proc`.
pub fn own() -> Option<ProcessId> {
    of(std::process::id())
}

/// A process of this namespace that has not been reaped yet.
pub fn of(pid: u32) -> Option<ProcessId> {
    let boot_id = word("/proc/sys/kernel/random/boot_id")?;
    let machine = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
    // A machine without a name, as many containers are, is another one after each start: nothing is proven by mistake.
    let machine_id = machine.iter().find_map(|file| word(file)).unwrap_or_else(|| boot_id.clone());
    Some(ProcessId {
        machine_id,
        boot_id,
        pid_namespace: fs::metadata("/proc/self/ns/pid").ok()?.ino(),
        pid,
        started: Stat::of(pid)?.started,
    })
}

/// Whether a process of this namespace is stopped, by a signal or by a debugger: it lives and does nothing.
pub fn is_stopped(pid: u32) -> bool {
    Stat::of(pid).is_some_and(|stat| stat.is_stopped)
}

fn word(file: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let word = text.trim();
    (!word.is_empty()).then(|| word.to_owned())
}

/// The machine's name; `localhost` if it has none.
pub fn hostname() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::*;

    #[test]
    fn this_process_knows_itself_and_tells_itself_from_another() {
        let own = own().expect("a Linux machine");
        assert_eq!(Some(&own), of(std::process::id()).as_ref());
        let mut other = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let known = of(other.id()).expect("it runs");
        assert!(known.pid != own.pid && known.boot_id == own.boot_id);
        other.kill().expect("kill");
        other.wait().expect("wait");
        assert_eq!(of(other.id()), None);
    }

    #[test]
    fn a_stopped_process_is_seen_stopped_until_it_goes_on() {
        let mut other = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let pid = Pid::from_raw(i32::try_from(other.id()).expect("a process number"));
        for (signal, stopped) in [(Signal::SIGSTOP, true), (Signal::SIGCONT, false)] {
            kill(pid, signal).expect("a signal");
            let deadline = crate::clock::monotonic() + Duration::from_secs(60);
            while is_stopped(other.id()) != stopped {
                assert!(crate::clock::monotonic() < deadline, "{signal} is not seen");
                std::thread::yield_now();
            }
        }
        other.kill().expect("kill");
        other.wait().expect("wait");
        assert!(!is_stopped(other.id()));
    }
}
