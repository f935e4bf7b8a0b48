//! A PostgreSQL server that tests may create databases on, whoever started it.

use std::io::{Seek, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use tokio_postgres::{NoTls, SimpleQueryMessage};
use uuid::Uuid;

use super::binaries::find_psql;
use super::host::without_postgres_variables;

/// The longest name of a template; PostgreSQL cuts names at 63 bytes, and a suffix is added while it is built.
const LONGEST_TEMPLATE_NAME: usize = 48;

/// A server, by the URL of its maintenance database.
#[derive(Clone, Debug)]
pub struct Server {
    url: String,
}

impl Server {
    /// Describes the server behind a `postgres://` URL whose user may create databases. Does not connect.
    pub fn from_url(url: impl Into<String>) -> Self {
        Self { url: url.into() }
    }

    /// Returns the URL of the maintenance database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the URL of one of the server's databases.
    pub fn url_of(&self, database: &str) -> String {
        let (rest, query) =
            self.url.split_once('?').map_or((self.url.as_str(), None), |(rest, query)| (rest, Some(query)));
        let authority_start = rest.find("://").map_or(0, |at| at + 3);
        let path_start = rest[authority_start..].find('/').map_or(rest.len(), |at| authority_start + at);
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}/{database}{query}", &rest[..path_start])
    }

    /// Returns the URL of one of the server's databases by way of its unix socket. Asks the server where that is.
    pub fn socket_url_of(&self, database: &str) -> Result<String> {
        let answer = self.psql(
            "SELECT split_part(current_setting('unix_socket_directories'), ',', 1),
                    current_setting('port'),
                    current_user",
        )?;
        let [directory, port, user] = answer.trim().split('|').collect::<Vec<_>>()[..] else {
            bail!("failed to learn the server's socket from {answer:?}");
        };
        ensure!(!directory.is_empty(), "the server at {} has no unix socket", self.url);
        Ok(format!("postgres://{user}@{}:{port}/{database}", directory.replace('/', "%2F")))
    }

    /// Runs statements on the maintenance database, as [`psql`] does.
    pub fn psql(&self, sql: &str) -> Result<String> {
        psql(&self.url, sql)
    }

    /// Returns the name of a database to copy, after having it prepared by `setup` if it does not exist yet.
    ///
    /// Processes may race: each prepares one under a name of its own, the first to rename it wins, and the others
    /// throw theirs away. So a name always means a finished template. Put a fingerprint of the contents into the name
    /// when the server may outlive a change of the contents. Nobody can connect to a finished template, because
    /// PostgreSQL refuses to copy a database that has connections.
    pub async fn template<F, Fut>(&self, name: &str, setup: F) -> Result<String>
    where
        F: FnOnce(String) -> Fut,
        Fut: Future<Output = Result<()>>,
    {
        let plain = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        ensure!(
            plain && !name.is_empty() && name.len() <= LONGEST_TEMPLATE_NAME,
            "a template's name is at most {LONGEST_TEMPLATE_NAME} of a-z, 0-9 and _: {name:?}"
        );
        if self.has_database(name)? {
            return Ok(name.to_owned());
        }
        let draft = format!("{name}_{}", &Uuid::new_v4().simple().to_string()[..12]);
        self.ask(&format!("CREATE DATABASE {draft} TEMPLATE template0"))?;
        let published = match setup(self.url_of(&draft)).await {
            Ok(()) => self.publish(&draft, name),
            Err(error) => Err(error.context(format!("failed to prepare template {name}"))),
        };
        if published.is_err() {
            self.ask(&format!("DROP DATABASE {draft} WITH (FORCE)"))?;
        }
        match published {
            Err(error) if !self.has_database(name)? => Err(error),
            Ok(()) | Err(_) => Ok(name.to_owned()),
        }
    }

    fn publish(&self, draft: &str, name: &str) -> Result<()> {
        self.psql(&format!(
            "ALTER DATABASE {draft} WITH ALLOW_CONNECTIONS false;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{draft}';
             ALTER DATABASE {draft} RENAME TO {name};"
        ))?;
        Ok(())
    }

    pub(super) fn has_database(&self, name: &str) -> Result<bool> {
        Ok(self.ask(&format!("SELECT FROM pg_database WHERE datname = '{name}'"))? > 0)
    }

    /// Runs one statement on the maintenance database, and returns how many rows it answers. Every test that has a database
    /// of its own does so three times; to start a psql for that took a tenth of the processor's time of a run.
    pub(super) fn ask(&self, statement: &str) -> Result<usize> {
        // The caller may be in a runtime already, in which no other can be waited for.
        let asked = std::thread::scope(|scope| {
            let asks = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
                    tokio::spawn(connection);
                    anyhow::Ok(client.simple_query(statement).await?)
                })
            };
            scope.spawn(asks).join().expect("asking does not panic")
        });
        let answers = asked.with_context(|| format!("failed to run `{statement}` on {}", self.url))?;
        Ok(answers.iter().filter(|answer| matches!(answer, SimpleQueryMessage::Row(_))).count())
    }
}

/// Runs statements with `psql`, each in a transaction of its own, and stops at the first that fails.
///
/// Returns the rows as text without headings, columns separated by `|`. Fails with the server's message.
pub fn psql(url: &str, sql: &str) -> Result<String> {
    // A file, not a pipe: neither side has to wait for the other, however long the script and its answer are.
    let mut script = tempfile::tempfile().context("failed to create a temporary file")?;
    script
        .write_all(sql.as_bytes())
        .and_then(|()| script.rewind())
        .context("failed to write a script for psql")?;
    let mut command = Command::new(find_psql()?);
    without_postgres_variables(&mut command);
    let output = command
        .args([
            "--no-psqlrc",
            "--quiet",
            "--no-align",
            "--tuples-only",
            "--set=ON_ERROR_STOP=1",
            "--dbname",
            url,
        ])
        .stdin(Stdio::from(script))
        .output()
        .context("failed to run psql")?;
    if !output.status.success() {
        bail!("failed to run SQL on {url}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("psql printed something that is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::Server;

    #[track_caller]
    fn check(url: &str, expected: &str) {
        assert_eq!(Server::from_url(url).url_of("db"), expected);
    }

    #[test]
    fn the_database_is_replaced_and_everything_else_is_kept() {
        check("postgres://me@127.0.0.1:5433/postgres", "postgres://me@127.0.0.1:5433/db");
        check("postgres://me:a%2Fb@host", "postgres://me:a%2Fb@host/db");
        check("postgresql://host/x?sslmode=disable", "postgresql://host/db?sslmode=disable");
        check("postgres:///x?host=/run/postgresql", "postgres:///db?host=/run/postgresql");
        check("postgres://host?options=-c%20a%3D/b", "postgres://host/db?options=-c%20a%3D/b");
    }
}
