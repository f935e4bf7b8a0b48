//! What simulated jobs do.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use jobforge::{JobContext, JobError, JobType};
use jobforge_core::job::{JobId, Lease};
use serde::{Deserialize, Serialize};

use super::event::{ProcessId, What};
use super::fleet::CRASHED;
use super::process::Exit;
use super::world::Shared;

/// A job that every worker knows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Common(pub(super) Task);

/// A job that some workers do not know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Rare(pub(super) Task);

impl JobType for Common {
    const TYPE: &'static str = "sim.common";
    type Output = Option<u64>;
}

impl JobType for Rare {
    const TYPE: &'static str = "sim.rare";
    type Output = Option<u64>;
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Task {
    /// It takes so many milliseconds, and returns a number or nothing.
    Work {
        /// How long.
        ms: u64,
        /// What it returns.
        returns: Option<u64>,
    },
    /// It reports progress at each of so many steps of a second, and goes on where an earlier attempt has stopped.
    Report {
        /// How many.
        steps: u32,
    },
    /// It fails so often before it succeeds.
    Fail {
        /// How often.
        times: u32,
        /// How long each attempt takes.
        ms: u64,
    },
    /// It panics so often before it succeeds.
    Panic {
        /// How often.
        times: u32,
    },
    /// It fails for good.
    Fatal,
    /// It asks to be run later, so often.
    Snooze {
        /// How often.
        times: u32,
        /// How much later.
        ms: u64,
    },
    /// It does not listen when it is asked to stop.
    Ignore {
        /// How long it takes.
        ms: u64,
    },
    /// It never ends by itself.
    Hang,
    /// It takes its process down so often before it succeeds.
    Crash {
        /// How often.
        times: u32,
        /// How long each attempt takes.
        ms: u64,
    },
}

/// What the handlers of a process write down.
pub(super) struct Desk {
    pub(super) world: Shared,
    pub(super) process: ProcessId,
    pub(super) exit: Arc<Exit>,
}

/// A handler that runs, until it is dropped.
struct Run {
    desk: Arc<Desk>,
    job: JobId,
    lease: Lease,
}

impl Desk {
    /// What a process does that has ended nobody sees.
    fn tell(&self, what: What) {
        if self.exit.why().is_none() {
            self.world.lock().tell(what);
        }
    }
}

impl Run {
    fn begin(ctx: &JobContext, stubborn: bool) -> Result<Self, JobError> {
        let desk = ctx.state::<Desk>()?;
        let run = Self { job: ctx.id(), lease: ctx.fence(), desk };
        let (process, job, lease) = (run.desk.process, run.job, run.lease);
        run.desk.tell(What::Began { process, job, lease, stubborn });
        Ok(run)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let (process, job, lease) = (self.desk.process, self.job, self.lease);
        self.desk.tell(What::Over { process, job, lease });
    }
}

pub(super) async fn common(Common(task): Common, ctx: JobContext) -> Result<Option<u64>, JobError> {
    work(task, ctx).await
}

pub(super) async fn rare(Rare(task): Rare, ctx: JobContext) -> Result<Option<u64>, JobError> {
    work(task, ctx).await
}

async fn work(task: Task, ctx: JobContext) -> Result<Option<u64>, JobError> {
    let _run = Run::begin(&ctx, matches!(task, Task::Ignore { .. }))?;
    match task {
        Task::Work { ms, returns } => {
            pass(&ctx, ms).await?;
            Ok(returns)
        }
        Task::Report { steps } => {
            let done = ctx.checkpoint::<u32>()?.unwrap_or(0);
            for step in done..steps {
                pass(&ctx, 1000).await?;
                ctx.set_checkpoint(&(step + 1))?;
                ctx.progress(u8::try_from((step + 1) * 100 / steps).unwrap_or(100), format!("step {step}"));
                ctx.log(format!("step {step} is done"));
            }
            Ok(Some(u64::from(steps)))
        }
        Task::Fail { times, ms } => {
            pass(&ctx, ms).await?;
            if ctx.attempt() <= times {
                return Err(JobError::retry("planned", "it fails as planned"));
            }
            Ok(None)
        }
        Task::Panic { times } => {
            pass(&ctx, 20).await?;
            if ctx.attempt() <= times {
                // As a panic, without its message on stderr.
                resume_unwind(Box::new("it panics as planned"));
            }
            Ok(None)
        }
        Task::Fatal => Err(JobError::fatal("planned", "it fails for good as planned")),
        Task::Snooze { times, ms } => {
            let slept = ctx.checkpoint::<u32>()?.unwrap_or(0);
            if slept < times {
                ctx.set_checkpoint(&(slept + 1))?;
                return Err(JobError::snooze(Duration::from_millis(ms)));
            }
            Ok(None)
        }
        Task::Ignore { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(None)
        }
        Task::Crash { times, ms } => {
            pass(&ctx, ms).await?;
            if ctx.attempt() <= times {
                ctx.state::<Desk>()?.exit.now(CRASHED);
                // Nothing comes after this.
                return std::future::pending().await;
            }
            Ok(None)
        }
        Task::Hang => {
            ctx.stopped().await;
            Err(JobError::stopped())
        }
    }
}

/// Takes so long, and stops when it is asked to.
async fn pass(ctx: &JobContext, ms: u64) -> Result<(), JobError> {
    tokio::select! {
        biased;
        _ = ctx.stopped() => Err(JobError::stopped()),
        () = tokio::time::sleep(Duration::from_millis(ms)) => Ok(()),
    }
}
