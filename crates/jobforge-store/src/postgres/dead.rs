//! Dead letters by cause.

use async_trait::async_trait;
use jobforge_core::audit::By;
use jobforge_core::dead::{DeadGroup, fingerprint, pattern};
use jobforge_core::job::{ErrorInfo, Job, JobId};
use jobforge_core::time::Now;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::rows::{Json, error_info, job};
use super::session::{Sql, sql};
use crate::error::Result;
use crate::rows::{DeadFilter, MAX_GROUPS, MAX_PAGE, NAMING_STEP};
use crate::traits::DeadLetters;

static UNNAMED: Sql = sql!("dead_unnamed", INT8);
static NAME: Sql = sql!("dead_name", UUID_ARRAY, TEXT_ARRAY);
static GROUPS: Sql = sql!(each_time "dead_groups", TEXT, TEXT, BOOL, INT8, INT8, TEXT, TIMESTAMPTZ, INT8);
static JOBS: Sql = sql!(each_time "dead_jobs", TEXT, TEXT, TEXT, TEXT, BOOL, UUID, INT8);
static RESOLVE: Sql = sql!("dead_resolve", UUID_ARRAY, JSONB, TEXT);

#[async_trait]
impl DeadLetters for PostgresStore {
    async fn name_causes(&self) -> Result<u64> {
        let step = i64::try_from(NAMING_STEP).unwrap_or(i64::MAX);
        let rows = self.query(Now::Database, &UNNAMED, &[&step]).await?;
        let name = |row: &Row| {
            let error = cause(row.try_get::<_, Option<Json>>(2)?.as_ref());
            Ok((row.try_get::<_, Uuid>(0)?, fingerprint(row.try_get(1)?, &error)))
        };
        let named = rows.iter().map(name).collect::<std::result::Result<Vec<_>, _>>();
        let (ids, names): (Vec<Uuid>, Vec<String>) =
            named.map_err(|error| self.fault("name_causes", error))?.into_iter().unzip();
        if !ids.is_empty() {
            self.query(Now::Database, &NAME, &[&ids, &names]).await?;
        }
        Ok(ids.len() as u64)
    }

    async fn dead_groups(&self, filter: &DeadFilter) -> Result<Vec<DeadGroup>> {
        let most = i64::try_from(MAX_GROUPS).unwrap_or(i64::MAX);
        let latest = filter.causes().map(|causes| i64::try_from(causes).unwrap_or(i64::MAX));
        let (cap, since) = (filter.cap().cast_signed(), filter.since());
        let DeadFilter { group: only, tenant_id, queue, resolved, .. } = filter;
        let params: &[&(dyn tokio_postgres::types::ToSql + Sync)] =
            &[tenant_id, queue, resolved, &cap, &most, only, &since, &latest];
        let rows = self.query(Now::Database, &GROUPS, params).await?;
        rows.iter()
            .map(group)
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| self.fault("dead_groups", error))
    }

    async fn dead_jobs(&self, filter: &DeadFilter, before: Option<JobId>, limit: usize) -> Result<Vec<Job>> {
        let before = before.map(|id| id.0);
        let limit = i64::try_from(limit.min(MAX_PAGE)).unwrap_or(1);
        let DeadFilter { group, tenant_id, job_type, queue, resolved, .. } = filter;
        let rows = self
            .query(Now::Database, &JOBS, &[group, tenant_id, job_type, queue, resolved, &before, &limit])
            .await?;
        rows.iter()
            .map(job)
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| self.fault("dead_jobs", error))
    }

    async fn resolve_dead(&self, ids: &[JobId], by: &By, note: &str, at: Now) -> Result<Vec<JobId>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows = self.query(at, &RESOLVE, &[&ids, &Json::of(by), &note]).await?;
        Ok(rows.iter().map(|row| JobId(row.get(0))).collect())
    }
}

/// What a job died of; raw SQL may have left nothing.
fn cause(stored: Option<&Json>) -> ErrorInfo {
    stored.map_or_else(ErrorInfo::none, error_info)
}

fn group(row: &Row) -> std::result::Result<DeadGroup, tokio_postgres::Error> {
    let error = cause(row.try_get::<_, Option<Json>>(6)?.as_ref());
    Ok(DeadGroup {
        group: row.try_get(0)?,
        count: row.try_get::<_, i64>(1)?.unsigned_abs(),
        first_at: row.try_get(2)?,
        last_at: row.try_get(3)?,
        sample: JobId(row.try_get(4)?),
        job_type: row.try_get(5)?,
        pattern: pattern(&error.message),
        kind: error.kind,
    })
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&UNNAMED, &NAME, &GROUPS, &JOBS, &RESOLVE]
}
