//! The one thread that writes: it gathers the commands that wait into one transaction and answers when it is on disk.
//!
//! Why: with bare SQL at `synchronous=FULL`, two cores settle and claim 2,600 jobs a second one by one, and 78,000 in
//! batches of 500 with both in one transaction (`research/performance.md` §3). Nothing ever waits for a batch to fill:
//! what has arrived while the last transaction was being written is the next one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, oneshot};

use super::fault::{Fault, failed};
use super::home::Home;
use super::tx::Tx;
use crate::error::{Result, StoreError};
use crate::meter::Tally;
use crate::rows::WakeEvent;

/// Commands that may wait for the writer; the next one waits for room.
const MAX_WAITING: usize = 1024;
/// Commands in one transaction.
const MAX_COMMANDS: usize = 256;
/// Rows after which a transaction takes no further command, so that a heartbeat never waits long behind bulk work.
const MAX_ROWS: usize = 5_000;
/// How often an idle writer looks whether another process has committed.
const LOOK_AROUND: Duration = Duration::from_millis(100);

/// The writer thread's handle.
pub(super) struct Writer {
    home: Arc<Home>,
    inbox: Option<Sender<Note>>,
    room: Arc<Semaphore>,
    transactions: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Opens the writing connection and starts the thread.
    pub(super) fn start(home: Arc<Home>, wake: broadcast::Sender<WakeEvent>) -> Result<Self> {
        let conn = home.writer()?;
        let (sender, inbox) = mpsc::channel();
        let transactions = Arc::new(AtomicU64::new(0));
        let desk = Desk {
            conn,
            home: Arc::clone(&home),
            inbox,
            wake,
            transactions: Arc::clone(&transactions),
            seen: None,
        };
        let thread =
            thread::Builder::new().name("jobforge-sqlite".to_owned()).spawn(move || desk.work()).map_err(
                |error| StoreError::Unreachable { location: home.location.clone(), source: error.into() },
            )?;
        let room = Arc::new(Semaphore::new(MAX_WAITING));
        Ok(Self { home, inbox: Some(sender), room, transactions, thread: Some(thread) })
    }

    /// Runs a command in the next transaction and waits until it is on disk.
    ///
    /// A command whose caller has gone away before its turn is not run.
    pub(super) async fn send<T, W>(&self, call: &'static str, rows: usize, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        let stopped = || failed(&self.home, call, "the writer has stopped");
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(|_| stopped())?;
        let (reply, answer) = oneshot::channel();
        let command = Call { call, rows, work: Some(work), outcome: None, reply, _room: room };
        let inbox = self.inbox.as_ref().ok_or_else(stopped)?;
        inbox.send(Note::Run(Box::new(command))).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Lets an idle writer notice that somebody subscribed to events.
    pub(super) fn nudge(&self) {
        if let Some(inbox) = &self.inbox {
            // A writer that has stopped has nobody to tell.
            let _ = inbox.send(Note::LookAround);
        }
    }

    /// Transactions tried so far.
    pub(super) fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }
}

impl Drop for Writer {
    /// Waits for the commands that were sent, so that the file is closed when this returns.
    fn drop(&mut self) {
        drop(self.inbox.take());
        if let Some(thread) = self.thread.take() {
            // Commands' panics are caught; one of the thread itself has been printed and leaves nothing to do.
            let _ = thread.join();
        }
    }
}

/// What is sent to the thread.
enum Note {
    Run(Box<dyn Command>),
    LookAround,
}

/// One store call on its way through the writer.
trait Command: Send {
    fn call(&self) -> &'static str;
    fn rows(&self) -> usize;
    /// Whether anybody waits for it.
    fn is_wanted(&self) -> bool;
    /// Runs and says whether its changes shall be kept.
    fn run(&mut self, tx: &Tx<'_>) -> bool;
    /// Answers the caller; `fault` is why nothing of the transaction was kept, if so.
    fn answer(self: Box<Self>, home: &Home, fault: Option<&Fault>);
}

struct Call<T, W> {
    call: &'static str,
    rows: usize,
    work: Option<W>,
    outcome: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
    _room: OwnedSemaphorePermit,
}

impl<T, W> Command for Call<T, W>
where
    T: Send,
    W: FnOnce(&Tx<'_>) -> Result<T> + Send,
{
    fn call(&self) -> &'static str {
        self.call
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    fn run(&mut self, tx: &Tx<'_>) -> bool {
        let Some(work) = self.work.take() else { return false };
        let outcome = catch_unwind(AssertUnwindSafe(|| work(tx)));
        let outcome = outcome.unwrap_or_else(|_| Err(tx.failed("the command panicked; this is a bug")));
        let keep = outcome.is_ok();
        self.outcome = Some(outcome);
        keep
    }

    fn answer(self: Box<Self>, home: &Home, fault: Option<&Fault>) {
        let lost = || match fault {
            Some(fault) => fault.clone().into_error(home, self.call),
            None => failed(home, self.call, "the command was not run"),
        };
        let answer = match self.outcome {
            Some(Err(error)) => Err(error),
            Some(Ok(answer)) if fault.is_none() => Ok(answer),
            Some(Ok(_)) | None => Err(lost()),
        };
        // The caller may have gone away.
        let _ = self.reply.send(answer);
    }
}

/// What the thread has.
struct Desk {
    conn: Connection,
    home: Arc<Home>,
    inbox: Receiver<Note>,
    wake: broadcast::Sender<WakeEvent>,
    transactions: Arc<AtomicU64>,
    /// The file's version after the last look; on this connection it changes only by another one's commit.
    seen: Option<i64>,
}

impl Desk {
    fn work(mut self) {
        while let Some(batch) = self.gather() {
            if !batch.is_empty() {
                self.settle(batch);
            }
            self.look_around();
        }
    }

    /// Waits for a command and takes what else has arrived; nothing when it is only time to look around, `None` when
    /// the store was dropped.
    fn gather(&self) -> Option<Vec<Box<dyn Command>>> {
        let first = if self.wake.receiver_count() == 0 {
            self.inbox.recv().ok()?
        } else {
            match self.inbox.recv_timeout(LOOK_AROUND) {
                Ok(note) => note,
                Err(RecvTimeoutError::Timeout) => Note::LookAround,
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        };
        let mut rows = 0;
        let mut batch = Vec::new();
        let mut next = Some(first);
        while let Some(Note::Run(command)) = next {
            if command.is_wanted() {
                rows += command.rows();
                batch.push(command);
            }
            let full = batch.len() >= MAX_COMMANDS || rows >= MAX_ROWS;
            next = if full { None } else { self.inbox.try_recv().ok() };
        }
        Some(batch)
    }

    /// Runs a batch in one transaction and answers everybody.
    fn settle(&mut self, mut batch: Vec<Box<dyn Command>>) {
        let outcome = transact(&self.conn, &self.home, &mut batch);
        self.transactions.fetch_add(1, Ordering::Relaxed);
        let (events, tallies, fault) = match outcome {
            Ok((events, tallies)) => (events, tallies, None),
            Err(fault) => (Vec::new(), Vec::new(), Some(fault)),
        };
        // Before anybody is answered: who has seen the answer may look at the numbers.
        tallies.into_iter().for_each(Tally::count);
        for command in batch {
            command.answer(&self.home, fault.as_ref());
        }
        for event in events {
            // Nobody may be subscribed.
            let _ = self.wake.send(event);
        }
    }

    /// Tells subscribers when another process has changed the file. Costs a look at shared memory.
    fn look_around(&mut self) {
        if self.wake.receiver_count() == 0 {
            self.seen = None;
            return;
        }
        let version = self
            .conn
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut s| s.query_row([], |row| row.get(0)));
        // A file that cannot be read is reported by the next command.
        let Ok(version) = version else { return };
        if self.seen.is_some_and(|seen| seen != version) {
            let _ = self.wake.send(WakeEvent::Everything);
        }
        self.seen = Some(version);
    }
}

/// Runs the commands in one transaction.
fn transact(
    conn: &Connection,
    home: &Home,
    batch: &mut [Box<dyn Command>],
) -> std::result::Result<(Vec<WakeEvent>, Vec<Tally>), Fault> {
    step(conn, "BEGIN IMMEDIATE")?;
    let tx = Tx::new(conn, home);
    let outcome = match batch {
        [alone] => run_alone(&tx, alone.as_mut()),
        many => many.iter_mut().try_for_each(|command| run_in_savepoint(&tx, command.as_mut())),
    };
    match outcome.and_then(|()| step(conn, "COMMIT")) {
        Ok(()) => Ok(tx.into_effects()),
        Err(fault) => {
            // After some failures (a full disk, an i/o error) SQLite has rolled back by itself.
            if !conn.is_autocommit() && step(conn, "ROLLBACK").is_err() {
                tracing::error!("the SQLite writer could not roll back a transaction that failed");
            }
            Err(fault)
        }
    }
}

/// The whole transaction is the command's: if it fails, there is nothing to commit.
fn run_alone(tx: &Tx<'_>, command: &mut dyn Command) -> std::result::Result<(), Fault> {
    let keep = run(tx, command)?;
    if keep { Ok(()) } else { Err(tx.last_fault().unwrap_or_else(Fault::lost_transaction)) }
}

/// A command that fails takes nothing with it but its own changes.
fn run_in_savepoint(tx: &Tx<'_>, command: &mut dyn Command) -> std::result::Result<(), Fault> {
    let conn = tx.conn();
    let effects = tx.effects_so_far();
    step(conn, "SAVEPOINT command")?;
    if !run(tx, command)? {
        tx.forget_effects_after(effects);
        step(conn, "ROLLBACK TO command")?;
    }
    step(conn, "RELEASE command")
}

/// Runs a command and says whether its changes shall be kept; fails when SQLite has given up the whole transaction.
fn run(tx: &Tx<'_>, command: &mut dyn Command) -> std::result::Result<bool, Fault> {
    tx.begin_call(command.call());
    let keep = command.run(tx);
    if tx.conn().is_autocommit() {
        return Err(tx.last_fault().unwrap_or_else(Fault::lost_transaction));
    }
    Ok(keep)
}

fn step(conn: &Connection, sql: &str) -> std::result::Result<(), Fault> {
    let run = || conn.prepare_cached(sql)?.execute([]);
    run().map(drop).map_err(|error| Fault::of(&error))
}
