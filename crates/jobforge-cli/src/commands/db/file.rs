//! A file that is there as a whole or not at all, and what kind of copy a file is.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::failure::{self, Failure};

/// Only its owner may read it: everything is in it, payloads and digests of tokens included.
const PRIVATE: u32 = 0o600;

/// A file under a temporary name, removed unless it is kept.
pub(super) struct Part {
    path: PathBuf,
    kept: bool,
}

impl Part {
    /// An empty one beside the file that it shall become.
    pub(super) fn beside(target: &Path) -> Result<Self, Failure> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let path = target.with_file_name(name);
        let made = OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE).open(&path);
        made.map_err(|error| cannot("write", &path, &error))?;
        Ok(Self { path, kept: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the disk and gives it its name.
    pub(super) fn keep(mut self, target: &Path) -> Result<u64, Failure> {
        let keep = || {
            fs::set_permissions(&self.path, Permissions::from_mode(PRIVATE))?;
            let file = File::open(&self.path)?;
            file.sync_all()?;
            rename(&self.path, target)?;
            Ok(file.metadata()?.len())
        };
        let kept = keep().map_err(|error: io::Error| cannot("write", target, &error));
        self.kept = kept.is_ok();
        kept
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.kept {
            // It may be gone already; then there is nothing to do.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Gives a file another name, and waits until the directory is on disk.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    let directory = to.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

pub(super) fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(failure::FAILED, format!("cannot {what} {}: {error}", path.display()))
}

/// What made a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sqlite,
    PgDump,
}

impl Kind {
    /// Tells by the first bytes.
    pub(super) fn of(path: &Path) -> Result<Self, Failure> {
        let mut head = [0; 16];
        let read = File::open(path).and_then(|mut file| file.read(&mut head));
        let read = read.map_err(|error| cannot("read", path, &error))?;
        match &head[..read] {
            b"SQLite format 3\0" => Ok(Self::Sqlite),
            head if head.starts_with(b"PGDMP") => Ok(Self::PgDump),
            _ => Err(Failure::usage(format!("{} is no backup", path.display())).hint(
                "`jobforge db backup FILE` makes one; of PostgreSQL, `pg_dump --format=custom` does as well",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_not_kept_leaves_nothing_and_one_that_is_has_its_name_and_is_private() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let target = directory.path().join("copy");
        drop(Part::beside(&target).expect("a temporary directory"));
        assert_eq!(fs::read_dir(directory.path()).expect("a temporary directory").count(), 0);
        let part = Part::beside(&target).expect("a temporary directory");
        fs::write(part.path(), "all of it").expect("a temporary directory");
        assert_eq!(part.keep(&target).expect("a temporary directory"), 9);
        assert_eq!(
            fs::metadata(&target).expect("a temporary directory").permissions().mode() & 0o777,
            PRIVATE
        );
        assert_eq!(fs::read_dir(directory.path()).expect("a temporary directory").count(), 1);
    }
}
