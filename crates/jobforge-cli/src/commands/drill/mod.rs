//! `jobforge drill`: really kills, freezes or cuts off a worker, and measures how its work comes back.
//!
//! The drill brings its own worker, its own queue and its own jobs, and touches no others. What it tests is the installation:
//! the same database, the same settings, and the watchdog and, on SQLite, the server that run there.

mod canary;
mod pauses;
mod proxy;
mod trials;
mod verdict;

use std::path::PathBuf;
use std::time::Duration;

use jobforge::core::job::JobId;
use jobforge::core::state::Status;
use jobforge::core::time::{Now, parse_duration, words};
use jobforge::store::rows::Move;
use jobforge::{Client, clock};
use nix::sys::signal::Signal;

use self::canary::{Canary, Frozen, Place};
use self::proxy::Proxy;
use self::verdict::{Measured, Scene};
use super::{Context, asked_to_stop, owner};
use crate::cli::{DrillArgs, DrillCommand, Global};
use crate::failure::{self, Failure};
use crate::output;

/// Jobs that the canary holds when it is struck.
const JOBS: usize = 3;
/// How long the canary may take to start and to take its jobs.
const BEGIN: Duration = Duration::from_secs(30);
/// How long a worker that was frozen or cut off is watched after it came back.
const AFTERMATH: Duration = Duration::from_secs(3);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// What is done to the canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Kill,
    Stop,
    Partition,
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill-worker",
            Self::Stop => "stop-worker",
            Self::Partition => "partition",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Kill => "killed the worker process with SIGKILL",
            Self::Stop => "froze the worker process with SIGSTOP",
            Self::Partition => "cut the worker and its supervisor off from the database",
        }
    }

    /// A supervisor proves a death at once; silence is proven by nothing but the end of the lease.
    fn bound(self, lease: Duration) -> Duration {
        match self {
            Self::Kill => Duration::from_secs(5),
            Self::Stop | Self::Partition => lease + Duration::from_secs(10),
        }
    }
}

pub(crate) async fn run(context: Context, global: &Global, command: DrillCommand) -> Result<(), Failure> {
    let embedded = context.embedded()?;
    if let Some(database) = &embedded {
        // Its workers speak to the server, and nobody else gives their jobs to others.
        owner::must_answer(database).await?;
    }
    let client = context.visit().await?;
    let stage = Stage { context: &context, global, client: &client, embedded };
    let (fault, args) = match command {
        DrillCommand::KillWorker(args) => (Fault::Kill, args),
        DrillCommand::StopWorker(args) => (Fault::Stop, args),
        DrillCommand::Partition(args) => (Fault::Partition, args),
        DrillCommand::Pauses(args) => return pauses::run(&stage, &args).await,
    };
    let bar = output::progress(args.trials, fault.name());
    let mut trials = Vec::new();
    for _ in 0..args.trials {
        trials.push(
            stage
                .on(args.keep, async |place| Drill { stage: &stage, place }.play(fault, &args).await)
                .await?,
        );
        bar.inc(1);
    }
    bar.finish_and_clear();
    let passed = trials.iter().all(Measured::passed);
    match trials.as_slice() {
        [only] => only.print(fault, context.json)?,
        all => trials::print(fault, all, context.json)?,
    }
    if passed { Ok(()) } else { Err(Failure::new(failure::FAILED, "")) }
}

/// What all drills of one command share.
struct Stage<'a> {
    context: &'a Context,
    global: &'a Global,
    client: &'a Client,
    /// The file of the database, if it is embedded.
    embedded: Option<PathBuf>,
}

impl Stage<'_> {
    /// Plays something in a place of its own, until it is over or the user stops it.
    async fn on<T>(
        &self,
        keep: bool,
        play: impl AsyncFnOnce(&Place) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let place = Place::new()?;
        let outcome = tokio::select! {
            outcome = play(&place) => outcome,
            _ = asked_to_stop() => Err(Failure::new(failure::INTERRUPTED, "the drill was stopped")),
        };
        if !keep {
            // Whatever came of it: nothing of the drill is left.
            let ids = place.jobs(self.client).await.unwrap_or_default();
            for step in [Move::Cancel, Move::Delete] {
                let _ = self.client.store().move_jobs(&ids, step, self.client.by(), Now::Database).await;
            }
        }
        outcome
    }
}

/// One blow and what comes of it.
struct Drill<'a> {
    stage: &'a Stage<'a>,
    place: &'a Place,
}

impl Drill<'_> {
    /// Strikes a worker and watches its jobs come back.
    async fn play(&self, fault: Fault, args: &DrillArgs) -> Result<Measured, Failure> {
        let Self { stage: Stage { context, global, client, .. }, place } = *self;
        let lease = context.settings.millis("worker_lease_ms");
        let within = args.within.as_deref().map(parse_duration).transpose();
        let within = within.map_err(|error| Failure::usage(format!("--within: {error}")))?;
        let within = within.unwrap_or_else(|| fault.bound(lease));
        let proxy = match fault {
            Fault::Partition => Some(self.proxy().await?),
            Fault::Kill | Fault::Stop => None,
        };
        let struck = Canary::start(global, context, place, proxy.as_ref().map(Proxy::url))?;
        let ids = place.enqueue(client, JOBS).await?;
        until(BEGIN, "the canary runs its jobs", || async { Ok(place.starts().len() >= JOBS) }).await?;
        let Some(pid) = place.workers(client).await?.first().map(|worker| worker.pid) else {
            return Err(Failure::new(
                failure::FAILED,
                "the canary died before the drill began; see it with --log info",
            ));
        };
        // The heir of a killed worker is started by its supervisor; any other needs a second worker.
        let heir =
            if fault == Fault::Kill { None } else { Some(Canary::start(global, context, place, None)?) };
        if heir.is_some() {
            until(BEGIN, "a second worker is up", || async { Ok(place.workers(client).await?.len() >= 2) })
                .await?;
        }
        let struck_at = client.store().now().await?;
        let mut frozen = None;
        match (fault, &proxy) {
            (Fault::Kill, _) => canary::signal(pid, Signal::SIGKILL)?,
            (Fault::Stop, _) => frozen = Some(Frozen::freeze(pid)?),
            (Fault::Partition, proxy) => proxy.iter().for_each(Proxy::cut),
        }
        if args.trials == 1 {
            output::note(&format!("{}; waiting up to {} for its {JOBS} jobs", fault.words(), words(within)));
        }
        let back = until(within, "the jobs run again", || async { all_ended(client, &ids).await }).await;
        drop(frozen);
        proxy.iter().for_each(Proxy::mend);
        if fault != Fault::Kill && back.is_ok() {
            // It may try to report what it did before; that must change nothing.
            tokio::time::sleep(AFTERMATH).await;
        }
        let scene = Scene { struck_at, within, starts: place.starts(), overlaps_count: fault != Fault::Stop };
        let measured = Measured::of(client, &ids, &scene).await?;
        struck.stop().await;
        if let Some(heir) = heir {
            heir.stop().await;
        }
        Ok(measured)
    }

    async fn proxy(&self) -> Result<Proxy, Failure> {
        let proxy = match &self.stage.embedded {
            Some(database) => Proxy::to_owner(database, self.place.directory()),
            None => Proxy::to_postgres(self.stage.context.settings.text("database_url")).await,
        };
        proxy.map_err(|error| Failure::new(failure::FAILED, format!("the drill {error:#}")))
    }
}

async fn all_ended(client: &Client, ids: &[JobId]) -> Result<bool, Failure> {
    for id in ids {
        if client.job(*id).await?.status != Status::Succeeded {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Looks until it is so.
async fn until<F>(limit: Duration, what: &str, mut is_so: impl FnMut() -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<bool, Failure>>,
{
    let began = clock::monotonic();
    while !is_so().await? {
        if clock::monotonic().duration_since(began) > limit {
            return Err(Failure::new(failure::TIMED_OUT, format!("it took longer than {} until {what}", words(limit)))
                .hint("see what `jobforge serve` and the workers say; without a watchdog nobody takes lost jobs back"));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
