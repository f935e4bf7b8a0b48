//! What a throw-away server needs of the machine: an account, a directory, a port.

use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::unistd::{User, geteuid};
use uuid::Uuid;

/// A unix socket's path must fit in about 100 bytes, and its name takes 20 of them.
const LONGEST_PARENT_BYTES: usize = 60;

/// Below the ephemeral range of Linux and macOS. Inside it, a client that keeps trying to reach a stopped server can
/// be given the server's own port as its source, connect to itself, and keep the server from coming back.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;
const PORT_ATTEMPTS: usize = 100;

/// The account under which a server runs when we are root: PostgreSQL and pgbouncer refuse root.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// Returns the account to change to, or `None` when we are an ordinary user already.
    pub(super) fn for_servers() -> Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name).context("failed to read the list of accounts")? {
                return Ok(Some(Self { uid: user.uid.as_raw(), gid: user.gid.as_raw() }));
            }
        }
        bail!(
            "failed to find an account to run PostgreSQL under: it refuses root, and neither postgres nor nobody exists"
        )
    }
}

/// Returns a command for a server program, run in `directory` under `account`, deaf to the caller's PG* variables.
pub(super) fn server_command(program: &Path, directory: &Path, account: Option<Account>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory);
    without_postgres_variables(&mut command);
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Takes PGHOST, PGOPTIONS, PGSSLMODE and their like out of a command's environment, and makes it speak English.
pub(super) fn without_postgres_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.as_bytes().starts_with(b"PG") {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C");
}

/// Creates an empty directory that only `account` (or we, when it is `None`) can read.
///
/// The caller removes it. Without `parent` it is made in the temporary directory, or in /tmp when that path is too
/// long for a unix socket.
pub(super) fn private_directory(parent: Option<&Path>, account: Option<Account>) -> Result<PathBuf> {
    let parent = parent.map_or_else(short_temporary_directory, Path::to_path_buf);
    let directory = tempfile::Builder::new()
        .prefix("jf-pg-")
        .tempdir_in(&parent)
        .with_context(|| format!("failed to create a directory in {}", parent.display()))?
        .keep();
    give_to(&directory, account)?;
    Ok(directory)
}

pub(super) fn short_temporary_directory() -> PathBuf {
    let directory = std::env::temp_dir();
    if directory.as_os_str().len() <= LONGEST_PARENT_BYTES { directory } else { PathBuf::from("/tmp") }
}

/// Writes a file that `account` can read.
pub(super) fn write_for(account: Option<Account>, path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))?;
    give_to(path, account)
}

fn give_to(path: &Path, account: Option<Account>) -> Result<()> {
    let Some(Account { uid, gid }) = account else { return Ok(()) };
    std::os::unix::fs::chown(path, Some(uid), Some(gid))
        .with_context(|| format!("failed to give {} to user {uid}", path.display()))
}

/// Returns a port of 127.0.0.1 on which nobody listens at the moment. Another process may be quicker: callers retry.
pub(super) fn free_port() -> Result<u16> {
    for _ in 0..PORT_ATTEMPTS {
        let [high, low, ..] = Uuid::new_v4().into_bytes();
        let port = FIRST_PORT + u16::from_be_bytes([high, low]) % PORTS;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("failed to find a free port on 127.0.0.1 in {PORT_ATTEMPTS} attempts")
}
