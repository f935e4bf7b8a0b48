//! What a command sees of its transaction: statements by name, the clock, and whom to wake.

use std::cell::{Cell, RefCell};

use jobforge_core::time::Now;
use rusqlite::{CachedStatement, Connection, Params, Row};

use super::fault::{Fault, failed};
use super::home::Home;
use super::rows::{micros, moment};
use super::statements::{self, Sql};
use crate::error::{Result, StoreError};
use crate::meter::Tally;
use crate::rows::WakeEvent;

/// One transaction, seen by one command.
pub(super) struct Tx<'c> {
    conn: &'c Connection,
    home: &'c Home,
    call: Cell<&'static str>,
    events: RefCell<Vec<WakeEvent>>,
    tallies: RefCell<Vec<Tally>>,
    last_fault: RefCell<Option<Fault>>,
}

impl<'c> Tx<'c> {
    pub(super) fn new(conn: &'c Connection, home: &'c Home) -> Self {
        let (events, tallies, last_fault) = (RefCell::default(), RefCell::default(), RefCell::default());
        Self { conn, home, call: Cell::new("transaction"), events, tallies, last_fault }
    }

    /// Names the store call that runs from here on.
    pub(super) fn begin_call(&self, call: &'static str) {
        self.call.set(call);
    }

    /// Prepares a statement, or takes it from the connection's cache.
    pub(super) fn prepare(&self, sql: &'static Sql) -> Result<Stmt<'_>> {
        let statement = self.conn.prepare_cached(sql.text).map_err(|error| self.error(&error))?;
        Ok(Stmt { statement, name: sql.name, tx: self })
    }

    /// The moment that the command goes by, in microseconds. Ask once per command.
    pub(super) fn now(&self, at: Now) -> Result<i64> {
        if let Some(moment) = at.fixed() {
            return Ok(micros(moment));
        }
        let clock = self.prepare(&statements::CLOCK)?.one([], |row| row.get(0))?;
        clock.ok_or_else(|| self.failed("the clock gave no time"))
    }

    /// Sends an event once the transaction is on disk.
    pub(super) fn wake(&self, event: WakeEvent) {
        let mut events = self.events.borrow_mut();
        // A batch of enqueues into one queue is one event; looking back further than this is not worth it.
        if !events.iter().rev().take(8).any(|earlier| *earlier == event) {
            events.push(event);
        }
    }

    /// Counts something once the transaction is on disk.
    pub(super) fn tally(&self, tally: Tally) {
        self.tallies.borrow_mut().push(tally);
    }

    /// How many events and tallies wait.
    pub(super) fn effects_so_far(&self) -> (usize, usize) {
        (self.events.borrow().len(), self.tallies.borrow().len())
    }

    /// Forgets what a command that failed would have led to.
    pub(super) fn forget_effects_after(&self, (events, tallies): (usize, usize)) {
        self.events.borrow_mut().truncate(events);
        self.tallies.borrow_mut().truncate(tallies);
    }

    /// What follows from all commands.
    pub(super) fn into_effects(self) -> (Vec<WakeEvent>, Vec<Tally>) {
        (self.events.into_inner(), self.tallies.into_inner())
    }

    /// The driver's last error, if there was one.
    pub(super) fn last_fault(&self) -> Option<Fault> {
        self.last_fault.borrow().clone()
    }

    /// The bare connection, for what is not a statement of ours: migrations and SQLite's own checks.
    pub(super) fn conn(&self) -> &Connection {
        self.conn
    }

    pub(super) fn home(&self) -> &Home {
        self.home
    }

    pub(super) fn error(&self, error: &rusqlite::Error) -> StoreError {
        let fault = Fault::of(error);
        *self.last_fault.borrow_mut() = Some(fault.clone());
        fault.into_error(self.home, self.call.get())
    }

    pub(super) fn failed(&self, text: impl Into<String>) -> StoreError {
        failed(self.home, self.call.get(), text)
    }
}

/// A prepared statement that is logged when it is slow.
pub(super) struct Stmt<'t> {
    statement: CachedStatement<'t>,
    name: &'static str,
    tx: &'t Tx<'t>,
}

impl Stmt<'_> {
    /// Runs it and returns how many rows it changed.
    pub(super) fn execute(&mut self, params: impl Params) -> Result<usize> {
        self.timed(|statement| statement.execute(params))
    }

    /// Runs it and reads the first row, if there is one.
    pub(super) fn one<T>(
        &mut self,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        self.timed(|statement| {
            let mut rows = statement.query(params)?;
            rows.next()?.map(read).transpose()
        })
    }

    /// Runs it and reads every row.
    pub(super) fn all<T>(
        &mut self,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.timed(|statement| statement.query_map(params, read)?.collect())
    }

    fn timed<T>(&mut self, run: impl FnOnce(&mut CachedStatement<'_>) -> rusqlite::Result<T>) -> Result<T> {
        let watch = self.tx.home.slow.watch(self.name);
        let outcome = run(&mut self.statement);
        watch.done();
        outcome.map_err(|error| self.tx.error(&error))
    }
}

/// Turns microseconds into a moment for the answer of a call.
pub(super) fn as_of(now: i64) -> jiff::Timestamp {
    moment(now)
}
