//! One child process from start to end: its group, its pipes, and what is left when it is gone.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use super::output::{STDERR_TAIL_BYTES, Stdout, Tail, read_lines};
use super::payload::Plan;
use crate::context::JobContext;
use crate::job_error::JobError;

/// How long the pipes are read after the program is gone. Only a process that left the group can hold them that long.
const DRAIN: Duration = Duration::from_secs(1);
/// How long the end of a killed program is awaited. A process in uninterruptible sleep may take longer.
const REAP: Duration = Duration::from_secs(5);

/// What the worker hands on of its own environment; all else, tokens and connection strings included, stays behind.
const HANDED_ON: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a program ended, with what it said.
#[derive(Debug)]
pub(super) struct Ended {
    /// `None` when it was asked to stop.
    pub status: Option<ExitStatus>,
    pub stdout: Stdout,
    pub stderr: Tail,
}

/// Returns the surroundings a child inherits. These are facts of the machine, not settings of ours.
pub(super) fn surroundings() -> Vec<(&'static str, OsString)> {
    let mut kept: Vec<_> =
        HANDED_ON.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))).collect();
    if !kept.iter().any(|(name, _)| *name == "PATH") {
        kept.push(("PATH", PATH_DEFAULT.into()));
    }
    kept
}

/// Runs `file` until it ends or the job is asked to stop; when this returns, its process group is gone.
///
/// A process that moved to a group of its own (`setsid`) is beyond our reach; it can hold us up for [`DRAIN`] only.
///
/// # Errors
/// When it cannot be started; how it ended is no error here.
pub(super) async fn run(file: &Path, plan: Plan, ctx: &JobContext) -> Result<Ended, JobError> {
    let mut child = command(file, &plan, ctx).spawn().map_err(|error| not_started(&plan, &error))?;
    let group = Group::of(&child);
    let stdin = child.stdin.take().zip(plan.stdin);
    let (stdout_pipe, stderr_pipe) = (child.stdout.take(), child.stderr.take());
    let mut stdout = Stdout::new();
    let mut stderr = Tail::new(STDERR_TAIL_BYTES);

    // All pipes and the wait are polled together in this one task: whoever drops it drops everything, and nothing
    // goes on reading behind its back.
    let talk = async {
        let read_stdout = async {
            if let Some(pipe) = stdout_pipe {
                read_lines(pipe, |line, cut| stdout.take(line, cut, ctx)).await;
            }
        };
        let read_stderr = async {
            if let Some(pipe) = stderr_pipe {
                read_lines(pipe, |line, _| {
                    stderr.push(line);
                    ctx.log(format!("err| {line}"));
                })
                .await;
            }
        };
        tokio::join!(read_stdout, read_stderr, feed(stdin));
    };
    let mut talk = Talk { future: Box::pin(talk), over: false };

    let status = tokio::select! {
        biased;
        status = talk.beside(child.wait()) => Some(status),
        _ = ctx.stopped() => None,
    };
    if status.is_none() {
        group.signal(Signal::SIGTERM);
        // In time or not, the group is killed next.
        let _ = talk.beside(timeout(plan.grace, child.wait())).await;
    }
    group.kill();
    talk.finish(DRAIN).await;
    drop(talk);
    if status.is_none() && timeout(REAP, child.wait()).await.is_err() {
        tracing::warn!(job.id = %ctx.id(), pid = child.id(), "A killed program of job {} has not ended yet", ctx.id());
    }
    let status = status.transpose().map_err(|error| {
        JobError::retry("wait_failed", format!("how {:?} ended could not be learned: {error}", plan.program))
    })?;
    Ok(Ended { status, stdout, stderr })
}

fn command(file: &Path, plan: &Plan, ctx: &JobContext) -> Command {
    let job = ctx.job();
    let mut command = Command::new(file);
    command
        .arg0(&plan.program)
        .args(&plan.args)
        .env_clear()
        .envs(surroundings())
        .envs(&plan.env)
        .env("JOB_ID", job.id.to_string())
        .env("JOB_TYPE", &job.job_type)
        .env("JOB_ATTEMPT", job.attempt.to_string())
        .env("JOB_FENCE", job.lease.to_string())
        .env("JOB_TENANT", &job.tenant_id)
        .stdin(if plan.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(directory) = &plan.directory {
        command.current_dir(directory);
    }
    plan.limits.apply(&mut command);
    command
}

/// Writes standard input and closes it. A program may end or close it before it has read all: that is its right.
async fn feed(stdin: Option<(ChildStdin, Vec<u8>)>) {
    if let Some((mut pipe, bytes)) = stdin {
        let _ = pipe.write_all(&bytes).await;
    }
}

/// The conversation through the pipes, polled while something else is awaited.
struct Talk<'a> {
    future: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
    over: bool,
}

impl Talk<'_> {
    /// Awaits `other` and keeps the pipes moving meanwhile.
    async fn beside<T>(&mut self, other: impl Future<Output = T>) -> T {
        tokio::pin!(other);
        loop {
            tokio::select! {
                biased;
                done = &mut other => return done,
                () = self.future.as_mut(), if !self.over => self.over = true,
            }
        }
    }

    /// Reads on to the end of the pipes, but not for longer than `limit`.
    async fn finish(&mut self, limit: Duration) {
        if !self.over {
            self.over = timeout(limit, self.future.as_mut()).await.is_ok();
        }
    }
}

/// The process group of a child. Killed when dropped, so that a handler that is aborted leaves nothing running.
struct Group {
    id: Option<Pid>,
}

impl Group {
    fn of(child: &Child) -> Self {
        Self { id: child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw) }
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = self.id {
            // ESRCH: all of them are gone, which is what we want.
            let _ = killpg(id, signal);
        }
    }

    /// Kills what is left of the group.
    ///
    /// The group's number stays taken as long as one member lives. With none left it could name a new group only if
    /// all process ids were handed out once around since the leader was reaped, a few microseconds ago.
    fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.id = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Tells apart what can keep a program from starting.
fn not_started(plan: &Plan, error: &io::Error) -> JobError {
    let program = &plan.program;
    if let Some(directory) = plan.directory.as_deref().filter(|directory| !directory.is_dir()) {
        let text = format!("the working directory {} does not exist on this worker", directory.display());
        return JobError::fatal("directory_missing", text);
    }
    match (error.kind(), error.raw_os_error().map(Errno::from_raw)) {
        (ErrorKind::NotFound, _) => {
            let text = format!(
                "{program:?} could not be started: the file, or the interpreter it names, does not exist"
            );
            JobError::fatal("program_not_found", text)
        }
        (ErrorKind::PermissionDenied, _) | (_, Some(Errno::ENOEXEC)) => {
            JobError::fatal("program_not_executable", format!("{program:?} could not be started: {error}"))
        }
        (ErrorKind::ArgumentListTooLong, _) => JobError::fatal(
            "invalid_payload",
            format!("the arguments and environment of {program:?} are too long"),
        ),
        _ => JobError::retry("spawn_failed", format!("{program:?} could not be started: {error}")),
    }
}

/// The `PATH` in which names are looked up.
pub(super) fn search_path(surroundings: &[(&'static str, OsString)]) -> OsString {
    let path = surroundings.iter().find(|(name, _)| *name == "PATH").map(|(_, value)| value.as_os_str());
    path.unwrap_or(OsStr::new(PATH_DEFAULT)).to_owned()
}
