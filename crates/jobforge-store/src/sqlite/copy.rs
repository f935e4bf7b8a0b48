//! The whole file: copied while others write, made small, taken for oneself.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::fault::{Fault, failed};
use super::{SqliteStore, open};
use crate::error::{Result, StoreError};

/// Pages between two reports: 4 MB.
const PAGES_AT_ONCE: i32 = 1000;
/// How long a step that finds the file locked waits, and how often.
const LOCKED_WAIT: Duration = Duration::from_millis(50);
const LOCKED_TRIES: u32 = 200;

/// Called with the pages that are copied, and all that there are.
pub type Told = Box<dyn FnMut(u64, u64) + Send>;

impl SqliteStore {
    /// Copies everything as it is now into an empty file, beside whoever owns this one and however much is written
    /// meanwhile, then examines the copy. The copy is one file: nothing of it waits in a log.
    ///
    /// # Errors
    /// `Full` when there is no space, `Corrupt` when the copy is not sound; the copy is of no use then.
    pub async fn copy_to(&self, file: PathBuf, told: Told) -> Result<()> {
        self.read("copy", move |tx| {
            let copied = copy(tx.conn(), &file, told);
            copied.map_err(|error| of_copy(&file, error))
        })
        .await
    }

    /// Rebuilds the file without what was deleted. Nobody else may have it open for writing.
    pub(super) async fn vacuum_file(&self) -> Result<()> {
        let home = Arc::clone(&self.home);
        let work = move || {
            let run = |conn: &Connection| {
                // What waits in the log first, and what the rebuilding leaves there at the end.
                conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
            };
            let conn = home.writer()?;
            run(&conn).map_err(|error| Fault::of(&error).into_error(&home, "vacuum"))
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|error| failed(&self.home, "vacuum", format!("it was broken off: {error}")))?
    }
}

/// Copies a database file that nobody need own into an empty one, and examines the copy.
///
/// # Errors
/// As [`SqliteStore::copy_to`]; `Corrupt` also when the file is no database.
pub fn copy_file(from: &Path, to: &Path, told: Told) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags).map_err(|error| of_copy(from, error))?;
    source.execute_batch("BEGIN").map_err(|error| of_copy(from, error))?;
    copy(&source, to, told).map_err(|error| of_copy(from, error))
}

/// Makes this process the owner of a file, which need not exist, until the answer is dropped.
///
/// # Errors
/// `InUse` when another process owns it.
pub fn own_file(path: &Path) -> Result<File> {
    open::own(path)
}

/// Moves what waits in the log of a file that nobody has open into the file, so that it can be moved alone.
///
/// # Errors
/// `Corrupt` when it is no database.
pub fn close_log(path: &Path) -> Result<()> {
    let close = || Connection::open(path)?.execute_batch("PRAGMA journal_mode = DELETE");
    close().map_err(|error| of_copy(path, error))
}

/// The snapshot is taken by the first look and held, so that what others commit meanwhile neither gets in nor makes SQLite
/// begin again. Others write on: a reader holds nobody up in WAL mode.
fn copy(source: &Connection, to: &Path, mut told: Told) -> rusqlite::Result<()> {
    let _look: i64 = source.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let mut target = Connection::open(to)?;
    let backup = Backup::new(source, &mut target)?;
    let mut locked = 0;
    loop {
        let step = backup.step(PAGES_AT_ONCE)?;
        let progress = backup.progress();
        let all = u64::try_from(progress.pagecount).unwrap_or(0);
        told(all.saturating_sub(u64::try_from(progress.remaining).unwrap_or(0)), all);
        match step {
            StepResult::Done => break,
            StepResult::More => {}
            StepResult::Busy | StepResult::Locked if locked < LOCKED_TRIES => {
                locked += 1;
                std::thread::sleep(LOCKED_WAIT);
            }
            other => return Err(damaged(format!("the copy does not go on: {other:?}"))),
        }
    }
    drop(backup);
    target.execute_batch("PRAGMA journal_mode = DELETE")?;
    let verdict: String = target.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(damaged(verdict)) }
}

fn damaged(what: String) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    rusqlite::Error::SqliteFailure(code, Some(what))
}

fn of_copy(path: &Path, error: rusqlite::Error) -> StoreError {
    let location = path.display().to_string();
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => StoreError::Full { location, source: error.into() },
        Some(rusqlite::ErrorCode::CannotOpen) => StoreError::Unreachable { location, source: error.into() },
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            StoreError::Corrupt { location, source: error.into() }
        }
        _ => StoreError::Failed { location, call: "copy", source: error.into() },
    }
}
