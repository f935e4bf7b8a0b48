//! `jobforge serve` and `jobforge cleanup-daemon`: the server process, in all of its roles or some.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use jobforge::Client;
use jobforge::core::retention::Retention;
use jobforge::core::role::Role;
use jobforge::core::schedule::{Definition, Source, check, cleanup};
use jobforge::core::settings::Settings;
use jobforge::core::time::words;
use jobforge::live::Live;
use jobforge::notify::Channels;
use jobforge::remote::socket_path;
use jobforge::services::{
    AlertJudge, Housekeeper, Notifier, Numbers, Sampler, Scheduler, SystemRunner, Watchdog, own_telling,
    telling,
};
use jobforge::store::{Store, WorkerStore};
use jobforge_server::{Server, ServerOptions, SocketOptions, bind, bind_socket};
use tokio_util::sync::CancellationToken;

use super::parts::Parts;
use super::{Context, stop_signals};
use crate::cli::ServeArgs;
use crate::credentials::secret;
use crate::failure::{self, Failure};
use crate::service_manager::ServiceManager;

pub(crate) fn flags(args: &ServeArgs) -> BTreeMap<String, String> {
    super::flags(&[
        ("listen", args.listen.as_ref()),
        ("roles", args.roles.as_ref()),
        ("metrics_listen", args.metrics_listen.as_ref()),
    ])
}

/// What `jobforge cleanup-daemon` is short for.
pub(crate) fn watchdog_only() -> BTreeMap<String, String> {
    super::flags(&[("roles", Some(&Role::Watchdog.to_string()))])
}

pub(crate) async fn run(context: Context) -> Result<(), Failure> {
    // Before the database, which opening may make.
    let roles = roles(&context.settings)?;
    let store = context.own().await?;
    let stop = CancellationToken::new();
    let manager = ServiceManager::of_environment();
    let Serving { address, mut parts, draining } = start(&context, &store, &stop, &manager).await?;
    // Listened for before it is said, so that nobody who believes the line kills us.
    let mut signals = stop_signals()?;
    let only_watches = roles.iter().eq([&Role::Watchdog]);
    let said = match address {
        Some(address) => format!("serving {} on http://{address}", store.location()),
        None if only_watches => format!(
            "Cleanup daemon started on {}: checks at least every {}, and at once when a worker's lease has run out",
            store.location(),
            words(context.settings.millis("watchdog_check_interval_ms"))
        ),
        None => {
            let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
            format!("serving {} as {} only", store.location(), roles.join(" and "))
        }
    };
    manager.ready(&said);
    tracing::info!("{said}{}", if only_watches { "" } else { "; stop with Ctrl-C" });
    let broken = tokio::select! {
        _ = signals.next() => None,
        broken = parts.broken() => Some(broken),
    };
    manager.stopping();
    draining.cancel();
    let patience = context.settings.millis("drain_delay_ms");
    if address.is_some() && !patience.is_zero() && broken.is_none() {
        tracing::info!(
            "stopping in {}; until then /readyz says that this server is not ready",
            words(patience)
        );
        // A second signal does not wait.
        let _ = tokio::time::timeout(patience, signals.next()).await;
    }
    stop.cancel();
    let ended = parts.ended().await;
    if let Some(broken) = broken {
        return Err(broken);
    }
    if only_watches {
        tracing::info!("Cleanup daemon stopped");
    }
    ended
}

/// What this server is to do.
pub(super) fn roles(settings: &Settings) -> Result<BTreeSet<Role>, Failure> {
    let words = settings.list("roles");
    Role::of(words.iter().map(String::as_str))
        .map_err(|error| Failure::new(failure::CONFIG, format!("roles: {error}")))
}

/// A server's parts.
pub(crate) struct Serving {
    /// Where it listens, if it does.
    pub(crate) address: Option<SocketAddr>,
    /// What ends when it has stopped.
    pub(crate) parts: Parts,
    /// Fired before the stop, so that load balancers look elsewhere.
    pub(crate) draining: CancellationToken,
}

/// Starts the server's parts; they end when `stop` fires.
pub(crate) async fn start(
    context: &Context,
    store: &Arc<dyn Store>,
    stop: &CancellationToken,
    manager: &ServiceManager,
) -> Result<Serving, Failure> {
    let (follower, live) = context.follow(Arc::clone(store) as Arc<dyn WorkerStore>).await;
    let settings = live.now();
    let roles = roles(&settings)?;
    let payloads = super::payloads(&settings)?;
    let client = Client::new(Arc::clone(store)).payloads(payloads.clone());
    let mut parts = Parts::default();
    let numbers;
    // Written once the channels are read, for the dashboard.
    let mut told = None;
    let (address, draining) = if roles.contains(&Role::Api) {
        let server = api(&settings, client.clone(), live.clone()).await?;
        let (address, draining) = (server.address(), server.draining());
        numbers = server.numbers();
        told = Some(server.channels());
        let until = stop.clone();
        parts.spawn("the HTTP server", async move {
            if let Err(error) = server.run(until).await {
                tracing::error!(error = %error, "the HTTP server ended");
            }
        });
        (Some(address), draining)
    } else {
        numbers = Arc::new(Numbers::new(Arc::clone(store), live.clone()));
        parts.spawn("the reader of metrics", Arc::clone(&numbers).run(stop.clone()));
        (None, CancellationToken::new())
    };
    super::metrics::listen(&settings, Some(Arc::clone(&numbers)), stop).await?;
    if roles.contains(&Role::Alerts) {
        let channels = Channels::read(&settings, &context.channels)
            .map_err(|fault| Failure::new(failure::CONFIG, fault))?;
        if let Some(told) = told {
            let _ = told.set(channels.views());
        }
        let channels = Arc::new(channels);
        let judge = AlertJudge::new(Arc::clone(store), Arc::clone(&channels), live.clone(), telling(numbers));
        parts.spawn(
            "the sender of messages about alerts",
            Notifier::new(Arc::clone(store), channels, judge.sent()).run(stop.clone()),
        );
        parts.spawn("the judge of alerts", judge.run(stop.clone()));
    } else {
        // Whoever judges does so by what every process counts.
        let store = Arc::clone(store) as Arc<dyn WorkerStore>;
        parts.spawn(
            "the keeper of samples",
            Sampler::new(store, live.clone(), own_telling()).run(stop.clone()),
        );
    }
    // Only one process may own an embedded database, so others come to it with their work, whatever its roles are.
    if let Some(database) = context.embedded()? {
        let options = SocketOptions { path: socket_path(&database) };
        let socket = bind_socket(options, client, live.clone())
            .map_err(|error| Failure::new(failure::CONFIG, format!("{:#}", anyhow::Error::from(error))))?;
        tracing::info!("taking worker processes at {}", socket.path().display());
        let until = stop.clone();
        parts.spawn("the socket of workers", async move {
            if let Err(error) = socket.run(until).await {
                tracing::error!(error = %error, "the socket for worker processes ended");
            }
        });
    }
    if roles.contains(&Role::Scheduler) {
        let declared = schedules(context, store).await?;
        let scheduler = Scheduler::new(Arc::clone(store))
            .declaring(Source::Config, declared)
            .declaring(Source::Builtin, vec![cleanup()]);
        parts.spawn("the scheduler", scheduler.run(stop.clone()));
    }
    let mut passes = None;
    if roles.contains(&Role::Watchdog) {
        let interval = settings.millis("watchdog_check_interval_ms");
        let watchdog = Watchdog::new(Arc::clone(store), settings.rescue_policy(), interval).live(live);
        passes = Some(watchdog.passes());
        parts.spawn("the watchdog", watchdog.run(stop.clone()));
    }
    if roles.contains(&Role::Housekeeper) {
        let retention = Retention::from_settings(&settings);
        parts.spawn(
            "the runner of clean-ups",
            SystemRunner::new(Arc::clone(store), retention).run(stop.clone()),
        );
        let housekeeper = Housekeeper::new(Arc::clone(store)).payloads(payloads);
        parts.spawn("the housekeeper", housekeeper.run(stop.clone()));
    }
    if let Some(every) = manager.sign_every() {
        let vouching = manager.clone().vouch(every, Some(Arc::clone(store)), passes, stop.clone());
        parts.spawn("the giver of signs of life", vouching);
    }
    parts.spawn("the follower of settings", follower.run(stop.clone()));
    Ok(Serving { address, parts, draining })
}

/// Takes the port.
async fn api(settings: &Settings, client: Client, live: Live) -> Result<Server, Failure> {
    let listen = settings.text("listen");
    let listen: SocketAddr = listen.parse().map_err(|_| {
        Failure::new(
            failure::CONFIG,
            format!("listen is {listen:?}; it must be an address and a port, such as 127.0.0.1:8080"),
        )
    })?;
    let (auth_token, admin_token) = (secret(settings, "auth_token")?, secret(settings, "admin_token")?);
    let options = ServerOptions { listen, auth_token, admin_token };
    bind(options, client, live).await.map_err(|error| Failure::new(failure::CONFIG, error.to_string()))
}

/// The schedules of the configuration file, checked before the server says that it serves.
async fn schedules(context: &Context, store: &Arc<dyn Store>) -> Result<Vec<Definition>, Failure> {
    if context.schedules.is_empty() {
        return Ok(Vec::new());
    }
    let now = store.now().await?;
    let mut names = BTreeSet::new();
    for definition in &context.schedules {
        let name = &definition.name;
        check(definition.clone(), now)
            .map_err(|invalid| Failure::new(failure::CONFIG, format!("schedule {name}: {invalid}")))?;
        if !names.insert(name.as_str()) {
            return Err(Failure::new(failure::CONFIG, format!("schedule {name} is defined twice")));
        }
    }
    Ok(context.schedules.clone())
}
