//! What is recorded of attempts that fell silent.

use jiff::Timestamp;
use jobforge_core::job::{JobId, Lease, WorkerId};
use jobforge_core::time::Now;
use jobforge_core::what_if::{Record, Trace};
use tokio_postgres::Row;

use super::PostgresStore;
use super::rows::{Json, count, error_info, heard};
use super::session::{Params, Sql, sql};
use crate::error::Result;
use crate::traits::Inspect as _;

static ATTEMPTS: Sql = sql!("silent_attempts", TIMESTAMPTZ, INT8);
static ENDED: Sql = sql!("silent_ended", TIMESTAMPTZ, INT8);
static RUNNING: Sql = sql!("silent_running", INT8);

impl PostgresStore {
    /// Reads it, at most so many of each kind.
    pub(super) async fn read_silent(&self, since: Timestamp, most: usize, at: Now) -> Result<Record> {
        let ask = i64::try_from(most.saturating_add(1)).unwrap_or(i64::MAX);
        let as_of = match at {
            Now::Fixed(moment) => moment,
            Now::Database => self.now().await?,
        };
        let mut record = Record { as_of, traces: Vec::new(), cut: false };
        let kinds: [(&Sql, Params<'_>); 3] =
            [(&ATTEMPTS, &[&since, &ask]), (&ENDED, &[&since, &ask]), (&RUNNING, &[&ask])];
        for (sql, params) in kinds {
            let rows = self.query(at, sql, params).await?;
            let traces = rows.iter().map(trace).collect::<std::result::Result<_, _>>();
            record.add(traces.map_err(|error| self.fault("silent_attempts", error))?, most);
        }
        Ok(record)
    }
}

fn trace(row: &Row) -> std::result::Result<Trace, tokio_postgres::Error> {
    Ok(Trace {
        job: JobId(row.try_get(0)?),
        tenant_id: row.try_get(1)?,
        job_type: row.try_get(2)?,
        queue: row.try_get(3)?,
        attempt: count(row.try_get(4)?),
        lease: Lease(row.try_get(5)?),
        worker: row.try_get::<_, Option<String>>(6)?.map(WorkerId),
        outcome: row.try_get(7)?,
        cause: row.try_get::<_, Option<Json>>(8)?.map(|error| error_info(&error).kind),
        finished_at: row.try_get(9)?,
        heartbeat_at: row.try_get(10)?,
        refused: count(row.try_get(11)?),
        heard: heard(row)?,
    })
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&ATTEMPTS, &ENDED, &RUNNING]
}
