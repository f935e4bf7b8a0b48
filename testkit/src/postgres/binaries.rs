//! Where the distribution keeps PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The oldest major version that JobForge supports.
const OLDEST_MAJOR: u32 = 14;

/// Debian, Ubuntu and their kin keep one folder per major version here, outside PATH.
const VERSIONED_ROOT: &str = "/usr/lib/postgresql";

/// Programs that have no place in an ordinary user's PATH, such as pgbouncer, live here.
const SYSTEM_DIRECTORIES: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// One installation of the PostgreSQL server.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The folder that holds `initdb`, `pg_ctl` and `postgres`.
    pub directory: PathBuf,
    pub major_version: u32,
}

impl Binaries {
    /// Returns the path of one of the programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// Finds the server: the one in PATH if it is new enough, otherwise the newest versioned folder.
///
/// Fails with what to install when there is none. Callers pass that on: a test without its database has failed.
pub fn find_binaries() -> Result<Binaries> {
    let in_path = find_program("pg_ctl").and_then(|pg_ctl| installation(&real_directory(&pg_ctl)?));
    if let Some(binaries) = in_path.filter(|found| found.major_version >= OLDEST_MAJOR) {
        return Ok(binaries);
    }
    let newest = versioned_directories()
        .into_iter()
        .filter_map(|directory| installation(&directory))
        .max_by_key(|found| found.major_version);
    match newest {
        Some(binaries) if binaries.major_version >= OLDEST_MAJOR => Ok(binaries),
        Some(old) => bail!(
            "failed to find PostgreSQL {OLDEST_MAJOR} or later: the newest here is {} in {}\n\
             hint: apt-get install postgresql",
            old.major_version,
            old.directory.display()
        ),
        None => bail!(
            "failed to find initdb, pg_ctl and postgres in PATH or {VERSIONED_ROOT}/*/bin\n\
             hint: apt-get install postgresql"
        ),
    }
}

/// Finds `psql`, one beside a server before the one in PATH: Debian's is a Perl wrapper that takes ten times as long. Any
/// version does, so that none is asked for its own.
pub(super) fn find_psql() -> Result<PathBuf> {
    let beside = |directory: PathBuf| Some(directory.join("psql")).filter(|path| path.is_file());
    let in_path = find_program("pg_ctl").and_then(|pg_ctl| real_directory(&pg_ctl));
    in_path
        .and_then(beside)
        .or_else(|| versioned_directories().into_iter().find_map(beside))
        .or_else(|| find_program("psql"))
        .context("failed to find psql\nhint: apt-get install postgresql-client")
}

/// Finds a program in PATH or in the folders for system programs.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SYSTEM_DIRECTORIES.iter().map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// PATH may hold links into the versioned folder; the other programs are beside the target, not beside the link.
fn real_directory(program: &Path) -> Option<PathBuf> {
    Some(program.canonicalize().ok()?.parent()?.to_path_buf())
}

fn versioned_directories() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(VERSIONED_ROOT) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect()
}

fn installation(directory: &Path) -> Option<Binaries> {
    if !["initdb", "pg_ctl", "postgres"].iter().all(|name| directory.join(name).is_file()) {
        return None;
    }
    let output = Command::new(directory.join("postgres")).arg("--version").output().ok()?;
    let major_version = major_version(&String::from_utf8_lossy(&output.stdout))?;
    Some(Binaries { directory: directory.to_path_buf(), major_version })
}

/// Reads `15` from `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`, also from `17beta2` and `18devel`.
fn major_version(text: &str) -> Option<u32> {
    let version = text.split_whitespace().nth(2)?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major_version;

    #[test]
    fn the_major_version_is_read_from_releases_and_previews() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(major_version("postgres\n"), None);
    }
}
