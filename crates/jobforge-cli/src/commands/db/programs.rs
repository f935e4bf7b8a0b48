//! `pg_dump` and `pg_restore`: where they are, whether they are new enough, and running them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use jobforge::core::settings::Settings;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use crate::failure::{self, Failure};

/// Characters of a program's complaint that are shown.
const SHOWN: usize = 2000;

/// One of the programs, with what it needs to reach the database.
///
/// What is secret is in its environment: anybody on the machine may see the arguments of a process.
pub(super) struct Program {
    path: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl Program {
    /// In the directory of `PG_BIN` if that is set, else on the PATH.
    pub(super) fn find(
        name: &str,
        settings: &Settings,
        environment: Vec<(&'static str, String)>,
    ) -> Result<Self, Failure> {
        let directory = settings.text("pg_bin");
        let path = if directory.is_empty() { on_path(name) } else { Some(Path::new(directory).join(name)) };
        let path = path.filter(|path| path.is_file()).ok_or_else(|| {
            let place = if directory.is_empty() { "on the PATH".to_owned() } else { format!("in {directory}") };
            Failure::new(failure::CONFIG, format!("there is no {name} {place}")).hint(
                "install PostgreSQL's client programs (on Debian: apt-get install postgresql-client), or set PG_BIN to \
                 their directory, such as /usr/lib/postgresql/16/bin",
            )
        })?;
        Ok(Self { path, environment })
    }

    /// Fails if the program is older than the server, whose dumps it could not make.
    pub(super) async fn not_older_than(&self, server: i32) -> Result<(), Failure> {
        let said = self.output(&["--version"]).await?;
        let found = major(&said);
        let needed = server / 10_000;
        if found.is_none_or(|found| found >= needed) {
            return Ok(());
        }
        Err(Failure::new(
            failure::CONFIG,
            format!("{} is {}, and the server is PostgreSQL {needed}", self.path.display(), said.trim()),
        )
        .hint(format!("install postgresql-client-{needed}, or set PG_BIN to the programs of that version")))
    }

    /// Runs it to its end; returns what it printed.
    pub(super) async fn output(&self, arguments: &[&str]) -> Result<String, Failure> {
        let done = self.command(arguments).stdin(Stdio::null()).output().await;
        let done = done.map_err(|error| self.cannot_run(&error))?;
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
        }
        Err(self.failed(&String::from_utf8_lossy(&done.stderr)))
    }

    /// Starts it, with a text as its standard input.
    pub(super) async fn start(&self, arguments: &[&str], input: &str) -> Result<Child, Failure> {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| self.cannot_run(&error))?;
        if let Some(mut stdin) = child.stdin.take() {
            // It reads all of it before it writes anything. If it ends before, its exit tells why.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        Ok(child)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(arguments).kill_on_drop(true);
        for (name, value) in &self.environment {
            // What the user has set of encryption may be stricter than the URL.
            if *name != "PGSSLMODE" || std::env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        command
    }

    fn cannot_run(&self, error: &std::io::Error) -> Failure {
        Failure::new(failure::CONFIG, format!("cannot run {}: {error}", self.path.display()))
    }

    /// What it complained of.
    pub(super) fn failed(&self, complaint: &str) -> Failure {
        let shown: String = complaint.trim().chars().take(SHOWN).collect();
        Failure::new(failure::FAILED, format!("{} failed: {shown}", self.path.display()))
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// The first number of `pg_dump (PostgreSQL) 16.4 (Debian 16.4-1)`.
fn major(said: &str) -> Option<i32> {
    let word = said.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    word.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_every_packager_prints() {
        assert_eq!(major("pg_dump (PostgreSQL) 16.4 (Debian 16.4-1.pgdg120+2)"), Some(16));
        assert_eq!(major("pg_dump (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major("no version"), None);
    }
}
