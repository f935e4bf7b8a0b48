//! A few connections that look at the file while the writer writes.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::fault::{Fault, failed};
use super::home::Home;
use super::tx::Tx;
use crate::error::Result;

/// Connections that look at once; more callers wait.
const READERS: usize = 3;

/// The connections, opened when they are first needed.
pub(super) struct Readers {
    shared: Arc<Shared>,
}

struct Shared {
    home: Arc<Home>,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(home: Arc<Home>) -> Self {
        let (turns, idle) = (Arc::new(Semaphore::new(READERS)), Mutex::default());
        Self { shared: Arc::new(Shared { home, turns, idle }) }
    }

    /// Runs a look on a blocking thread, in one snapshot.
    pub(super) async fn look<T, L>(&self, call: &'static str, look: L) -> Result<T>
    where
        T: Send + 'static,
        L: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        let stopped = |text: &str| failed(&self.shared.home, call, text);
        let turns = Arc::clone(&self.shared.turns);
        let turn = turns.acquire_owned().await.map_err(|_| stopped("the readers have stopped"))?;
        let shared = Arc::clone(&self.shared);
        let looked = tokio::task::spawn_blocking(move || {
            // Held here and not by the caller, who may go away while the look goes on.
            let _turn = turn;
            shared.look(call, look)
        })
        .await;
        looked.map_err(|error| stopped(&format!("a look was broken off: {error}")))?
    }
}

impl Shared {
    fn look<T>(&self, call: &'static str, look: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        let conn = match self.take() {
            Some(conn) => conn,
            None => self.home.reader()?,
        };
        let fault = |error: rusqlite::Error| Fault::of(&error).into_error(&self.home, call);
        conn.execute_batch("BEGIN").map_err(fault)?;
        let tx = Tx::new(&conn, &self.home);
        tx.begin_call(call);
        let looked = look(&tx);
        drop(tx);
        // A connection that cannot end its snapshot is closed instead of kept.
        if conn.execute_batch("ROLLBACK").is_ok() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
        }
        looked
    }

    fn take(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}
