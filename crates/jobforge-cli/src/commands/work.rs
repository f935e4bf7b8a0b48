//! `jobforge work`: a worker with the built-in job types.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jobforge::builtin::BuiltinConfig;
use jobforge::builtin::exec::ExecConfig;
use jobforge::builtin::outbound::HttpConfig;
use jobforge::builtin::secrets::SecretsConfig;
use jobforge::core::counted::counted;
use jobforge::core::retention::Retention;
use jobforge::core::settings::{Settings, Source};
use jobforge::process::SlotLock;
use jobforge::services::{Sampler, own_telling};
use jobforge::store::WorkerStore;
use jobforge::{OpenOptions, Purpose, Worker, WorkerBuilder};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Context, StopSignals, owner, stop_signals};
use crate::cli::{Global, WorkArgs};
use crate::failure::{self, Failure};
use crate::service_manager::ServiceManager;
use crate::supervise::{Counts, Desk, Order, Reporter, Supervisor, lifeline, orders_by_signal, work_command};
use crate::{logging, output};

/// What a draining worker may take beyond its grace and its lease before its supervisor kills it.
const DRAIN_MARGIN: Duration = Duration::from_secs(30);

pub(crate) fn flags(args: &WorkArgs) -> BTreeMap<String, String> {
    super::flags(&[
        ("queues", args.queues.as_ref()),
        ("slots", args.slots.as_ref()),
        ("exec_allow", args.exec_allow.as_ref()),
    ])
}

pub(crate) async fn run(context: Context, global: &Global, args: &WorkArgs) -> Result<(), Failure> {
    if supervises(args) {
        let supervisor = supervisor(&context, global, args, false).await?;
        let supervisor = Supervisor { manager: ServiceManager::of_environment(), ..supervisor };
        // Here and not in the worker: what it has counted outlives it.
        super::metrics::listen(&context.settings, None, &CancellationToken::new()).await?;
        let (follower, live) = context.follow(supervisor.reporter.store()).await;
        let until = CancellationToken::new();
        tokio::spawn(follower.run(until.clone()));
        tokio::spawn(Sampler::new(supervisor.reporter.store(), live, own_telling()).run(until.clone()));
        let _until_the_end = until.drop_guard();
        return supervisor.run(orders_by_signal()?).await;
    }
    let mut asked = Asked::by(stop_signals()?);
    if args.supervised {
        asked.by_supervisor()?;
    }
    let counts = if args.supervised { Some(hand_over_counts()?) } else { None };
    if counts.is_none() {
        super::metrics::listen(&context.settings, None, &CancellationToken::new()).await?;
    }
    let Some((store, place)) = jobs(&context, &mut asked, args.supervised).await? else { return Ok(()) };
    let (follower, live) = context.follow(Arc::clone(&store)).await;
    let following = CancellationToken::new();
    if !args.supervised {
        let sampler = Sampler::new(Arc::clone(&store), live.clone(), own_telling());
        tokio::spawn(sampler.run(following.clone()));
    }
    let worker = prepare(&live.now(), store, false)?.live(live);
    tokio::spawn(follower.run(following.clone()));
    let _until_the_end = following.clone().drop_guard();
    let worker = if args.supervised {
        let worker = worker.last_resort(|| lifeline::quit(failure::SELF_FENCED));
        worker.restarts_process(|| lifeline::quit(failure::RESTARTED))
    } else {
        worker
    };
    let worker = worker.start().await?;
    tracing::info!(worker.id = %worker.id(), "worker {} takes jobs from {place}; stop with Ctrl-C", worker.id());
    if let Some(Err(error)) = counts.as_ref().map(Counts::works) {
        tracing::debug!(%error, "the supervisor does not listen any more");
    }
    // A supervised worker is not who the manager has started.
    let manager = if args.supervised { ServiceManager::default() } else { ServiceManager::of_environment() };
    manager.ready(&format!("worker {} takes jobs from {place}", worker.id()));
    if let Some(every) = manager.sign_every() {
        tokio::spawn(manager.clone().vouch(every, None, None, following.clone()));
    }
    let restarts = tokio::select! {
        () = asked.wait_for_drain() => false,
        () = worker.restart_asked() => true,
    };
    manager.stopping();
    let stopped = stop(worker, &context.settings, &mut asked).await;
    if let Some(Err(error)) = counts.map(|counts| counts.hand_over()) {
        tracing::debug!(%error, "the supervisor does not listen any more");
    }
    stopped?;
    if restarts {
        // A handler that blocks its thread would keep this process from ending.
        logging::finish();
        lifeline::quit(failure::RESTARTED);
    }
    Ok(())
}

fn hand_over_counts() -> Result<Counts, Failure> {
    Counts::start()
        .map_err(|error| Failure::new(failure::FAILED, format!("cannot hand over what is counted: {error}")))
}

/// Whether to supervise a worker in a process of its own, and not to be one.
pub(crate) fn supervises(args: &WorkArgs) -> bool {
    !args.supervised && !args.no_supervise
}

/// Prepares to supervise a worker process with these settings.
pub(crate) async fn supervisor(
    context: &Context,
    global: &Global,
    args: &WorkArgs,
    any_program: bool,
) -> Result<Supervisor, Failure> {
    let settings = context.settings.clone();
    // What no worker can use is told here, once, and not by a worker that then ends.
    queues(&settings)?;
    builtins(&settings, any_program)?;
    super::payloads(&settings)?;
    let desk = match context.embedded()? {
        Some(database) => Desk::Server(Arc::new(owner::of(&database)?)),
        // Opened before any worker starts, so that a wrong URL is told once and a report finds its connection open.
        None => Desk::Database {
            store: context.own().await?,
            own: context.own.clone(),
            at_start: settings.rescue_policy(),
        },
    };
    let lease = settings.millis("worker_lease_ms");
    let reporter = Reporter::new(desk);
    let drain_limit = settings.millis("shutdown_grace_ms") + 2 * lease + DRAIN_MARGIN;
    let (global, args) = (global.clone(), args.clone());
    let command = Box::new(move || work_command(&global, &settings, &args, any_program));
    let manager = ServiceManager::default();
    Ok(Supervisor { command, reporter, drain_limit, started: watch::Sender::new(None), manager })
}

/// Who tells a worker to stop.
pub(crate) struct Asked {
    /// Signals to its process: the second does not wait. They are listened for all the while, so that none gets lost.
    signals: StopSignals,
    /// Its supervisor. A signal to a supervised worker drains it and no more, for a service manager sends the same signal to
    /// every process of a service.
    orders: Option<watch::Receiver<Order>>,
}

impl Asked {
    pub(crate) fn by(signals: StopSignals) -> Self {
        Self { signals, orders: None }
    }

    fn by_supervisor(&mut self) -> Result<(), Failure> {
        let orders = lifeline::listen()
            .map_err(|error| Failure::new(failure::FAILED, format!("cannot listen for orders: {error}")))?;
        self.orders = Some(orders);
        Ok(())
    }

    async fn wait_for_drain(&mut self) {
        let Some(orders) = &mut self.orders else { return self.signals.next().await };
        tokio::select! {
            () = self.signals.next() => {}
            _ = orders.wait_for(|order| *order != Order::Run) => {}
        }
    }

    async fn wait_for_now(&mut self) {
        match &mut self.orders {
            None => self.signals.next().await,
            // Without its supervisor it hands back what it can, until the lifeline ends it.
            Some(orders) => drop(orders.wait_for(|order| *order == Order::Now).await),
        }
    }

    /// Who takes the jobs back of a worker that does not wait for them.
    fn taker(&self) -> &'static str {
        if self.orders.is_some() { "its supervisor" } else { "the watchdog" }
    }

    /// How long running jobs may still take.
    fn grace(&self, settings: &Settings) -> Duration {
        match &self.orders {
            Some(orders) if *orders.borrow() == Order::Orphaned => Duration::ZERO,
            _ => settings.millis("shutdown_grace_ms"),
        }
    }
}

/// Where the worker takes its jobs from, and what that is called; `None` if it was asked to stop before it was found.
async fn jobs(
    context: &Context,
    asked: &mut Asked,
    supervised: bool,
) -> Result<Option<(Arc<dyn WorkerStore>, String)>, Failure> {
    let Some(database) = context.embedded()? else {
        let store = tokio::select! {
            store = context.own() => store?,
            () = asked.wait_for_drain() => return Ok(None),
        };
        let place = store.location().to_owned();
        return Ok(Some((store, place)));
    };
    let server = owner::of(&database)?;
    let server = if supervised { server.supervised() } else { server };
    let Some(server) = owner::reach(context, server, asked.wait_for_drain()).await? else { return Ok(None) };
    let place = server.socket().display().to_string();
    Ok(Some((Arc::new(server), place)))
}

/// Starts a worker by the settings. `any_program` lets exec run whatever it is told when no list was given.
pub(crate) async fn start(
    context: &Context,
    store: Arc<dyn WorkerStore>,
    any_program: bool,
) -> Result<Worker, Failure> {
    let (follower, live) = context.follow(Arc::clone(&store)).await;
    let worker = prepare(&live.now(), store, any_program)?.live(live);
    // It ends with the process, as the worker does.
    tokio::spawn(follower.run(CancellationToken::new()));
    Ok(worker.start().await?)
}

fn prepare(
    settings: &Settings,
    store: Arc<dyn WorkerStore>,
    any_program: bool,
) -> Result<WorkerBuilder, Failure> {
    let builder = Worker::on(store).settings(settings).payloads(super::payloads(settings)?);
    let mut builder = builder.builtins(builtins(settings, any_program)?)?;
    for (queue, slots) in queues(settings)? {
        builder = builder.queue(queue, slots);
    }
    if let Some(lock) = slot(settings) {
        builder = builder.slot(lock, settings.rescue_policy());
    }
    Ok(builder)
}

/// Takes this machine's slot of the worker's name, so that a worker that starts after a crash proves its predecessor dead.
fn slot(settings: &Settings) -> Option<SlotLock> {
    let directory = slot_directory(settings);
    match SlotLock::take(&directory, settings.text("worker_name")) {
        Ok(lock) => lock,
        Err(error) => {
            tracing::warn!(error = %error, "no slot can be locked in {}; a restart will not prove this worker dead", directory.display());
            None
        }
    }
}

/// The directory that was named, the service manager's, or the user's; beside an embedded database in any case.
fn slot_directory(settings: &Settings) -> PathBuf {
    let data = PathBuf::from(settings.text("data_dir")).join("slots");
    let named = settings.get("data_dir").is_some_and(|resolved| resolved.source != Source::Default);
    if named || !OpenOptions::from_settings(settings, Purpose::Own, false).is_postgres() {
        return data;
    }
    // Facts of the machine, not settings of ours.
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user =
        || variable("XDG_STATE_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/state")));
    let service = variable("STATE_DIRECTORY").map(|directory| directory.join("slots"));
    service.or_else(|| user().map(|state| state.join("jobforge/slots"))).unwrap_or(data)
}

/// Stops in good order; a second request does not wait.
pub(crate) async fn stop(worker: Worker, settings: &Settings, asked: &mut Asked) -> Result<(), Failure> {
    let grace = asked.grace(settings);
    let held = worker.stats().held;
    if held > 0 {
        output::note(&format!(
            "waiting up to {} s for {}; stop again to give back at once what still runs",
            grace.as_secs(),
            counted(held, "running job")
        ));
    }
    tokio::select! {
        given_back = worker.stop_gracefully(grace) => {
            if given_back > 0 {
                output::note(&format!("gave {} back, without the loss of an attempt", counted(given_back, "job")));
            }
            Ok(())
        }
        () = asked.wait_for_now() => {
            let message = format!("stopped without waiting; what was running will be taken back by {}", asked.taker());
            Err(Failure::new(failure::INTERRUPTED, message))
        }
    }
}

/// Reads `default,mail=20`.
fn queues(settings: &Settings) -> Result<Vec<(String, usize)>, Failure> {
    let default_slots = usize::try_from(settings.integer("slots")).unwrap_or(10);
    settings
        .list("queues")
        .into_iter()
        .map(|item| match item.split_once('=') {
            None => Ok((item, default_slots)),
            Some((name, slots)) => match slots.trim().parse::<usize>() {
                Ok(slots) if slots > 0 => Ok((name.trim().to_owned(), slots)),
                _ => Err(Failure::new(
                    failure::CONFIG,
                    format!("queues contains {item:?}; write name=slots with at least one slot"),
                )),
            },
        })
        .collect()
}

fn builtins(settings: &Settings, any_program: bool) -> Result<BuiltinConfig, Failure> {
    let mut allow = settings.list("exec_allow");
    if allow.is_empty() && any_program {
        allow.push("*".to_owned());
    }
    let ports = settings.list("http_allow_ports");
    let ports = ports.iter().map(|port| port.parse::<u16>()).collect::<Result<Vec<_>, _>>();
    let folder = settings.text("secrets_dir");
    let mut hosts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for item in settings.list("secret_hosts") {
        let Some((secret, host)) = item.split_once('=') else {
            return Err(Failure::new(
                failure::CONFIG,
                format!("secret_hosts contains {item:?}; write secret=host"),
            ));
        };
        hosts.entry(secret.trim().to_owned()).or_default().push(host.trim().to_owned());
    }
    Ok(BuiltinConfig {
        exec: ExecConfig { enabled: !allow.is_empty(), allow },
        http: HttpConfig {
            allow_private: settings.list("http_allow_private"),
            allow_ports: ports.map_err(|_| {
                Failure::new(failure::CONFIG, "http_allow_ports must be port numbers separated by commas")
            })?,
        },
        secrets: SecretsConfig { folder: (!folder.is_empty()).then(|| PathBuf::from(folder)), hosts },
        retention: Retention::from_settings(settings),
    })
}
