//! What a worker process has counted, handed over the string to its supervisor, who tells it: the numbers of a worker that is
//! killed stay, but for the last half second.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jobforge::core::metric::{Change, Marks, process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Between two looks whether there is anything new.
const EVERY: Duration = Duration::from_millis(500);
/// How long a supervisor may take to listen.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// The worker's end.
#[derive(Clone)]
pub(crate) struct Counts(Arc<Mutex<Desk>>);

struct Desk {
    supervisor: UnixStream,
    marks: Marks,
}

impl Counts {
    /// Begins to hand over what is counted, on a thread of its own: no handler can hold it up, nor it any handler.
    pub(crate) fn start() -> std::io::Result<Self> {
        // Standard input is a socket whose other end the supervisor has.
        let supervisor = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
        supervisor.set_write_timeout(Some(HEARD_WITHIN))?;
        let counts = Self(Arc::new(Mutex::new(Desk { supervisor, marks: Marks::default() })));
        let thread = counts.clone();
        std::thread::Builder::new().name("counts".to_owned()).stack_size(256 * 1024).spawn(move || {
            while thread.hand_over().is_ok() {
                std::thread::sleep(EVERY);
            }
        })?;
        Ok(counts)
    }

    /// Hands over what is new.
    pub(crate) fn hand_over(&self) -> std::io::Result<()> {
        let mut desk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = process().changes(&mut desk.marks);
        if changes.is_empty() {
            return Ok(());
        }
        let mut line = serde_json::to_vec(&changes)?;
        line.push(b'\n');
        desk.supervisor.write_all(&line)
    }
}

/// The supervisor's end: adds what a worker has counted, until it has ended.
pub(super) async fn listen(worker: impl AsyncRead + Unpin) {
    let mut lines = BufReader::new(worker).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str::<Vec<Change>>(&line) {
            Ok(changes) => process().absorb(changes),
            Err(error) => tracing::debug!(%error, "a line of a worker's counts cannot be read"),
        }
    }
}
