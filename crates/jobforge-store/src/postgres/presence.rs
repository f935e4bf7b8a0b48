//! The connection that a worker holds while it lives, and who holds one.
//!
//! A session lock on a direct connection: the server frees it within milliseconds when the process dies, and within
//! seconds when the network does, for both ends are told to ask often. It says that a worker may be gone, never that it is.
//! Behind a transaction pooler the lock would stay with a connection of the pooler, so there nobody holds one.

use std::collections::BTreeSet;
use std::time::Duration;

use jobforge_core::job::WorkerId;
use jobforge_core::time::Now;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::PostgresStore;
use super::connect::Direct;
use super::session::{Sql, map_error, sql};
use super::wake::Driver;
use crate::error::{Result, StoreError};
use crate::traits::Attendance;

static ATTENDING: Sql = sql!("attending", INT8);
static SUSPECT: Sql = sql!("worker_suspect", TEXT_ARRAY);

/// The first key of our session locks: "JFPR".
const LOCKS: i32 = 0x4a46_5052;
/// First and longest wait before a lost connection is opened again.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// What makes the server notice soon that the worker is gone; what it does not know it may do without.
const ASK_OFTEN: [&str; 5] = [
    "SET tcp_keepalives_idle = 5",
    "SET tcp_keepalives_interval = 1",
    "SET tcp_keepalives_count = 3",
    "SET tcp_user_timeout = 8000",
    "SET client_connection_check_interval = 1000",
];

impl PostgresStore {
    pub(super) fn hold_connection(&self, worker: &WorkerId) -> Option<Attendance> {
        let number = number(worker)?;
        let direct = self.direct.clone();
        direct.available.then(|| Attendance::of(tokio::spawn(hold(direct, number))))
    }

    pub(super) async fn who_attends(&self) -> Result<Option<BTreeSet<WorkerId>>> {
        let rows = self.query(Now::Database, &ATTENDING, &[&i64::from(LOCKS)]).await?;
        let ids = rows.iter().map(|row| Ok(WorkerId(row.try_get(0)?))).collect::<std::result::Result<_, _>>();
        ids.map(Some).map_err(|error| self.fault("attending", error))
    }

    pub(super) async fn suspect(&self, workers: &[WorkerId], at: Now) -> Result<Vec<WorkerId>> {
        let ids: Vec<&str> = workers.iter().map(WorkerId::as_str).collect();
        let rows = self.query(at, &SUSPECT, &[&ids]).await?;
        let ids = rows.iter().map(|row| Ok(WorkerId(row.try_get(0)?))).collect::<std::result::Result<_, _>>();
        ids.map_err(|error| self.fault("worker_suspect", error))
    }
}

/// The second key: the eight hex digits of a worker's name.
fn number(worker: &WorkerId) -> Option<i32> {
    let digits = worker.as_str().strip_prefix("worker-").filter(|digits| digits.len() == 8)?;
    u32::from_str_radix(digits, 16).ok().map(u32::cast_signed)
}

/// Holds the lock until the task is dropped, on one connection after another.
async fn hold(direct: Direct, number: i32) {
    let mut wait = RECONNECT.0;
    loop {
        match hold_once(&direct, number, &mut wait).await {
            Ok(true) => {}
            Ok(false) => {
                let location = &direct.location;
                return tracing::warn!(%location, "presence: unavailable (pooler); set DATABASE_DIRECT_URL to a way around it");
            }
            Err(error) => {
                tracing::debug!(error = error.chain(), "the connection that tells of this worker is lost");
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RECONNECT.1);
    }
}

/// Ends when the connection does; false if it leads through a pooler.
async fn hold_once(direct: &Direct, number: i32, wait: &mut Duration) -> Result<bool> {
    let fault = |error| map_error(&direct.location, "presence", error);
    let (client, driver) = direct.open().await?;
    let session = AbortOnDrop(tokio::spawn(driver.run_silent()));
    for setting in ASK_OFTEN {
        // A server that does not know it answers with an error, and the session goes on.
        let _ = client.batch_execute(setting).await;
    }
    if !is_a_session(&client, direct).await? {
        return Ok(false);
    }
    // The connection before may not be known to have ended yet; then the next one tries again.
    let keys: [(&(dyn ToSql + Sync), Type); 2] = [(&LOCKS, Type::INT4), (&number, Type::INT4)];
    let locked = client.query_typed("SELECT pg_try_advisory_lock($1, $2)", &keys).await.map_err(fault)?;
    if locked.first().is_some_and(|row| row.get(0)) {
        *wait = RECONNECT.0;
        session.ended().await;
    }
    Ok(true)
}

/// Whether the connection is one process of the server, as nothing but a direct one is: a transaction pooler gives the
/// same process to another client as soon as it is idle.
pub(super) async fn is_a_session(client: &Client, direct: &Direct) -> Result<bool> {
    let fault = |error| map_error(&direct.location, "presence", error);
    let pid = async |client: &Client| {
        let rows = client.query_typed("SELECT pg_backend_pid()", &[]).await.map_err(fault)?;
        Ok::<_, StoreError>(rows.first().map(|row| row.get::<_, i32>(0)))
    };
    let mine = pid(client).await?;
    let (other, driver): (Client, Driver) = direct.open().await?;
    let _session = AbortOnDrop(tokio::spawn(driver.run_silent()));
    other.batch_execute("BEGIN").await.map_err(fault)?;
    let others = pid(&other).await?;
    Ok(mine != others && mine == pid(client).await?)
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl AbortOnDrop {
    async fn ended(mut self) {
        // Whether it ended or broke is the same here.
        let _ = (&mut self.0).await;
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&ATTENDING, &SUSPECT]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_of_a_worker_is_its_number() {
        let number = |id: &str| number(&WorkerId(id.to_owned()));
        assert_eq!(number("worker-0000002a"), Some(42));
        assert_eq!(number("worker-ffffffff"), Some(-1));
        assert_eq!((number("worker-12"), number("other")), (None, None));
    }
}
