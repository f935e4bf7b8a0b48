//! One worker process, seen from its supervisor: starting it, handing on its output, and how it ended.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anstream::adapter::strip_str;
use jobforge::core::death::{Death, LAST_OUTPUT, ProcessId, Proof};
use jobforge::core::settings::Settings;
use jobforge::{clock, process};
use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::process::{ChildStderr, ChildStdout, Command};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::{Order, counts};
use crate::cli::{Colour, Global, WorkArgs};
use crate::output::{self, Stream};

/// How long the last words of a dead worker are waited for. They are in the pipe already, but whoever inherited it may
/// keep it open, and the server does not wait long for what we have to say.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// The command that runs `jobforge work` by the same settings as this process.
///
/// It runs this very program, also if another one has been installed in its place since.
pub(crate) fn work_command(
    global: &Global,
    settings: &Settings,
    args: &WorkArgs,
    any_program: bool,
) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0(output::program()).arg("work");
    if let Some(url) = &global.database_url {
        // Not as an argument, where every user of the machine could read its password.
        command.env("DATABASE_URL", url).env_remove("SUPABASE_DB_URL").env_remove("DATABASE_URL_FILE");
    }
    let paths = [("--data-dir", &global.data_dir), ("--config", &global.config)];
    for (flag, path) in paths {
        if let Some(path) = path {
            command.arg(flag).arg(path);
        }
    }
    let any = "*".to_owned();
    let any_program = any_program && settings.list("exec_allow").is_empty();
    let allow = args.exec_allow.as_ref().or(any_program.then_some(&any));
    let words = [("--log", &global.log), ("--queues", &args.queues), ("--slots", &args.slots)]
        .map(|(f, w)| (f, w.as_ref()));
    for (flag, word) in words.into_iter().chain([("--exec-allow", allow)]) {
        if let Some(word) = word {
            command.arg(format!("{flag}={word}"));
        }
    }
    if global.json {
        command.arg("--json");
    }
    if output::stderr_is_terminal() && settings.text("log_format") == "auto" {
        // It writes into a pipe, but what it writes is read on this terminal.
        command.env("JOBFORGE_LOG_FORMAT", "human");
    }
    match global.color {
        Colour::Always => command.arg("--color=always"),
        Colour::Never => command.arg("--color=never"),
        Colour::Auto if output::stderr_is_terminal() => command.arg("--color=always"),
        Colour::Auto => &mut command,
    };
    command
}

/// How a worker process ended.
pub(super) struct Ended {
    pub(super) pid: u32,
    pub(super) process: Option<ProcessId>,
    pub(super) death: Death,
}

/// A running worker process.
pub(super) struct Child {
    // Holds a pidfd on the process: its end is told by the kernel, and never that of another with the same number.
    child: tokio::process::Child,
    pid: u32,
    process: Option<ProcessId>,
    control: OwnedWriteHalf,
    counts: JoinHandle<()>,
    works: watch::Receiver<bool>,
    tail: Tail,
    relays: Vec<oneshot::Receiver<()>>,
    kills: Option<u64>,
    stopped_since: Option<Instant>,
}

type Tail = Arc<Mutex<VecDeque<String>>>;

impl Child {
    pub(super) fn start(mut command: Command) -> std::io::Result<Self> {
        // Orders go one way, and what the worker has counted comes the other.
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (said, control) = UnixStream::from_std(ours)?.into_split();
        let mut child = command
            .arg("--supervised")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C at the terminal reaches the supervisor alone, which hands it on once.
            .process_group(0)
            .spawn()?;
        let pid = child.id().unwrap_or_default();
        let (heard, works) = watch::channel(false);
        let tail = Tail::default();
        let mut relays = Vec::new();
        let pipes = [
            (Stream::Out, child.stdout.take().map(ChildStdout::into_owned_fd)),
            (Stream::Err, child.stderr.take().map(ChildStderr::into_owned_fd)),
        ];
        for (stream, pipe) in pipes {
            if let Some(pipe) = pipe {
                relays.push(relay(pipe?, stream, Arc::clone(&tail))?);
            }
        }
        Ok(Self {
            // Read while it cannot have been reaped.
            process: process::of(pid),
            pid,
            control,
            counts: tokio::spawn(counts::listen(said, heard)),
            works,
            child,
            tail,
            relays,
            kills: process::kernel_kills(),
            stopped_since: None,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Which process it is, if this system tells.
    pub(super) fn process(&self) -> Option<&ProcessId> {
        self.process.as_ref()
    }

    /// Tells when it takes jobs.
    pub(super) fn works(&self) -> watch::Receiver<bool> {
        self.works.clone()
    }

    /// Passes an order on. A worker that cannot be told any more has ended or is about to.
    pub(super) async fn tell(&mut self, order: Order) {
        let word = match order {
            Order::Run => return,
            Order::Drain => "drain\n",
            Order::Now | Order::Orphaned => "now\n",
        };
        let _ = self.control.write_all(word.as_bytes()).await;
    }

    pub(super) fn kill(&mut self) {
        // An error means that it has ended, which `ended` tells.
        let _ = self.child.start_kill();
    }

    /// Takes the kernel's count of processes killed for want of memory, so that a later end is not put down to an old kill.
    pub(super) fn note_kills(&mut self) {
        self.kills = process::kernel_kills();
    }

    /// Since when it has been stopped, by SIGSTOP or by a debugger, as far as [`Self::look`] has seen.
    pub(super) fn stopped_since(&self) -> Option<Instant> {
        self.stopped_since
    }

    /// Looks whether it is stopped.
    pub(super) fn look(&mut self) {
        self.stopped_since =
            process::is_stopped(self.pid).then(|| self.stopped_since.unwrap_or_else(clock::monotonic));
    }

    /// Waits for its end and tells all that is known of it. May be dropped and called again.
    pub(super) async fn ended(&mut self) -> Ended {
        let status = self.child.wait().await;
        let last_words = async {
            while let Some(relay) = self.relays.last_mut() {
                let _ = relay.await;
                self.relays.pop();
            }
            if !self.counts.is_finished() {
                let _ = (&mut self.counts).await;
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
        let proof = match status {
            Ok(status) => proof(status, self.kills, process::kernel_kills()),
            // Somebody else took note of its end, so that nobody knows how; that it has ended is certain.
            Err(_) => Proof::Exited { code: -1 },
        };
        let lines = std::mem::take(&mut *self.tail.lock().unwrap_or_else(PoisonError::into_inner));
        Ended { pid: self.pid, process: self.process.clone(), death: Death::new(proof, lines) }
    }
}

/// What an exit status proves. A SIGKILL while the kernel's count of kills for want of memory grew was one of those.
fn proof(status: ExitStatus, kills_before: Option<u64>, kills_after: Option<u64>) -> Proof {
    let Some(signal) = status.signal() else { return Proof::Exited { code: status.code().unwrap_or(-1) } };
    let name = Signal::try_from(signal).map_or("unknown", Signal::as_str).to_owned();
    let oom_kills = kills_before.zip(kills_after).filter(|(before, after)| signal == 9 && after > before);
    Proof::Signaled { signal, name, oom_kills }
}

/// Copies a pipe to our own stream and keeps its last lines, on a thread of its own: whoever reads our output may be slow,
/// and the supervisor must not wait for that. The receiver fires when the pipe has ended.
fn relay(pipe: OwnedFd, stream: Stream, tail: Tail) -> std::io::Result<oneshot::Receiver<()>> {
    let (over, ended) = oneshot::channel();
    let mut pipe = File::from(pipe);
    std::thread::Builder::new().name("relay".to_owned()).stack_size(128 * 1024).spawn(move || {
        let mut buffer = [0; 8 * 1024];
        let mut line = Vec::new();
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            keep(&buffer[..length], &mut line, &tail);
            output::relay(stream, &buffer[..length]);
        }
        if !line.is_empty() {
            push(&line, &tail);
        }
        let _ = over.send(());
    })?;
    Ok(ended)
}

fn keep(bytes: &[u8], line: &mut Vec<u8>, tail: &Tail) {
    for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
        line.extend_from_slice(&piece[..piece.len().min(LAST_OUTPUT.1.saturating_sub(line.len()))]);
        if piece.ends_with(b"\n") {
            push(line, tail);
            line.clear();
        }
    }
}

fn push(line: &[u8], tail: &Tail) {
    let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
    // Colours are for a terminal, not for what is kept.
    tail.push_back(strip_str(&String::from_utf8_lossy(line)).to_string().trim_end().to_owned());
    if tail.len() > LAST_OUTPUT.0 {
        tail.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_put_down_to_want_of_memory_only_if_the_kernel_counted_one() {
        let killed = ExitStatus::from_raw(9);
        assert_eq!(proof(killed, Some(1), Some(1)).to_string(), "signal 9 (SIGKILL)");
        assert_eq!(proof(killed, None, Some(1)).to_string(), "signal 9 (SIGKILL)");
        assert_eq!(
            proof(killed, Some(1), Some(2)).to_string(),
            "signal 9, out of memory (cgroup oom_kill 1→2)"
        );
        assert_eq!(proof(ExitStatus::from_raw(11), Some(1), Some(2)).to_string(), "signal 11 (SIGSEGV)");
        assert_eq!(proof(ExitStatus::from_raw(101 << 8), None, None).to_string(), "exit code 101");
    }

    #[test]
    fn lines_are_kept_whole_over_pieces_and_only_the_last() {
        let (tail, mut line) = (Tail::default(), Vec::new());
        keep(b"first\nsec", &mut line, &tail);
        keep(b"\x1b[31mond\x1b[0m\n", &mut line, &tail);
        assert_eq!(*tail.lock().unwrap(), ["first", "second"]);
        for n in 0..100 {
            keep(format!("{n}\n").as_bytes(), &mut line, &tail);
        }
        let kept = tail.lock().unwrap().clone();
        assert_eq!((kept.len(), kept.front().unwrap().as_str()), (LAST_OUTPUT.0, "80"));
    }
}
