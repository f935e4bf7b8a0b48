//! Taking the port, answering, and stopping in good order.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use jobforge::Client;
use jobforge::core::audit::By;
use jobforge::core::redact::Redactor;
use jobforge::live::Live;
use jobforge::notify::ChannelView;
use jobforge::services::probes::Probes;
use jobforge::services::{BulkRunner, Numbers};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::caller::Caller;
use crate::connections;
use crate::error::ServerError;
use crate::gate::Gate;
use crate::health::Health;
use crate::rate_limit::Seats;
use crate::routes;
use crate::workers::Workers;

/// How long requests that are under way at the stop may take; a client that stalls must not hold the process.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Where to listen and who may ask.
#[derive(Clone)]
pub struct ServerOptions {
    /// The address; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// `AUTH_TOKEN`; blank is unset.
    pub auth_token: Option<String>,
    /// `ADMIN_TOKEN`; blank is unset.
    pub admin_token: Option<String>,
}

impl std::fmt::Debug for ServerOptions {
    /// Tokens are secrets, so `Debug` shows only where the server listens.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerOptions").field("listen", &self.listen).finish_non_exhaustive()
    }
}

/// What every route may use.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) client: Client,
    pub(crate) live: Live,
    /// Goes on with operations, here and in other servers.
    pub(crate) bulk: BulkRunner,
    pub(crate) health: Health,
    /// What is told at `/metrics`.
    pub(crate) numbers: Arc<Numbers>,
    /// Streams of events that may be open at once.
    pub(crate) streams: Arc<Seats>,
    pub(crate) closing: CancellationToken,
    /// Fires when no new work shall be sent here, though everything is still answered.
    pub(crate) draining: CancellationToken,
    /// Whether the database has been ready once since the start.
    pub(crate) started: AtomicBool,
    /// The channels that this process tells of alerts, once it is known that it does.
    pub(crate) channels: Arc<OnceLock<Vec<ChannelView>>>,
}

impl App {
    /// The client that acts for somebody.
    pub(crate) fn acting(&self, by: &By) -> Client {
        self.client.clone().acting(by.clone())
    }

    /// Hides the secrets in what is shown to people.
    pub(crate) fn redactor(&self) -> Redactor {
        Redactor::of_settings(&self.live.now())
    }

    /// The same, unless the caller is given all.
    pub(crate) fn redactor_for(&self, caller: &Caller) -> Option<Redactor> {
        (!caller.sees_secrets()).then(|| self.redactor())
    }

    /// The same routes over TCP and over the socket.
    pub(crate) fn new(client: Client, live: Live, probes: Probes) -> Self {
        Self {
            bulk: BulkRunner::new(Arc::clone(client.store())),
            numbers: Arc::new(Numbers::new(Arc::clone(client.store()), live.clone())),
            client,
            live,
            health: Health::new(probes),
            streams: Arc::new(Seats::of_streams()),
            closing: CancellationToken::new(),
            draining: CancellationToken::new(),
            started: AtomicBool::new(false),
            channels: Arc::default(),
        }
    }
}

/// A server that has its port and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    gate: Arc<Gate>,
    app: Arc<App>,
    probes: Probes,
}

/// Checks the options and takes the port.
///
/// Without any token only loopback addresses are allowed.
///
/// # Errors
/// `Exposed`, `BadToken` and `BadProbe` before the port is taken; otherwise why the system did not give it.
pub async fn bind(options: ServerOptions, client: Client, live: Live) -> Result<Server, ServerError> {
    let store = Arc::clone(client.store());
    let gate = Gate::new(options.auth_token.as_deref(), options.admin_token.as_deref(), store).await?;
    let probes = Probes::new(&live.now().list("health_probes")).map_err(ServerError::BadProbe)?;
    let wanted = options.listen;
    if gate.is_open() && !wanted.ip().to_canonical().is_loopback() {
        return Err(ServerError::Exposed { address: wanted });
    }
    let listener = TcpListener::bind(wanted).await.map_err(|source| ServerError::listen(wanted, source))?;
    let address = listener.local_addr().map_err(|source| ServerError::listen(wanted, source))?;
    let (app, gate) = (Arc::new(App::new(client, live, probes.clone())), Arc::new(gate));
    let workers = Arc::new(Workers::new(app.client.clone(), app.live.clone(), app.closing.clone()));
    let router = routes::router(Arc::clone(&app), Arc::clone(&gate), workers);
    Ok(Server { listener, address, router, gate, app, probes })
}

impl Server {
    /// The shared numbers that it tells, for a listener of their own.
    pub fn numbers(&self) -> Arc<Numbers> {
        Arc::clone(&self.app.numbers)
    }

    /// Where it listens, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where to write which channels this process tells of alerts, for the dashboard to show.
    pub fn channels(&self) -> Arc<OnceLock<Vec<ChannelView>>> {
        Arc::clone(&self.app.channels)
    }

    /// What to fire some time before the stop: `/readyz` is then answered with 503, so that load balancers look elsewhere while
    /// everything is still answered here.
    pub fn draining(&self) -> CancellationToken {
        self.app.draining.clone()
    }

    /// Answers until `stop` fires, then takes no new connection and lets requests under way end, for at most 10 s.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ServerError> {
        let address = self.address;
        tracing::info!(%address, "Listening on http://{address}");
        if self.gate.is_open() {
            tracing::warn!(
                "No token is configured: every program of this machine may do everything on {address}, and no other \
                 machine may ask; set ADMIN_TOKEN, or make one with `jobforge token create`"
            );
        }
        tokio::spawn(self.gate.keep_looking(stop.clone()));
        tokio::spawn(self.probes.run(stop.clone()));
        tokio::spawn(self.app.bulk.clone().run(stop.clone()));
        tokio::spawn(Arc::clone(&self.app.numbers).run(stop.clone()));
        let (closing, draining, stopped) =
            (self.app.closing.clone(), self.app.draining.clone(), stop.clone());
        let told = async move {
            stopped.cancelled().await;
            draining.cancel();
            // Streams and waiting claims would hold the stop up for as long as somebody listens.
            closing.cancel();
        };
        tokio::select! {
            served = connections::serve(self.listener, self.router, told) => {
                served.map_err(|source| ServerError::Serve { address, source })
            }
            () = grace_is_over(&stop) => {
                let grace_s = STOP_GRACE.as_secs();
                tracing::warn!(%address, grace_s, "Stopped with requests still under way after {grace_s} s");
                Ok(())
            }
        }
    }
}

/// Resolves when requests under way have had their time after the stop.
pub(crate) async fn grace_is_over(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(STOP_GRACE).await;
}
