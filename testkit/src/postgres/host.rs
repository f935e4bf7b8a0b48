//! What a throw-away server needs of the machine: an account, a directory, a port.

use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::sys::statvfs::statvfs;
use nix::unistd::{User, getegid, geteuid};
use uuid::Uuid;

/// A unix socket's path must fit in about 100 bytes, and its name takes 20 of them.
const LONGEST_PARENT_BYTES: usize = 60;

/// What Linux keeps in memory.
const MEMORY: &str = "/dev/shm";
/// A run of all tests takes about a twentieth of it.
const MEMORY_NEEDED: u64 = 8 << 30;

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

/// A disk that is small.
#[derive(Debug)]
pub(super) struct Disk<'a> {
    pub(super) mib: u32,
    /// The directory that moves to it.
    pub(super) over: &'a Path,
}

/// Arguments: the disk's size, the directory that moves to it, where it is mounted first, the ids of the account, and the
/// program.
const WITH_A_DISK: &str = r#"
set -e
size=$1 over=$2 disk=$3 uid=$4 gid=$5 is_root=$6
shift 6
mkdir -p "$disk"
mount -t tmpfs -o "size=$size,mode=700" none "$disk"
cp -a "$over/." "$disk"
mount --bind "$disk" "$over"
if [ "$is_root" = true ]; then exec setpriv --reuid="$uid" --regid="$gid" --clear-groups "$@"; fi
exec unshare --user --map-user="$uid" --map-group="$gid" "$@"
"#;

/// The same as [`server_command`] for a program that sees one of its directories on a disk of its own. The disk is there for
/// the program and for what it starts, and ends with them.
pub(super) fn server_command_with_a_disk(
    program: &Path,
    directory: &Path,
    account: Option<Account>,
    disk: &Disk<'_>,
) -> Command {
    // Only root may mount, so the account is changed to behind that. Who is not root is it in a namespace of users.
    let mut command = server_command(Path::new("unshare"), directory, None);
    command.arg("--mount");
    if account.is_none() {
        command.arg("--map-root-user");
    }
    let Account { uid, gid } =
        account.unwrap_or(Account { uid: geteuid().as_raw(), gid: getegid().as_raw() });
    command.args(["sh", "-c", WITH_A_DISK, "sh", &format!("{}m", disk.mib)]);
    command.arg(disk.over).arg(directory.join("disk")).args([uid.to_string(), gid.to_string()]);
    command.arg(account.is_some().to_string()).arg(program);
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

/// Creates an empty directory that only `account` (or we, when it is `None`) can read. The caller removes it.
pub(super) fn private_directory(parent: &Path, account: Option<Account>) -> Result<PathBuf> {
    let directory = tempfile::Builder::new()
        .prefix("jf-pg-")
        .tempdir_in(parent)
        .with_context(|| format!("failed to create a directory in {}", parent.display()))?
        .keep();
    give_to(&directory, account)?;
    Ok(directory)
}

/// Returns a directory in memory if there is one with room, else the temporary directory.
///
/// Each test makes and drops a database of hundreds of files. To make a file, ext4 passes over every inode that was deleted
/// in the last seconds, and that took a third of all processor time of a test run.
pub(super) fn fastest_directory() -> PathBuf {
    let room = statvfs(MEMORY).map_or(0, |disk| disk.fragment_size() * disk.blocks_available());
    if room >= MEMORY_NEEDED { PathBuf::from(MEMORY) } else { short_temporary_directory() }
}

/// Returns the temporary directory, or /tmp when that path is too long for a unix socket.
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
