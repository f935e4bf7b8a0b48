//! Plain SQL beside the store, for what only a measurement needs: VACUUM, snapshots, statement counts, CPU time.

use std::time::Duration;

use jobforge::process::cpu_time_with_children;
use tokio_postgres::{Client, NoTls};

use crate::failure::{self, Failure};

pub(super) struct Raw {
    client: Client,
}

/// What the server has counted so far.
pub(super) struct Counts {
    pub(super) transactions: i64,
    /// Of the whole server.
    pub(super) wal_bytes: i64,
    /// Pages that were written whole into it.
    pub(super) full_pages: i64,
    /// Rows of our tables that an update or a delete left behind.
    pub(super) dead_rows: i64,
    /// Of those, by updates that touched no index.
    pub(super) hot: i64,
}

impl Raw {
    pub(super) async fn connect(url: &str) -> Result<Self, Failure> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(|error| fail(&error))?;
        tokio::spawn(async move {
            // A broken connection shows in the next statement.
            let _ = connection.await;
        });
        Ok(Self { client })
    }

    pub(super) async fn run(&self, sql: &str) -> Result<(), Failure> {
        self.client.batch_execute(sql).await.map_err(|error| fail(&error))
    }

    /// Fills the empty database with jobs of these numbers, out of so many.
    pub(super) async fn fill(&self, first: i64, last: i64, of: i64) -> Result<(), Failure> {
        let sql = include_str!("month/fill_postgres.sql");
        self.client.execute(sql, &[&first, &last, &of]).await.map(drop).map_err(|error| fail(&error))
    }

    /// Asks something and throws the answer away.
    pub(super) async fn ask(&self, sql: &str) -> Result<(), Failure> {
        self.client.query(sql, &[]).await.map(drop).map_err(|error| fail(&error))
    }

    /// Transactions of this database so far, those of this connection included.
    pub(super) async fn transactions(&self) -> Result<i64, Failure> {
        // Backends report their counts with a delay; PostgreSQL 14 does not know how to be hurried, and need not be.
        let _ = self.run("SELECT pg_stat_force_next_flush()").await;
        let sql =
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()";
        let row = self.client.query_one(sql, &[]).await.map_err(|error| fail(&error))?;
        Ok(row.get(0))
    }

    pub(super) async fn counts(&self) -> Result<Counts, Failure> {
        let transactions = self.transactions().await?;
        let sql = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint,
                          (SELECT wal_fpi FROM pg_stat_wal),
                          sum(n_tup_upd + n_tup_del)::bigint, sum(n_tup_hot_upd)::bigint
                   FROM pg_stat_user_tables WHERE relname LIKE 'jobforge%'";
        let row = self.client.query_one(sql, &[]).await.map_err(|error| fail(&error))?;
        Ok(Counts {
            transactions,
            wal_bytes: row.get(0),
            full_pages: row.get(1),
            dead_rows: row.get(2),
            hot: row.get(3),
        })
    }

    /// CPU time of the server so far; `None` if it runs elsewhere or its administrator alone may know.
    pub(super) async fn cpu_time(&self) -> Option<Duration> {
        let sql = "SELECT inet_server_addr() IS NOT DISTINCT FROM inet_client_addr(),
                          split_part(pg_read_file('postmaster.pid'), E'\\n', 1)";
        let row = self.client.query_one(sql, &[]).await.ok()?;
        let is_here: bool = row.get(0);
        cpu_time_with_children(row.get::<_, &str>(1).parse().ok().filter(|_| is_here)?)
    }
}

fn fail(error: &tokio_postgres::Error) -> Failure {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Failure::new(failure::FAILED, format!("the measurement failed: {error}{cause}"))
}
