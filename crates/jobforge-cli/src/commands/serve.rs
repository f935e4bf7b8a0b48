//! `jobforge serve`: the server process: HTTP, watchdog and housekeeping.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use jobforge::Client;
use jobforge::notify::Channels;
use jobforge::remote::socket_path;
use jobforge::services::{AlertJudge, Housekeeper, Notifier, Watchdog, telling};
use jobforge::store::{Store, WorkerStore};
use jobforge_server::{ServerOptions, SocketOptions, bind, bind_socket};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Context, stop_signals};
use crate::cli::ServeArgs;
use crate::config::token;
use crate::failure::{self, Failure};

pub(crate) fn flags(args: &ServeArgs) -> BTreeMap<String, String> {
    super::flags(&[("listen", args.listen.as_ref()), ("metrics_listen", args.metrics_listen.as_ref())])
}

pub(crate) async fn run(context: Context) -> Result<(), Failure> {
    let store = context.own().await?;
    let stop = CancellationToken::new();
    let (address, mut tasks) = start(&context, &store, &stop).await?;
    // Listened for before it is said, so that nobody who believes the line kills us.
    let mut signals = stop_signals()?;
    tracing::info!("serving {} on http://{address}; stop with Ctrl-C", store.location());
    signals.next().await;
    stop.cancel();
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// Starts the server's parts; they end when `stop` fires.
pub(crate) async fn start(
    context: &Context,
    store: &Arc<dyn Store>,
    stop: &CancellationToken,
) -> Result<(SocketAddr, JoinSet<()>), Failure> {
    let (follower, live) = context.follow(Arc::clone(store) as Arc<dyn WorkerStore>).await;
    let settings = live.now();
    let listen = settings.text("listen");
    let listen: SocketAddr = listen.parse().map_err(|_| {
        Failure::new(
            failure::CONFIG,
            format!("listen is {listen:?}; it must be an address and a port, such as 127.0.0.1:8080"),
        )
    })?;
    let (auth_token, admin_token) = (token(&settings, "auth_token")?, token(&settings, "admin_token")?);
    let options = ServerOptions { listen, auth_token, admin_token };
    let server = bind(options, Client::new(Arc::clone(store)), live.clone())
        .await
        .map_err(|error| Failure::new(failure::CONFIG, error.to_string()))?;
    let address = server.address();
    super::metrics::listen(&settings, Some(server.numbers()), stop).await?;
    let channels =
        Channels::read(&settings, &context.channels).map_err(|fault| Failure::new(failure::CONFIG, fault))?;
    let channels = Arc::new(channels);
    let judge =
        AlertJudge::new(Arc::clone(store), Arc::clone(&channels), live.clone(), telling(server.numbers()));
    let mut tasks = JoinSet::new();
    tasks.spawn(Notifier::new(Arc::clone(store), channels, judge.sent()).run(stop.clone()));
    tasks.spawn(judge.run(stop.clone()));
    let until = stop.clone();
    tasks.spawn(async move {
        if let Err(error) = server.run(until).await {
            tracing::error!(error = %error, "the HTTP server ended");
        }
    });
    // Only one process may own an embedded database, so others come to it with their work.
    if let Some(database) = context.embedded()? {
        let options = SocketOptions { path: socket_path(&database) };
        let socket = bind_socket(options, Client::new(Arc::clone(store)), live.clone())
            .map_err(|error| Failure::new(failure::CONFIG, format!("{:#}", anyhow::Error::from(error))))?;
        tracing::info!("taking worker processes at {}", socket.path().display());
        let until = stop.clone();
        tasks.spawn(async move {
            if let Err(error) = socket.run(until).await {
                tracing::error!(error = %error, "the socket for worker processes ended");
            }
        });
    }
    let interval = settings.millis("watchdog_check_interval_ms");
    let watchdog = Watchdog::new(Arc::clone(store), settings.rescue_policy(), interval).live(live);
    tasks.spawn(watchdog.run(stop.clone()));
    tasks.spawn(follower.run(stop.clone()));
    tasks.spawn(Housekeeper::new(Arc::clone(store)).run(stop.clone()));
    Ok((address, tasks))
}
