//! Programs that run, and waiting for what they do.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Asks again and again until it is so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..PATIENCE.as_millis() / LOOK_EVERY.as_millis() {
        if is_so() {
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    panic!("it did not happen: {what}");
}

/// Runs a program that must succeed, and returns what it prints.
#[track_caller]
pub(crate) fn ok(command: &mut Command) -> String {
    let done = command.output().unwrap();
    let err = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {err}");
    String::from_utf8(done.stdout).unwrap().trim_end().to_owned()
}

/// A program that runs until it is killed, or dropped.
pub(crate) struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Running {
    /// Starts a program and waits until it says that it is up.
    #[track_caller]
    pub(crate) fn start(mut command: Command, ready: &str) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (stderr, keeper) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                keeper.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        let running = Self { child, said };
        running.until_it_says(ready);
        running
    }

    /// Its log so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    #[track_caller]
    pub(crate) fn until_it_says(&self, text: &str) {
        for _ in 0..PATIENCE.as_millis() / LOOK_EVERY.as_millis() {
            if self.said().contains(text) {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        panic!("it did not say {text:?}:\n{}", self.said());
    }

    /// `STOP`, `CONT` and the like.
    pub(crate) fn signal(&self, name: &str) {
        ok(Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]));
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
