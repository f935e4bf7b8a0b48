//! Runs one external program: in a process group of its own, without a shell, with bounded output, and never for ever.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::error::QcError;

/// The longest line that is kept; the rest of a longer one is dropped.
const LINE_LIMIT_BYTES: usize = 16 * 1024;
/// How long the output may stay open after the program itself has ended.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);
/// How long a killed program may take to be gone.
const REAP_LIMIT: Duration = Duration::from_secs(5);

/// Which of the program's outputs a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The data.
    Stdout,
    /// The conversation.
    Stderr,
}

/// Whether a line shows that the program is getting somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// It is: the patience starts anew.
    Moved,
    /// The line says nothing about that.
    Quiet,
}

/// A program to run.
#[derive(Debug)]
pub struct Invocation<'a> {
    /// A name to be found in `PATH`, or a path.
    pub program: &'a Path,
    /// Its arguments, passed as they are.
    pub args: Vec<OsString>,
    /// How long it may go without a [`Pulse::Moved`].
    pub patience: Duration,
}

impl Invocation<'_> {
    fn tool(&self) -> String {
        self.program.display().to_string()
    }

    /// Runs the program to its end, handing every line of output to `on_line`.
    ///
    /// When the stop signal fires, the patience ends or this future is dropped, the whole process group is killed.
    ///
    /// # Errors
    /// [`QcError::ToolMissing`], [`QcError::Stopped`], [`QcError::ToolHung`], [`QcError::ToolKilled`] or [`QcError::Local`].
    /// An exit code other than 0 is not an error here: only the caller knows what it means.
    pub async fn run(
        self,
        stop: &CancellationToken,
        mut on_line: impl FnMut(Output, &str) -> Pulse,
    ) -> Result<ExitStatus, QcError> {
        let (mut child, group) = self.spawn()?;
        let mut stdout = child.stdout.take().map(Lines::new);
        let mut stderr = child.stderr.take().map(Lines::new);
        let mut ended: Option<ExitStatus> = None;
        let mut until = Instant::now() + self.patience;

        let verdict = loop {
            if let (Some(status), None, None) = (ended, &stdout, &stderr) {
                break Ok(status);
            }
            let (output, line) = tokio::select! {
                () = stop.cancelled() => break Err(QcError::Stopped),
                () = sleep_until(until) => match ended {
                    Some(status) => break Ok(status),
                    None => break Err(QcError::ToolHung { tool: self.tool(), silent_s: self.patience.as_secs() }),
                },
                status = child.wait(), if ended.is_none() => {
                    ended = Some(status.map_err(|source| QcError::Local { action: "wait for a program", source })?);
                    // A grandchild may hold the pipes open; what it has to say is not waited for long.
                    until = Instant::now() + DRAIN_LIMIT;
                    continue;
                }
                line = next_line(&mut stdout) => (Output::Stdout, line),
                line = next_line(&mut stderr) => (Output::Stderr, line),
            };
            match line.map_err(|source| QcError::Local { action: "read a program's output", source })? {
                Some(line) => {
                    if on_line(output, &line) == Pulse::Moved && ended.is_none() {
                        until = Instant::now() + self.patience;
                    }
                }
                None if output == Output::Stdout => stdout = None,
                None => stderr = None,
            }
        };

        drop(group);
        if ended.is_none() {
            // Killed above; reaped here so that no zombie outlives the job.
            let _gone = timeout(REAP_LIMIT, child.wait()).await;
        }
        let status = verdict?;
        match status.signal() {
            Some(signal) => Err(QcError::ToolKilled { tool: self.tool(), signal }),
            None => Ok(status),
        }
    }

    fn spawn(&self) -> Result<(Child, Group), QcError> {
        let child = Command::new(self.program)
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| match source.kind() {
                io::ErrorKind::NotFound => QcError::ToolMissing { tool: self.tool() },
                _ => QcError::Local { action: "start a program", source },
            })?;
        let group = Group(child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw));
        Ok((child, group))
    }
}

/// A process group that does not outlive this value.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // ESRCH is the normal answer: everybody has already left.
            let _gone = killpg(leader, Signal::SIGKILL);
        }
    }
}

/// Waits for the next line of an output, for ever if it is closed.
async fn next_line<R: AsyncRead + Unpin>(lines: &mut Option<Lines<R>>) -> io::Result<Option<String>> {
    match lines {
        Some(lines) => lines.next().await,
        None => std::future::pending().await,
    }
}

/// Lines of bounded length. Unlike tokio's, a file that makes the program print a gigabyte without a line end costs 16 KiB.
struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader), line: Vec::new() }
    }

    /// Safe to drop between polls: what was read so far stays in `self`.
    async fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            let chunk = self.reader.fill_buf().await?;
            if chunk.is_empty() {
                return Ok((!self.line.is_empty()).then(|| self.take()));
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let text = &chunk[..end.unwrap_or(chunk.len())];
            let room = LINE_LIMIT_BYTES.saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            let used = text.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                return Ok(Some(self.take()));
            }
        }
    }

    fn take(&mut self) -> String {
        let line = String::from_utf8_lossy(&self.line).trim_end_matches('\r').to_owned();
        self.line.clear();
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, patience: Duration) -> Invocation<'static> {
        Invocation { program: Path::new("/bin/sh"), args: vec!["-c".into(), script.into()], patience }
    }

    const PATIENT: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn both_outputs_are_read_to_the_end() {
        let mut seen = Vec::new();
        let run = shell("echo one; echo two >&2; printf three; exit 3", PATIENT);
        let status = run
            .run(&CancellationToken::new(), |output, line| {
                seen.push((output, line.to_owned()));
                Pulse::Quiet
            })
            .await
            .unwrap();
        seen.sort_by_key(|(_, line)| line.clone());
        assert_eq!(status.code(), Some(3));
        let expected = [(Output::Stdout, "one"), (Output::Stdout, "three"), (Output::Stderr, "two")];
        assert_eq!(seen, expected.map(|(output, line)| (output, line.to_owned())));
    }

    #[tokio::test]
    async fn the_stop_signal_kills_the_grandchildren_too() {
        let stop = CancellationToken::new();
        let mut grandchild = None;
        // The shell's own child would survive if only the shell were killed.
        let result = shell("sleep 300 & echo $!; wait", PATIENT)
            .run(&stop, |_, line| {
                grandchild = line.parse::<i32>().ok();
                stop.cancel();
                Pulse::Moved
            })
            .await;
        assert!(matches!(result, Err(QcError::Stopped)), "{result:?}");
        assert_gone(grandchild.unwrap()).await;
    }

    #[tokio::test]
    async fn a_program_that_gets_nowhere_is_killed() {
        let mut pid = None;
        let run = shell("echo $$; while :; do echo busy >&2; sleep 0.05; done", Duration::from_millis(300));
        let result = run
            .run(&CancellationToken::new(), |_, line| {
                pid = pid.or(line.parse::<i32>().ok());
                Pulse::Quiet
            })
            .await;
        assert!(matches!(result, Err(QcError::ToolHung { .. })), "{result:?}");
        assert_gone(pid.unwrap()).await;
    }

    #[tokio::test]
    async fn a_grandchild_that_keeps_the_pipe_does_not_keep_the_job() {
        let stop = CancellationToken::new();
        let run = shell("sleep 300 & exit 0", PATIENT).run(&stop, |_, _| Pulse::Quiet);
        let status = timeout(Duration::from_secs(10), run).await.unwrap().unwrap();
        assert!(status.success());
    }

    #[tokio::test]
    async fn an_endless_line_is_cut() {
        let mut longest = 0;
        shell("head -c 300000 /dev/zero | tr '\\0' x", PATIENT)
            .run(&CancellationToken::new(), |_, line| {
                longest = longest.max(line.len());
                Pulse::Quiet
            })
            .await
            .unwrap();
        assert_eq!(longest, LINE_LIMIT_BYTES);
    }

    #[tokio::test]
    async fn an_outside_kill_and_a_missing_program_are_told_apart() {
        let stop = CancellationToken::new();
        let killed = shell("kill -9 $$", PATIENT).run(&stop, |_, _| Pulse::Quiet).await.unwrap_err();
        assert!(matches!(killed, QcError::ToolKilled { signal: 9, .. }), "{killed:?}");
        let absent =
            Invocation { program: Path::new("/nonexistent/ffmpeg"), args: vec![], patience: PATIENT };
        let absent = absent.run(&stop, |_, _| Pulse::Quiet).await.unwrap_err();
        assert!(absent.to_string().contains("apt-get install"), "{absent}");
        assert!(!absent.retryable());
    }

    /// Waits until no process has this id any more, or only as a zombie that is not ours to reap.
    async fn assert_gone(pid: i32) {
        for _ in 0..200 {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if stat.is_empty() || stat.contains(") Z ") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("process {pid} is still there");
    }
}
