//! The SQLite engine: one file, one writer, nothing to install.
//!
//! Every change is a command on one writer thread ([`writer`]), which gathers what waits into one transaction and
//! answers when it is on disk. Looking goes through a few read-only connections ([`readers`]) and never waits for the
//! writer. Each verb has its file here and its statements in `sql/sqlite`; [`seam`], [`seam_admin`],
//! [`seam_alerts`] and [`seam_schedules`] tie them to the traits.

mod fault;
mod home;
mod open;
mod readers;
mod rows;
mod seam;
mod seam_admin;
mod statements;
mod tx;
mod watchdog;
mod writer;

mod enqueue;

mod claim;
mod dead;
mod death;
mod heartbeat;
mod progress;
mod settle;
mod workers;

mod rescue;

mod gauges;
mod inspect;
mod list;
mod queues;
mod silences;

mod operate;
mod retention;

mod alerts;
mod audit;
mod operations;
mod schedule_fire;
mod schedules;
mod seam_alerts;
mod seam_schedules;
mod settings;
mod tenants;
mod tokens;

mod check;
mod copy;
mod migrate;
mod upkeep;

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::sync::Arc;

use tokio::sync::broadcast;

pub use self::copy::{Told, close_log, copy_file, own_file};
pub use self::open::{SqliteOptions, Synchronous};

use self::home::Home;
use self::readers::Readers;
use self::tx::Tx;
use self::writer::Writer;
use crate::error::Result;
use crate::rows::WakeEvent;

/// Jobs in a SQLite file.
///
/// Dropping it finishes the commands that were sent, closes the file and then gives up the ownership of it.
pub struct SqliteStore {
    home: Arc<Home>,
    wake: broadcast::Sender<WakeEvent>,
    // The order of these three is the order of closing: looking, writing, owning.
    readers: Option<Readers>,
    writer: Writer,
    _owned: Option<File>,
}

impl SqliteStore {
    /// Runs a command on the writer thread; `rows` is roughly how many rows it touches.
    async fn write<T, W>(&self, call: &'static str, rows: usize, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.writer.send(call, rows, work).await
    }

    /// Looks, in one consistent snapshot that holds everything answered before.
    async fn read<T, L>(&self, call: &'static str, look: L) -> Result<T>
    where
        T: Send + 'static,
        L: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        match &self.readers {
            Some(readers) => readers.look(call, look).await,
            // In memory there is only one connection.
            None => self.writer.send(call, 1, look).await,
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SqliteStore");
        shown.field("location", &self.home.location).field("transactions", &self.writer.transactions());
        shown.finish_non_exhaustive()
    }
}
