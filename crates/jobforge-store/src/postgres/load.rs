//! A dump's data into an empty schema of ours: all of it in one transaction, or nothing.
//!
//! The schema is made here, not by the dump, so that a dump of tables alone is enough and nothing in a dump but its rows
//! gets in. The rows come as the script that `pg_restore --data-only` writes.

use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use jobforge_core::job::WorkerId;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Transaction};

use super::{PostgresStore, admin, upkeep};
use crate::error::{Result, StoreError};
use crate::migrate::{Applied, Migration, pending};
use crate::traits::{Admin, Upkeep};

/// Bytes that are sent at once.
const CHUNK: usize = 64 * 1024;
/// The table that says which schema a dump has; it is read for itself.
const STEPS: &str = "jobforge_migrations";
/// Tables with one row that is always there. A dump of some tables has none of it, and what is here does as well.
const ONE_ROW: [&str; 3] = ["jobforge_alert_turn", "jobforge_fleet", "jobforge_settings_version"];

/// A migration that a dump says was applied where it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpedStep {
    /// Its number.
    pub version: i64,
    /// What identifies its text.
    pub checksum: String,
}

/// What came in.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// Rows of all tables.
    pub rows: u64,
    /// Who held a lease where the dump was made.
    pub workers: Vec<WorkerId>,
}

impl PostgresStore {
    /// What `pg_dump` and `pg_restore` need in their environment to reach this database directly; nothing of it may be
    /// shown, for there may be a password in it.
    ///
    /// # Errors
    /// `BadUrl` when only the way through a transaction pooler is known, which those programs cannot use.
    pub fn program_environment(&self) -> Result<Vec<(&'static str, String)>> {
        if !self.direct.available {
            let reason = "it leads through a transaction pooler, and a dump needs a direct connection: set \
                          DATABASE_DIRECT_URL";
            return Err(StoreError::BadUrl { reason: reason.to_owned() });
        }
        let config = &self.direct.config;
        let host = |host: &Host| match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        };
        let list = |items: Vec<String>| (!items.is_empty()).then(|| items.join(","));
        let encrypted = match config.get_ssl_mode() {
            SslMode::Disable => "disable",
            SslMode::Prefer => "prefer",
            _ => "require",
        };
        let given = [
            ("PGHOST", list(config.get_hosts().iter().map(host).collect())),
            ("PGPORT", list(config.get_ports().iter().map(ToString::to_string).collect())),
            ("PGUSER", config.get_user().map(str::to_owned)),
            ("PGDATABASE", config.get_dbname().or(config.get_user()).map(str::to_owned)),
            ("PGPASSWORD", config.get_password().map(|word| String::from_utf8_lossy(word).into_owned())),
            ("PGSSLMODE", Some(encrypted.to_owned())),
            ("PGAPPNAME", Some("jobforge".to_owned())),
            ("PGCONNECT_TIMEOUT", Some("10".to_owned())),
        ];
        Ok(given.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect())
    }

    /// The version of the server, as in 160004.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn server_version(&self) -> Result<i32> {
        let client = self.client("version").await?;
        let rows = client.query_typed("SELECT current_setting('server_version_num')::integer", &[]).await;
        Ok(rows.map_err(|error| self.fault("version", error))?[0].get(0))
    }

    /// Makes the schema that a dump was made of: all of it when the dump does not say.
    ///
    /// # Errors
    /// `SchemaTooNew` and `MigrationDrift` about the dump; `SchemaTooOld` when the database has another schema already.
    pub async fn migrate_for(&self, dumped: &[DumpedStep], dump: &str) -> Result<()> {
        let steps: Vec<Applied> = dumped
            .iter()
            .map(|step| Applied { version: step.version, checksum: step.checksum.clone() })
            .collect();
        pending(admin::MIGRATIONS, &steps, dump)?;
        let newest = steps.iter().map(|step| step.version).max().unwrap_or_else(admin::newest_version);
        let (mut client, driver) = self.direct.open().await?;
        let task = tokio::spawn(driver.run_silent());
        let outcome = self.migrate_on(&mut client, newest).await;
        drop(client);
        task.abort();
        outcome?;
        let found = self.migrations().await?.iter().filter(|step| step.applied_at.is_some()).count();
        let known = |step: &&Migration| step.version <= newest;
        if found == admin::MIGRATIONS.iter().filter(known).count() {
            return Ok(());
        }
        Err(StoreError::Failed {
            location: self.location.clone(),
            call: "restore",
            source: format!(
                "its schema is newer than the dump's (version {newest}); restore into a database without JobForge's \
                 tables, which are then made as the dump needs them and brought up to date"
            )
            .into(),
        })
    }

    /// Replaces everything by the rows of a script that `pg_restore --data-only` wrote, jobs first, and begins anew (see
    /// [`Upkeep::begin_anew`]). `told` is called with each table, and the bytes of it so far; `whole` says at the end whether
    /// the script is all that there is.
    ///
    /// # Errors
    /// When the script is not what `pg_restore` writes, not whole, or its rows do not fit the schema; then nothing has
    /// changed.
    pub async fn load(
        &self,
        script: impl AsyncBufRead + Unpin + Send,
        told: impl FnMut(&str, u64) + Send,
        whole: impl Future<Output = std::result::Result<(), String>> + Send,
    ) -> Result<Loaded> {
        let (mut client, driver) = self.direct.open().await?;
        let task = tokio::spawn(driver.run_silent());
        let outcome = self.load_on(&mut client, script, told, whole).await;
        drop(client);
        task.abort();
        outcome
    }

    async fn load_on(
        &self,
        client: &mut Client,
        mut script: impl AsyncBufRead + Unpin + Send,
        mut told: impl FnMut(&str, u64) + Send,
        whole: impl Future<Output = std::result::Result<(), String>> + Send,
    ) -> Result<Loaded> {
        let fault = |error| self.fault("restore", error);
        let tables: Vec<String> = self.sizes().await?.into_iter().map(|table| table.part).collect();
        let replaced_epoch = self.epoch().await?;
        let transaction = client.transaction().await.map_err(fault)?;
        admin::lock(&transaction).await.map_err(fault)?;
        let kept = |name: &str| name == STEPS || ONE_ROW.contains(&name);
        let replaced: Vec<String> =
            tables.iter().filter(|name| !kept(name)).map(|name| quote(name)).collect();
        transaction.batch_execute(&format!("TRUNCATE {}", replaced.join(", "))).await.map_err(fault)?;
        let mut loaded = Loaded::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            if script.read_until(b'\n', &mut line).await.map_err(|error| self.odd(&error.to_string()))? == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&line);
            match statement(text.trim_end()) {
                Statement::Copy { table, columns } => {
                    if ONE_ROW.contains(&table.as_str()) {
                        let replace = format!("TRUNCATE {}", quote(&table));
                        transaction.batch_execute(&replace).await.map_err(fault)?;
                    } else if !replaced.contains(&quote(&table)) {
                        return Err(self.odd(&format!("there is no table {table} here")));
                    }
                    let columns: Vec<String> = columns.iter().map(|name| quote(name)).collect();
                    let copy = format!("COPY {} ({}) FROM STDIN", quote(&table), columns.join(", "));
                    loaded.rows +=
                        self.copy_rows(&transaction, &copy, &mut script, |bytes| told(&table, bytes)).await?;
                }
                Statement::Sequence { name, value, called } => {
                    let set = format!("SELECT setval('{}'::regclass, {value}, {called})", quote(&name));
                    transaction.batch_execute(&set).await.map_err(fault)?;
                }
                Statement::Encoding(name) if name != "UTF8" => {
                    return Err(self.odd(&format!("it is in {name}; make it with pg_dump --encoding=UTF8")));
                }
                Statement::Encoding(_) | Statement::Other => {}
            }
        }
        whole.await.map_err(|what| self.odd(&what))?;
        loaded.workers = upkeep::begin_anew_in(&transaction, replaced_epoch).await.map_err(fault)?;
        transaction.commit().await.map_err(fault)?;
        Ok(loaded)
    }

    /// Sends lines to a table until the one that ends them; returns how many.
    async fn copy_rows(
        &self,
        transaction: &Transaction<'_>,
        sql: &str,
        script: &mut (impl AsyncBufRead + Unpin + Send),
        mut told: impl FnMut(u64) + Send,
    ) -> Result<u64> {
        let fault = |error| self.fault("restore", error);
        let sink = transaction.copy_in::<_, Bytes>(sql).await.map_err(fault)?;
        tokio::pin!(sink);
        let (mut chunk, mut sent, mut rows) = (BytesMut::with_capacity(CHUNK), 0_u64, 0);
        let mut line = Vec::new();
        loop {
            line.clear();
            if script.read_until(b'\n', &mut line).await.map_err(|error| self.odd(&error.to_string()))? == 0 {
                return Err(self.odd("it ends in the middle of a table"));
            }
            let last = line.trim_ascii_end() == b"\\.";
            if !last {
                chunk.extend_from_slice(&line);
                rows += 1;
            }
            if chunk.len() >= CHUNK || (last && !chunk.is_empty()) {
                sent += chunk.len() as u64;
                sink.send(chunk.split().freeze()).await.map_err(fault)?;
                told(sent);
            }
            if last {
                break;
            }
        }
        sink.as_mut().finish().await.map_err(fault)?;
        Ok(rows)
    }

    fn odd(&self, what: &str) -> StoreError {
        let source = format!("the dump cannot be read: {what}").into();
        StoreError::Failed { location: self.location.clone(), call: "restore", source }
    }
}

/// A line of a script outside of rows, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
enum Statement {
    Copy { table: String, columns: Vec<String> },
    Sequence { name: String, value: i64, called: bool },
    Encoding(String),
    Other,
}

/// Reads one line. Of names only what is after the schema counts: the tables are where this database has them.
fn statement(line: &str) -> Statement {
    let copy = || {
        let (table, rest) = line.strip_prefix("COPY ")?.split_once(" (")?;
        let columns = rest.strip_suffix(") FROM stdin;")?.split(", ").map(bare).collect();
        Some(Statement::Copy { table: last_name(table), columns })
    };
    let sequence = || {
        let inner = line.strip_prefix("SELECT pg_catalog.setval('")?.strip_suffix(");")?;
        let (name, rest) = inner.split_once("', ")?;
        let (value, called) = rest.split_once(", ")?;
        Some(Statement::Sequence {
            name: last_name(name),
            value: value.parse().ok()?,
            called: called.parse().ok()?,
        })
    };
    let encoding = || {
        let name = line.strip_prefix("SET client_encoding = '")?.strip_suffix("';")?;
        Some(Statement::Encoding(name.to_owned()))
    };
    copy().or_else(sequence).or_else(encoding).unwrap_or(Statement::Other)
}

fn last_name(name: &str) -> String {
    bare(name.rsplit('.').next().unwrap_or(name))
}

fn bare(name: &str) -> String {
    name.trim_matches('"').replace("\"\"", "\"")
}

/// No quote of either kind gets through: ours have none.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace(['"', '\''], ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_script_are_told_apart_wherever_the_tables_were() {
        let copy = r#"COPY public.jobforge_jobs (id, "type", status) FROM stdin;"#;
        let columns = ["id", "type", "status"].map(str::to_owned).to_vec();
        assert_eq!(statement(copy), Statement::Copy { table: "jobforge_jobs".to_owned(), columns });
        let sequence = "SELECT pg_catalog.setval('\"My Schema\".jobforge_audit_id_seq', 12, true);";
        let name = "jobforge_audit_id_seq".to_owned();
        assert_eq!(statement(sequence), Statement::Sequence { name, value: 12, called: true });
        let encoding = "SET client_encoding = 'LATIN1';";
        assert_eq!(statement(encoding), Statement::Encoding("LATIN1".to_owned()));
        for other in
            ["", "-- COPY x", "\\restrict abc", "DROP TABLE jobforge_jobs;", "SET row_security = off;"]
        {
            assert_eq!(statement(other), Statement::Other, "{other}");
        }
    }

    #[test]
    fn a_name_cannot_end_its_quotes() {
        assert_eq!(quote(r#"x"; DROP TABLE y; --'"#), r#""x; DROP TABLE y; --""#);
    }
}
