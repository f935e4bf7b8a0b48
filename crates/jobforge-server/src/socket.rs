//! The Unix socket in the data directory, for worker processes of this machine.
//!
//! Its mode lets only the server's own user in, so it asks for no token. It is made by the process that owns the
//! database, which also is the only one that may remove what a dead predecessor left behind.

use std::fs;
use std::future::IntoFuture;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use jobforge::Client;
use jobforge::live::Live;
use jobforge::remote::ShortPath;
use jobforge::services::probes::Probes;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::error::ServerError;
use crate::routes;
use crate::server::{App, grace_is_over};
use crate::workers::{Peer, Presence, Workers};

/// Where worker processes find the server.
#[derive(Debug, Clone)]
pub struct SocketOptions {
    /// The socket; its directory must be there, and the caller must own the database in it.
    pub path: PathBuf,
}

/// A socket that is there and not answered yet.
#[derive(Debug)]
pub struct SocketServer {
    listener: UnixListener,
    path: PathBuf,
    router: Router,
    presence: Arc<Presence>,
    closing: CancellationToken,
}

/// Makes the socket, in place of one that a dead owner of the database left behind.
///
/// # Errors
/// `SocketTaken` when something else has its name; otherwise why the system did not make it.
pub fn bind_socket(options: SocketOptions, client: Client, live: Live) -> Result<SocketServer, ServerError> {
    let path = options.path;
    let listener = listen(&path)?;
    let closing = CancellationToken::new();
    let workers = Arc::new(Workers::new(client.clone(), live.clone(), closing.clone()));
    let presence = Arc::clone(&workers.presence);
    let probes = Probes::new(&[]).map_err(ServerError::BadProbe)?;
    let app = Arc::new(App::new(client, live, probes));
    let router = routes::socket_router(app, workers);
    Ok(SocketServer { listener, path, router, presence, closing })
}

/// Listens under another name first: the socket must never be seen with a mode that lets others in, nor be missing.
fn listen(path: &Path) -> Result<UnixListener, ServerError> {
    let failed = |source| ServerError::Socket { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(ServerError::SocketTaken { path: path.to_owned() });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    let short = ShortPath::of(&new).map_err(failed)?;
    let listener = UnixListener::bind(short.as_path()).map_err(failed)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)?;
    Ok(listener)
}

impl SocketServer {
    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers until `stop` fires, then removes the socket and lets requests under way end, for at most 10 s.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ServerError> {
        let Self { listener, path, router, presence, closing } = self;
        tokio::spawn(presence.look_back());
        let (socket, stopped) = (path.clone(), stop.clone());
        let told = async move {
            stopped.cancelled().await;
            // New workers shall wait for the next server, and nothing shall be held open for the old ones.
            let _ = fs::remove_file(&socket);
            closing.cancel();
        };
        let service = router.into_make_service_with_connect_info::<Peer>();
        let serve = axum::serve(listener, service).with_graceful_shutdown(told);
        tokio::select! {
            served = serve.into_future() => served.map_err(|source| ServerError::Socket { path, source }),
            () = grace_is_over(&stop) => Ok(()),
        }
    }
}
