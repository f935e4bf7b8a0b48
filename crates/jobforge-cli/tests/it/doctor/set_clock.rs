//! A clock that a test sets while programs go by it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use testkit::postgres::ClusterOptions;

use crate::site::Site;

/// The wall clock of programs that run in its environment. How long something takes they measure right.
pub(super) struct SetClock {
    // Others may read it: PostgreSQL runs under an account of its own.
    directory: TempDir,
}

impl SetClock {
    /// One that is off by so much: `-40m`.
    pub(super) fn at(offset: &str) -> Self {
        let open = std::fs::Permissions::from_mode(0o755);
        let directory = tempfile::Builder::new().permissions(open).tempdir().unwrap();
        let clock = Self { directory };
        clock.set(offset);
        clock
    }

    /// Sets it for all who go by it, at once.
    pub(super) fn set(&self, offset: &str) {
        let new = self.directory.path().join("new");
        std::fs::write(&new, format!("{offset}\n")).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("clock")
    }

    /// What makes a program go by it.
    fn environment(&self) -> Vec<(String, String)> {
        let ask = ["-f", "+0", "sh", "-c", "printf %s \"$LD_PRELOAD\""];
        let library = Command::new("faketime").args(ask).env_remove("LD_PRELOAD").output().unwrap();
        [
            ("LD_PRELOAD", String::from_utf8(library.stdout).unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            // The same for older versions.
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// A PostgreSQL that goes by it, on which nothing runs yet.
    pub(super) fn site(&self) -> Site {
        let environment = self.environment();
        Site::on_own_postgres(&ClusterOptions { environment, ..ClusterOptions::default() })
    }
}
