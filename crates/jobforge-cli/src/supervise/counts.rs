//! What a worker process has counted, handed over the string to its supervisor, who tells it: the numbers of a worker that is
//! killed stay, but for the last half second.

use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jobforge::core::metric::{Change, Marks, process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;

/// Between two looks whether there is anything new.
const EVERY: Duration = Duration::from_millis(500);
/// The line of a worker that takes jobs from now on.
const WORKS: &str = "works";
/// How long a supervisor may take to listen.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// The worker's end.
#[derive(Clone)]
pub(crate) struct Counts(Arc<Mutex<Desk>>);

struct Desk {
    supervisor: UnixStream,
    marks: Marks,
    /// What a supervisor that does not listen has not taken yet: the rest of a line.
    unsent: Vec<u8>,
}

impl Counts {
    /// Begins to hand over what is counted, on a thread of its own: no handler can hold it up, nor it any handler.
    pub(crate) fn start() -> std::io::Result<Self> {
        // Standard input is a socket whose other end the supervisor has.
        let supervisor = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
        supervisor.set_write_timeout(Some(HEARD_WITHIN))?;
        let counts =
            Self(Arc::new(Mutex::new(Desk { supervisor, marks: Marks::default(), unsent: Vec::new() })));
        let thread = counts.clone();
        std::thread::Builder::new().name("counts".to_owned()).stack_size(256 * 1024).spawn(move || {
            while thread.hand_over().is_ok() {
                std::thread::sleep(EVERY);
            }
        })?;
        Ok(counts)
    }

    /// Says that the worker takes jobs from now on.
    pub(crate) fn works(&self) -> std::io::Result<()> {
        let mut desk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        desk.unsent.extend_from_slice(WORKS.as_bytes());
        desk.unsent.push(b'\n');
        desk.send()
    }

    /// Hands over what is new, or says that the supervisor has gone. One that does not listen for a while gets it later.
    pub(crate) fn hand_over(&self) -> std::io::Result<()> {
        let mut desk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if desk.unsent.is_empty() {
            let changes = process().changes(&mut desk.marks);
            if changes.is_empty() {
                return Ok(());
            }
            desk.unsent = serde_json::to_vec(&changes)?;
            desk.unsent.push(b'\n');
        }
        desk.send()
    }
}

impl Desk {
    fn send(&mut self) -> std::io::Result<()> {
        while !self.unsent.is_empty() {
            match self.supervisor.write(&self.unsent) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The time-out of a write is told as either.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The supervisor's end: adds what a worker has counted and hears when it takes jobs, until it has ended.
pub(super) async fn listen(worker: impl AsyncRead + Unpin, works: watch::Sender<bool>) {
    let mut lines = BufReader::new(worker).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line == WORKS {
            works.send_replace(true);
            continue;
        }
        match serde_json::from_str::<Vec<Change>>(&line) {
            Ok(changes) => process().absorb(changes),
            Err(error) => tracing::debug!(%error, "a line of a worker's counts cannot be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_supervisor_that_listens_late_gets_every_byte_once() {
        let (worker, mut supervisor) = UnixStream::pair().unwrap();
        worker.set_write_timeout(Some(Duration::from_millis(1))).unwrap();
        let line = vec![b'x'; 4 * 1024 * 1024];
        let mut desk = Desk { supervisor: worker, marks: Marks::default(), unsent: line.clone() };
        desk.send().unwrap();
        assert!(!desk.unsent.is_empty(), "nobody has listened");
        let reader = std::thread::spawn(move || {
            let mut heard = Vec::new();
            supervisor.read_to_end(&mut heard).map(|_| heard)
        });
        while !desk.unsent.is_empty() {
            desk.send().unwrap();
        }
        drop(desk);
        assert!(reader.join().unwrap().unwrap() == line, "it is not what was sent");
    }

    #[test]
    fn a_supervisor_that_has_gone_is_noticed() {
        let (worker, supervisor) = UnixStream::pair().unwrap();
        drop(supervisor);
        let mut desk = Desk { supervisor: worker, marks: Marks::default(), unsent: b"[]\n".to_vec() };
        assert!(desk.send().is_err());
    }
}
