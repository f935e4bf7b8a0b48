//! A way to the database that can be cut: what is sent then gets lost in the middle, and no connection is closed.

use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use jobforge::remote::{ShortPath, socket_path};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::canary::failed;
use crate::failure::Failure;

/// The name under which an embedded database is found behind a proxy.
const DATABASE: &str = "jobforge.db";

/// A running proxy; it ends when dropped.
pub(super) struct Proxy {
    url: String,
    cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
enum Target {
    Tcp(String, u16),
    Unix(PathBuf),
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// An open connection of either kind.
trait Way: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Way for T {}

impl Proxy {
    /// Starts a proxy to the PostgreSQL of a URL.
    pub(super) async fn to_postgres(url: &str) -> Result<Self, Failure> {
        let config: Config = url.parse().map_err(|error| failed("read the database's address", &error))?;
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let target = match config.get_hosts().first() {
            Some(Host::Tcp(host)) => Target::Tcp(host.clone(), port),
            Some(Host::Unix(folder)) => Target::Unix(folder.join(format!(".s.PGSQL.{port}"))),
            None => Target::Tcp("localhost".to_owned(), port),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(|error| failed("listen as a proxy", &error))?;
        let own = listener.local_addr().map_err(|error| failed("listen as a proxy", &error))?;
        let url = through(url, &target, own.port());
        Ok(Self::start(url, Listener::Tcp(listener), target))
    }

    /// Starts a proxy to the server that owns an embedded database, in a directory that only its user can enter.
    ///
    /// A worker looks for the server beside the database, and never opens the file: there it is by another name.
    pub(super) fn to_owner(database: &Path, directory: &Path) -> Result<Self, Failure> {
        let near = directory.join(DATABASE);
        let bind = || {
            let database = std::path::absolute(database)?;
            symlink(&database, &near)?;
            let listener = UnixListener::bind(ShortPath::of(&socket_path(&near))?.as_path())?;
            Ok((listener, Target::Unix(socket_path(&database))))
        };
        let (listener, target) =
            bind().map_err(|error: std::io::Error| failed("listen as a proxy", &error))?;
        Ok(Self::start(format!("sqlite:{}", near.display()), Listener::Unix(listener), target))
    }

    fn start(url: String, listener: Listener, target: Target) -> Self {
        let (cut, is_cut) = watch::channel(false);
        Self { url, cut, task: tokio::spawn(accept(listener, target, is_cut)) }
    }

    /// The same database through this proxy.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn cut(&self) {
        self.cut.send_replace(true);
    }

    pub(super) fn mend(&self) {
        self.cut.send_replace(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    async fn accept(&self) -> std::io::Result<Box<dyn Way>> {
        Ok(match self {
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
            Self::Unix(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

impl Target {
    async fn connect(&self) -> std::io::Result<Box<dyn Way>> {
        Ok(match self {
            Self::Tcp(host, port) => Box::new(TcpStream::connect((host.as_str(), *port)).await?),
            Self::Unix(path) => Box::new(UnixStream::connect(ShortPath::of(path)?.as_path()).await?),
        })
    }
}

/// The URL with the proxy's port. The name of the host stays, for a certificate is made out to it.
fn through(url: &str, target: &Target, port: u16) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let user = authority.rsplit_once('@').map(|(user, _)| format!("{user}@")).unwrap_or_default();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let elsewhere = |part: &&str| !["host=", "hostaddr=", "port="].iter().any(|name| part.starts_with(name));
    let mut query: Vec<&str> = query.split('&').filter(|part| !part.is_empty()).filter(elsewhere).collect();
    let host = match target {
        Target::Tcp(host, _) => {
            query.push("hostaddr=127.0.0.1");
            host.as_str()
        }
        Target::Unix(_) => "127.0.0.1",
    };
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    format!("{scheme}://{user}{host}:{port}{path}{query}")
}

async fn accept(listener: Listener, target: Target, is_cut: watch::Receiver<bool>) {
    while let Ok(near) = listener.accept().await {
        let (target, is_cut) = (target.clone(), is_cut.clone());
        tokio::spawn(async move {
            open_way(&is_cut).await;
            // A connection that cannot be made is closed, as by the database itself.
            if let Ok(far) = target.connect().await {
                join(near, far, is_cut).await;
            }
        });
    }
}

async fn join(near: Box<dyn Way>, far: Box<dyn Way>, is_cut: watch::Receiver<bool>) {
    let (near_read, near_write) = tokio::io::split(near);
    let (far_read, far_write) = tokio::io::split(far);
    tokio::select! {
        () = pump(near_read, far_write, is_cut.clone()) => {}
        () = pump(far_read, near_write, is_cut) => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    is_cut: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        open_way(&is_cut).await;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

async fn open_way(is_cut: &watch::Receiver<bool>) {
    let _ = is_cut.clone().wait_for(|cut| !cut).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_through_the_proxy_keeps_user_name_host_and_settings() {
        let tcp = Target::Tcp("db.example.org".to_owned(), 5433);
        assert_eq!(
            through("postgres://u:p@db.example.org:5433/jobs?sslmode=require", &tcp, 7000),
            "postgres://u:p@db.example.org:7000/jobs?sslmode=require&hostaddr=127.0.0.1"
        );
        let unix = Target::Unix(PathBuf::from("/run/postgresql/.s.PGSQL.5432"));
        assert_eq!(
            through("postgresql://u@/jobs?host=/run/postgresql&port=5432", &unix, 7000),
            "postgresql://u@127.0.0.1:7000/jobs"
        );
    }
}
