//! Taking the port, answering, and stopping in good order.

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use jobforge::Client;
use jobforge::core::rescue::RescuePolicy;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::error::ServerError;
use crate::gate::Gate;
use crate::routes;

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
    pub(crate) policy: RescuePolicy,
    /// Whether the database has been ready once since the start.
    pub(crate) started: AtomicBool,
}

/// A server that has its port and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
}

/// Checks the options and takes the port.
///
/// Without any token only loopback addresses are allowed. `rescue_policy` is what explanations assume the watchdog
/// does.
///
/// # Errors
/// `Exposed` and `BadToken` before the port is taken; otherwise why the system did not give it.
pub async fn bind(
    options: ServerOptions,
    client: Client,
    rescue_policy: RescuePolicy,
) -> Result<Server, ServerError> {
    let gate = Gate::new(options.auth_token.as_deref(), options.admin_token.as_deref())?;
    let wanted = options.listen;
    if gate.is_open() && !wanted.ip().to_canonical().is_loopback() {
        return Err(ServerError::Exposed { address: wanted });
    }
    let listener = TcpListener::bind(wanted).await.map_err(|source| ServerError::listen(wanted, source))?;
    let address = listener.local_addr().map_err(|source| ServerError::listen(wanted, source))?;
    let app = Arc::new(App { client, policy: rescue_policy, started: AtomicBool::new(false) });
    Ok(Server { listener, address, router: routes::router(app, Arc::new(gate)) })
}

impl Server {
    /// Where it listens, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` fires, then takes no new connection and lets requests under way end, for at most 10 s.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ServerError> {
        let address = self.address;
        tracing::info!(%address, "Listening on http://{address}");
        let serve =
            axum::serve(self.listener, self.router).with_graceful_shutdown(stop.clone().cancelled_owned());
        tokio::select! {
            served = serve.into_future() => served.map_err(|source| ServerError::Serve { address, source }),
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
