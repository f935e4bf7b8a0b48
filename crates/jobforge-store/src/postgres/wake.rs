//! Being told of new work by LISTEN, on a connection of its own.

use std::sync::OnceLock;
use std::time::Duration;

use jobforge_core::job::{JobId, WorkerId};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_postgres::tls::{MakeTlsConnect, NoTlsStream};
use tokio_postgres::{AsyncMessage, Connection, Socket};

use super::PostgresStore;
use super::connect::Direct;
use crate::rows::WakeEvent;
use crate::traits::Wake;

/// Events that a slow subscriber may fall behind before it is told to look at everything.
const BACKLOG: usize = 1024;
/// First and longest wait before a lost connection is opened again.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

type TlsStream = <tokio_postgres_rustls::MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// The task that moves a connection's bytes; it must be polled for the connection to work.
pub(super) enum Driver {
    Plain(Box<Connection<Socket, NoTlsStream>>),
    Tls(Box<Connection<Socket, TlsStream>>),
}

impl Driver {
    pub(super) fn plain(connection: Connection<Socket, NoTlsStream>) -> Self {
        Self::Plain(Box::new(connection))
    }

    pub(super) fn tls(connection: Connection<Socket, TlsStream>) -> Self {
        Self::Tls(Box::new(connection))
    }

    /// Drives the connection until it ends, for callers that expect no notification.
    pub(super) async fn run_silent(mut self) {
        while self.next().await.is_some() {}
    }

    /// The next message; `None` when the connection has ended or broken.
    async fn next(&mut self) -> Option<AsyncMessage> {
        let message = std::future::poll_fn(|context| match self {
            Self::Plain(connection) => connection.poll_message(context),
            Self::Tls(connection) => connection.poll_message(context),
        });
        message.await?.ok()
    }
}

/// Listens once somebody subscribes, and from then on until the store is dropped.
pub(super) struct Listener {
    direct: Direct,
    events: broadcast::Sender<WakeEvent>,
    task: OnceLock<JoinHandle<()>>,
}

impl Listener {
    pub(super) fn new(direct: Direct) -> Self {
        Self { direct, events: broadcast::Sender::new(BACKLOG), task: OnceLock::new() }
    }

    pub(super) fn is_available(&self) -> bool {
        self.direct.available
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Wake for PostgresStore {
    fn subscribe(&self) -> broadcast::Receiver<WakeEvent> {
        let receiver = self.wake.events.subscribe();
        if self.wake.is_available() {
            let (direct, events) = (self.wake.direct.clone(), self.wake.events.clone());
            self.wake.task.get_or_init(|| tokio::spawn(listen(direct, events)));
        }
        receiver
    }

    fn hears_all(&self) -> bool {
        self.wake.is_available()
    }
}

async fn listen(direct: Direct, events: broadcast::Sender<WakeEvent>) {
    let mut wait = RECONNECT.0;
    loop {
        match listen_once(&direct, &events).await {
            Ok(()) => wait = RECONNECT.0,
            Err(error) => {
                let location = &direct.location;
                tracing::warn!(%location, error = error.chain(), "cannot listen for new work; polling goes on");
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RECONNECT.1);
    }
}

async fn listen_once(direct: &Direct, events: &broadcast::Sender<WakeEvent>) -> crate::Result<()> {
    let (client, mut driver) = direct.open().await?;
    let begin = client.batch_execute("LISTEN jobforge");
    tokio::pin!(begin);
    let mut listening = false;
    loop {
        tokio::select! {
            began = &mut begin, if !listening => {
                began.map_err(|error| super::session::map_error(&direct.location, "listen", error))?;
                listening = true;
                // Whatever was announced before this moment was announced to nobody.
                let _ = events.send(WakeEvent::Everything);
            }
            message = driver.next() => match message {
                None => return Ok(()),
                Some(AsyncMessage::Notification(note)) => {
                    if let Some(event) = parse(note.payload()) {
                        let _ = events.send(event);
                    }
                }
                Some(_) => {}
            }
        }
    }
}

fn parse(payload: &str) -> Option<WakeEvent> {
    let (kind, rest) = payload.split_once(':')?;
    match kind {
        "work" => Some(WakeEvent::Work { queue: rest.to_owned() }),
        "renew" => Some(WakeEvent::Renew { worker: WorkerId(rest.to_owned()) }),
        "everything" => Some(WakeEvent::Everything),
        "moved" => rest.parse().ok().map(|id: JobId| WakeEvent::Moved { id }),
        _ => None,
    }
}
