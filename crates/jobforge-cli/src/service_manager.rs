//! What a service manager is told, as systemd's sd_notify has it: that the process is ready, what it does, that it lives,
//! and that it stops. Without `NOTIFY_SOCKET` nobody is told anything.

use std::ffi::{OsStr, OsString};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use jobforge::core::time::words;
use jobforge::store::Store;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Signs of life within the time after which the manager gives the process up: one or two of them may be late.
const SIGNS: u32 = 4;

/// The way to the service manager.
#[derive(Clone, Default)]
pub(crate) struct ServiceManager {
    socket: Option<Arc<(UnixDatagram, SocketAddr)>>,
    /// How long it waits for a sign of life, if it waits for any.
    patience: Option<Duration>,
}

impl ServiceManager {
    /// The one that started this process, if one did.
    pub(crate) fn of_environment() -> Self {
        // Facts about who started us, not settings of ours.
        let variable = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
        let number = |name| variable(name)?.to_str()?.parse::<u64>().ok();
        let Some(path) = variable("NOTIFY_SOCKET") else { return Self::default() };
        let socket = match connect(path.as_bytes()) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(%error, "the service manager cannot be told anything at {}", path.display());
                return Self::default();
            }
        };
        let is_for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let patience = number("WATCHDOG_USEC").filter(|usec| is_for_us && *usec > 0);
        Self { socket: Some(Arc::new(socket)), patience: patience.map(Duration::from_micros) }
    }

    /// The process does what it was started for.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={}", line(status)));
    }

    /// What it does now.
    pub(crate) fn status(&self, status: &str) {
        self.tell(&format!("STATUS={}", line(status)));
    }

    /// It lives.
    pub(crate) fn alive(&self) {
        if self.patience.is_some() {
            self.tell("WATCHDOG=1");
        }
    }

    /// It was told to stop and does.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=stopping");
    }

    /// Between two signs of life; `None` if nobody waits for any.
    pub(crate) fn sign_every(&self) -> Option<Duration> {
        self.patience.map(|patience| patience / SIGNS)
    }

    /// Gives signs of life for as long as the database answers and the watchdog completes passes, where this process has
    /// them, until `stop` fires: a server that only seems to live is restarted by its manager. A worker needs nothing for
    /// that but to turn, for without its database it stops its jobs and waits.
    pub(crate) async fn vouch(
        self,
        every: Duration,
        store: Option<Arc<dyn Store>>,
        mut passes: Option<watch::Receiver<u64>>,
        stop: CancellationToken,
    ) {
        let mut held_back = false;
        loop {
            let fault = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                fault = fault(store.as_deref(), passes.as_mut(), every) => fault,
            };
            if fault.is_none() {
                self.alive();
            }
            match &fault {
                Some(fault) if !held_back => {
                    self.status(&format!("no signs of life: {fault}"));
                    tracing::error!("the service manager gets no signs of life: {fault}");
                }
                None if held_back => {
                    self.status("alive again");
                    tracing::info!("the service manager gets signs of life again");
                }
                Some(_) | None => {}
            }
            held_back = fault.is_some();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
        }
    }

    fn tell(&self, text: &str) {
        let Some(socket) = &self.socket else { return };
        let (socket, address) = &**socket;
        // A manager that does not listen is no reason to stop.
        if let Err(error) = socket.send_to_addr(text.as_bytes(), address) {
            tracing::debug!(%error, "the service manager was not told {text:?}");
        }
    }
}

/// Why this server is not to be called alive.
async fn fault(
    store: Option<&dyn Store>,
    passes: Option<&mut watch::Receiver<u64>>,
    within: Duration,
) -> Option<String> {
    match tokio::time::timeout(within, store?.now()).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return Some(error.chain()),
        Err(_) => return Some(format!("the database did not answer within {}", words(within))),
    }
    match tokio::time::timeout(within, passes?.changed()).await {
        Ok(Ok(())) => None,
        Ok(Err(_)) => Some("the watchdog has ended".to_owned()),
        Err(_) => Some(format!("the watchdog completed no pass within {}", words(within))),
    }
}

/// A socket in the file system, or one whose name begins with `@`.
fn connect(path: &[u8]) -> std::io::Result<(UnixDatagram, SocketAddr)> {
    let address = match path {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that is slow to listen must not hold anything up.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

/// A status is one line.
fn line(text: &str) -> String {
    text.replace('\n', "; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_reached_at_a_path_and_by_an_abstract_name() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("notify");
        let name = format!("@jobforge-test-{}", std::process::id());
        let heard = |listener: UnixDatagram, to: &[u8]| {
            let socket = Some(Arc::new(connect(to).unwrap()));
            let manager = ServiceManager { socket, patience: None };
            manager.ready("serving\non a port");
            manager.alive();
            manager.stopping();
            [(); 2].map(|()| {
                let mut text = [0; 256];
                let length = listener.recv(&mut text).unwrap();
                String::from_utf8_lossy(&text[..length]).into_owned()
            })
        };
        let said =
            ["READY=1\nSTATUS=serving; on a port".to_owned(), "STOPPING=1\nSTATUS=stopping".to_owned()];
        assert_eq!(heard(UnixDatagram::bind(&path).unwrap(), path.as_os_str().as_bytes()), said);
        let address = SocketAddr::from_abstract_name(&name.as_bytes()[1..]).unwrap();
        assert_eq!(heard(UnixDatagram::bind_addr(&address).unwrap(), name.as_bytes()), said);
    }
}
