//! The server that owns an embedded database: only it has the file open, and others come to its socket.

use std::path::Path;
use std::time::Duration;

use jobforge::remote::{RemoteStore, socket_path};

use super::Context;
use crate::failure::{self, Failure};
use crate::output;

/// Between two looks for a server that is not there yet.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Where the server of a database is found, whether it is there or not.
///
/// # Errors
/// When there is not even a database: then the directory is probably the wrong one.
pub(crate) fn of(database: &Path) -> Result<RemoteStore, Failure> {
    if database.exists() {
        return Ok(RemoteStore::at(socket_path(database)));
    }
    let message = format!("there is no database at {}", database.display());
    Err(Failure::new(failure::UNREACHABLE, message).hint(
        "a worker needs a server: start `jobforge serve` or `jobforge up`, and give this worker the same --data-dir",
    ))
}

/// Makes sure that the server of a database answers now.
///
/// # Errors
/// When it does not, saying what to start.
pub(crate) async fn must_answer(database: &Path) -> Result<(), Failure> {
    let server = RemoteStore::at(socket_path(database));
    server.reach().await.map_err(|error| {
        tracing::debug!(error = error.chain(), "no server");
        let message = format!("no server listens at {}", server.socket().display());
        Failure::new(failure::UNREACHABLE, message)
            .hint("start `jobforge up` or `jobforge serve` with the same --data-dir, then try again")
    })
}

/// Waits until the server answers; `None` if `stopped` came first.
///
/// A worker never takes the file for itself: it would keep the server out.
pub(crate) async fn reach(
    context: &Context,
    server: RemoteStore,
    stopped: impl Future<Output = ()>,
) -> Result<Option<RemoteStore>, Failure> {
    let mut told = false;
    // Once for all rounds: a signal between two of them must not be missed.
    tokio::pin!(stopped);
    loop {
        match server.reach().await {
            Ok(()) => return Ok(Some(server)),
            Err(error) if error.is_transient() => {
                if !told {
                    output::note(&format!(
                        "no server listens at {}; waiting for one: start `jobforge serve` or `jobforge up` with the \
                         same --data-dir",
                        server.socket().display()
                    ));
                    tracing::debug!(error = error.chain(), "no server yet");
                    told = true;
                }
            }
            Err(error) => return Err(context.explain_open(&error)),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = &mut stopped => return Ok(None),
        }
    }
}
