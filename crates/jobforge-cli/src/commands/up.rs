//! `jobforge up`: everything at once: the server in this process, and a supervised worker beside it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jobforge::core::death::ProcessId;
use jobforge::core::job::WorkerId;
use jobforge::core::settings::Settings;
use jobforge::core::time::Now;
use jobforge::core::worker::WorkerRow;
use jobforge::store::{Store, WorkerStore};
use jobforge::{OpenOptions, Purpose, Worker, clock};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::serve::Serving;
use super::work::{self, Asked};
use super::{Context, StopSignals, demo, serve, stop_signals};
use crate::cli::{Global, UpArgs};
use crate::failure::{self, Failure};
use crate::output;
use crate::service_manager::ServiceManager;
use crate::supervise::{Order, Supervisor};

/// How long the first worker process may take before `up` says that it is there all the same.
const WORKER_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks whether it has registered.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(crate) async fn run(context: Context, global: &Global, args: &UpArgs) -> Result<(), Failure> {
    // The first run should need nothing: here, and only here, PostgreSQL is migrated on the way, too.
    let visit = OpenOptions::from_settings(&context.settings, Purpose::Visit, true).open_unverified().await?;
    visit.migrate().await?;
    for done in visit.sql_surface(true).await? {
        output::note(&done);
    }
    drop(visit);
    let store = context.own().await?;
    let stop = CancellationToken::new();
    let manager = ServiceManager::of_environment();
    let Serving { address, mut parts, draining } = serve::start(&context, &store, &stop, &manager).await?;
    // Listened for from here to the end, so that none gets lost between two who wait for one.
    let mut signals = stop_signals()?;
    let mut working = if work::supervises(&args.work) {
        Working::beside(work::supervisor(&context, global, &args.work, true).await?)
    } else {
        Working::Here(work::start(&context, Arc::clone(&store) as Arc<dyn WorkerStore>, true).await?)
    };
    let who = working.who();
    let shown_and_asked = async {
        let worker = tokio::select! {
            worker = who.words(&*store) => worker,
            () = signals.next() => return Ok(()),
        };
        manager.ready(&format!("up on {}", store.location()));
        greet(&context, store.location(), address, &worker);
        if args.demo {
            let shown = tokio::select! {
                shown = demo::run(&store) => shown,
                () = signals.next() => return Ok(()),
            };
            if shown.is_err() || args.once {
                return shown;
            }
        }
        signals.next().await;
        Ok(())
    };
    let outcome = tokio::select! {
        outcome = shown_and_asked => outcome,
        failed = working.ended() => failed,
        broken = parts.broken() => Err(broken),
    };
    manager.stopping();
    draining.cancel();
    working.stop(&context.settings, signals).await?;
    stop.cancel();
    let ended = parts.ended().await;
    outcome.and(ended)
}

/// The worker of `up`.
enum Working {
    /// In this process.
    Here(Worker),
    /// In a process of its own, which this one supervises.
    Beside {
        orders: watch::Sender<Order>,
        started: watch::Receiver<Option<ProcessId>>,
        supervisor: JoinHandle<Result<(), Failure>>,
    },
}

impl Working {
    fn beside(supervisor: Supervisor) -> Self {
        let (orders, receiver) = watch::channel(Order::Run);
        let started = supervisor.started.subscribe();
        Self::Beside { orders, started, supervisor: tokio::spawn(supervisor.run(receiver)) }
    }

    fn who(&self) -> Who {
        match self {
            Self::Here(worker) => Who::Known(worker.id()),
            Self::Beside { started, .. } => Who::Starting(started.clone()),
        }
    }

    /// Resolves when the supervisor has failed, which no worker's end makes it do.
    async fn ended(&mut self) -> Result<(), Failure> {
        match self {
            Self::Here(_) => std::future::pending().await,
            Self::Beside { supervisor, .. } => outcome(supervisor).await,
        }
    }

    /// Stops in good order; a second signal does not wait.
    async fn stop(self, settings: &Settings, mut signals: StopSignals) -> Result<(), Failure> {
        match self {
            Self::Here(worker) => work::stop(worker, settings, &mut Asked::by(signals)).await,
            Self::Beside { supervisor, .. } if supervisor.is_finished() => Ok(()),
            Self::Beside { orders, mut supervisor, .. } => {
                orders.send_replace(Order::Drain);
                tokio::select! {
                    outcome = outcome(&mut supervisor) => return outcome,
                    () = signals.next() => {}
                }
                orders.send_replace(Order::Now);
                outcome(&mut supervisor).await
            }
        }
    }
}

/// Who works.
enum Who {
    Known(WorkerId),
    /// The process that was started last.
    Starting(watch::Receiver<Option<ProcessId>>),
}

impl Who {
    /// Waits until the worker takes jobs, though not for ever, and says who it is.
    async fn words(self, store: &dyn Store) -> String {
        let started = match self {
            Self::Known(id) => return id.to_string(),
            Self::Starting(started) => started,
        };
        let began = clock::monotonic();
        while clock::monotonic().duration_since(began) < WORKER_WITHIN {
            // A database that does not answer now is told of by whoever needs it.
            let workers = store.workers(Now::Database).await.unwrap_or_default();
            let process = started.borrow().clone();
            let is_it =
                |row: &&WorkerRow| row.state.is_active() && row.process.is_some() && row.process == process;
            if let Some(worker) = workers.iter().find(is_it) {
                return format!("{}, supervised process {}", worker.id, worker.pid);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        "a supervised process, which is still starting".to_owned()
    }
}

async fn outcome(supervisor: &mut JoinHandle<Result<(), Failure>>) -> Result<(), Failure> {
    supervisor.await.unwrap_or_else(|error| {
        Err(Failure::new(failure::FAILED, format!("the supervisor of the worker broke: {error}")))
    })
}

fn greet(context: &Context, location: &str, address: Option<SocketAddr>, worker: &str) {
    let data = if context.settings.text("database_url").is_empty() {
        String::new()
    } else {
        " --database-url \"$DATABASE_URL\"".to_owned()
    };
    let data = match (data.is_empty(), context.settings.text("data_dir")) {
        (true, "./.jobforge") | (false, _) => data,
        (true, directory) => format!(" --data-dir {directory}"),
    };
    output::note(&format!("{} is up", output::bold("JobForge")));
    output::note(&format!("  database  {location}"));
    if let Some(address) = address {
        output::note(&format!("  server    http://{address}"));
        output::note(&format!("  dashboard http://{address}/ui"));
    }
    output::note(&format!("  worker    {worker}, queues {}", context.settings.text("queues")));
    output::note("try, in another terminal:");
    let jobforge = output::program();
    for (why, what) in [
        ("run a program", format!("{jobforge} job enqueue exec '{{\"argv\": [\"date\"]}}' --wait{data}")),
        ("see the jobs", format!("{jobforge} job list{data}")),
        ("ask about one", format!("{jobforge} job explain JOB{data}")),
    ] {
        output::note(&format!("  {why:<13} {}", output::command(&what)));
    }
    output::note("stop with Ctrl-C");
}
