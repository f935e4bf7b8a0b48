//! Opening: the file, its directory and who owns it.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use super::SqliteStore;
use super::home::Home;
use super::readers::Readers;
use super::writer::Writer;
use crate::error::{Result, StoreError};
use crate::slow::SlowLog;

/// Events kept for a subscriber that is slow; one that falls behind is told that it missed some.
const WAKE_BACKLOG: usize = 1024;

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// The disk: an answered call survives a loss of power.
    #[default]
    Full,
    /// The operating system: it survives the process, but the last calls may be lost with the power.
    Normal,
}

impl Synchronous {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Normal => "NORMAL",
        }
    }
}

/// How to open a file.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The database file.
    pub path: PathBuf,
    /// What a commit waits for.
    pub synchronous: Synchronous,
    /// Statements that take longer are logged.
    pub slow_query: Duration,
    /// Whether this process owns the file (a server or worker) or opens it beside the owner (a one-shot command).
    pub exclusive: bool,
    /// Whether to create the file and its directory.
    pub create: bool,
}

impl SqliteStore {
    /// Opens a database file. The schema is neither made nor looked at: see `migrate` and `verify_schema`.
    ///
    /// # Errors
    /// `Unreachable` when there is no file and none may be created, `ReadOnly` when it may not be written, `Corrupt`
    /// when it is no database, `InUse` when another process owns it.
    pub fn open(options: SqliteOptions) -> Result<Self> {
        let location = options.path.display().to_string();
        prepare_file(&options).map_err(|error| from_io(&location, error))?;
        let owned = if options.exclusive { Some(own(&options.path)?) } else { None };
        let home = Home {
            path: Some(options.path),
            location,
            synchronous: options.synchronous,
            slow: SlowLog { threshold: options.slow_query },
        };
        Self::start(home, owned)
    }

    /// Opens an empty database in memory, for tests and trials; it ends with the store.
    ///
    /// # Errors
    /// Only when memory or threads are exhausted.
    pub fn open_in_memory() -> Result<Self> {
        let home = Home {
            path: None,
            location: "memory".to_owned(),
            synchronous: Synchronous::Normal,
            slow: SlowLog { threshold: Duration::from_secs(1) },
        };
        Self::start(home, None)
    }

    fn start(home: Home, owned: Option<File>) -> Result<Self> {
        let home = Arc::new(home);
        let (wake, _) = broadcast::channel(WAKE_BACKLOG);
        let writer = Writer::start(Arc::clone(&home), wake.clone())?;
        let readers = home.path.is_some().then(|| Readers::new(Arc::clone(&home)));
        Ok(Self { home, wake, readers, writer, _owned: owned })
    }
}

/// Makes sure that the file is there and may be written. SQLite would open a protected file for reading and fail later.
fn prepare_file(options: &SqliteOptions) -> io::Result<()> {
    if options.create
        && let Some(directory) = options.path.parent()
    {
        fs::create_dir_all(directory)?;
    }
    File::options()
        .read(true)
        .write(true)
        .create(options.create)
        .truncate(false)
        .open(&options.path)
        .map(drop)
}

fn from_io(location: &str, error: io::Error) -> StoreError {
    let location = location.to_owned();
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StoreError::ReadOnly { location, source: error.into() }
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StoreError::Full { location, source: error.into() }
        }
        _ => StoreError::Unreachable { location, source: error.into() },
    }
}

/// Locks the file beside the database and writes who we are into it; the lock ends with the process, however it ends.
pub(super) fn own(path: &Path) -> Result<File> {
    let lock_path = lock_path(path);
    let failed = |error| from_io(&lock_path.display().to_string(), error);
    let mut lock = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::InUse { path: directory(path), pid: holder(&mut lock) });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let write = |lock: &mut File| {
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "{}", process::id())
    };
    write(&mut lock).map_err(failed)?;
    Ok(lock)
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// The pid that the owner wrote, or a word for none: it may not have come to writing it.
fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock.take(32).read_to_string(&mut text);
    match (read, text.trim()) {
        (Ok(_), pid) if !pid.is_empty() => pid.to_owned(),
        _ => "unknown".to_owned(),
    }
}

fn directory(path: &Path) -> String {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(path).display().to_string()
}
