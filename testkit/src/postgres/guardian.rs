//! Stops a server and removes its files when the process that wanted them is gone, however it went.
//!
//! `Drop` does not run for statics, after `abort`, or under `kill -9`, and each of these would leave a server behind.
//! So a small shell waits at the other end of a pipe: the kernel closes our end in every one of these cases. Dropping
//! a handle takes the same road, so there is only one way to clean up, and every test exercises it.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result};
use nix::unistd::Pid;

/// Arguments: a signal, a pid file, then the paths to remove.
///
/// Acts when its input ends. A line of input, a process id and one more path to remove, makes it wait for the end of
/// that process instead.
///
/// Waits until the pid file disappears rather than until the server does: in a container whose first process
/// collects no orphans, a process stays visible for ever. A server that does not react within ten seconds, for
/// instance because a test has stopped it with SIGSTOP, is killed.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
signal=$1 pid_file=$2
shift 2
if read -r successor also; then
    set -- "$@" "$also"
    while kill -0 "$successor" 2>/dev/null; do sleep 0.5; done
fi
pid=$(head -n 1 "$pid_file" 2>/dev/null)
if [ -n "$pid" ] && kill -s "$signal" "$pid" 2>/dev/null && [ "$signal" != KILL ]; then
    tries=200
    while [ -e "$pid_file" ] && [ "$tries" -gt 0 ]; do sleep 0.05; tries=$((tries - 1)); done
    [ "$tries" -gt 0 ] || kill -s KILL "$pid" 2>/dev/null
fi
rm -rf -- "$@"
"#;

/// What the guardian does when the time has come.
#[derive(Debug)]
pub(super) struct Charge {
    /// The name of the signal, without SIG.
    pub(super) signal: &'static str,
    pub(super) pid_file: PathBuf,
    pub(super) directory: PathBuf,
}

/// A running guardian.
#[derive(Debug)]
pub(super) struct Guardian {
    shell: Child,
    /// Closing it is the message.
    lifeline: Option<ChildStdin>,
}

impl Guardian {
    /// Starts to watch. To be called before the first file or process that is to be cleaned up can exist.
    pub(super) fn start(charge: &Charge) -> Result<Self> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "jobforge-test-guardian"])
            .arg(charge.signal)
            .arg(&charge.pid_file)
            .arg(&charge.directory)
            .current_dir("/")
            .stdin(Stdio::piped())
            // Held open, our caller's output would look to a test runner like a test that leaks a process.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C and the runner's time limit are sent to the whole process group. This one has to outlive them.
            .process_group(0)
            .spawn()
            .context("failed to start /bin/sh to watch over a test server")?;
        let lifeline = shell.stdin.take();
        Ok(Self { shell, lifeline })
    }

    /// Lets the server live until another process of the same user ends, and removes one more file then.
    pub(super) fn hand_over(mut self, successor: Pid, also_remove: &Path) -> Result<()> {
        let mut lifeline = self.lifeline.take().context("the guardian's input is a pipe")?;
        writeln!(lifeline, "{successor} {}", also_remove.display())
            .context("failed to reach the guardian")?;
        // Dropping the handle would wait for the successor's end.
        std::mem::forget(self);
        Ok(())
    }
}

impl Drop for Guardian {
    /// Returns when the server has stopped and its files are gone.
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // Nobody can be told, and the next start does not depend on it.
        let _ = self.shell.wait();
    }
}
