//! Taking connections within bounds: so many at once, and none that says nothing.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use rustix::process::{Resource, getrlimit};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower_service::Service;

/// How long a client may take for the head of a request, the first or the next on the same connection.
const HEAD_TIME: Duration = Duration::from_secs(15);
/// The longest head of a request.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Before the system is asked again for a connection that it could not give.
const PAUSE: Duration = Duration::from_millis(100);
/// Connections at once, where the system would allow more.
const MOST: u64 = 10_000;

/// Failures in a row, each with its pause, after which the listener counts as broken: a minute.
const MOST_FAILURES: u32 = 600;

/// Answers until `stopped`, then takes no new connection and lets requests under way end.
///
/// # Errors
/// Why the system has given no connection for a minute.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    stopped: impl Future<Output = ()>,
) -> io::Result<()> {
    let seats = Arc::new(Semaphore::new(most_connections()));
    let graceful = GracefulShutdown::new();
    let mut stopped = std::pin::pin!(stopped);
    let mut failures = 0;
    loop {
        // Who finds every seat taken waits in the system's queue until a silent one is shown out.
        let arrival = async {
            let seat = Arc::clone(&seats).acquire_owned().await;
            (seat, listener.accept().await)
        };
        let (seat, arrived) = tokio::select! {
            () = &mut stopped => break,
            arrived = arrival => arrived,
        };
        let (stream, address) = match arrived {
            Ok(arrived) => arrived,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) if failures >= MOST_FAILURES => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "could not take a connection: {error}; trying again");
                failures += 1;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        failures = 0;
        // Answers are small and written at once.
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        let answer = service_fn(move |request: Request<Incoming>| named(router.clone(), address, request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), answer);
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(%address, %error, "a connection from {address} ended: {error}");
            }
            drop(seat);
        });
    }
    drop(listener);
    graceful.shutdown().await;
    Ok(())
}

async fn named(
    mut router: Router,
    address: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<axum::response::Response, std::convert::Infallible> {
    request.extensions_mut().insert(ConnectInfo(address));
    router.call(request).await
}

/// Half of the files that this process may open; the other half is for databases and jobs.
pub(crate) fn most_connections() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(MOST * 2);
    usize::try_from((files / 2).clamp(64, MOST)).unwrap_or(64)
}

/// Whether the next connection may well be fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
