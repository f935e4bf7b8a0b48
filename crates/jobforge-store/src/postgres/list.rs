//! Lists of jobs: ids from the index that [`crate::list`] has chosen, then the jobs themselves.

use jobforge_core::job::{Job, JobId, WorkerId};
use jobforge_core::job_state::JobState;
use jobforge_core::payload_match::PayloadMatch;
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::PostgresStore;
use super::rows::{Json, job};
use super::session::{Sql, sql};
use crate::error::Result;
use crate::list::{Ask, FEW, Search, Source, fell, so_now};
use crate::rows::{JobFilter, JobPage, MAX_PAGE};
use crate::traits::Watchdog;

static NEWEST: Sql = sql!("job_ids", UUID, INT8);
static KINDS: Sql = sql!("job_ids_kinds", TEXT, TEXT, TEXT, UUID, INT8);
static TAG: Sql = sql!("job_ids_tag", TEXT, UUID, INT8);
static FALLEN: Sql = sql!("job_ids_fallen", TEXT_ARRAY, UUID, INT8);
static FALLEN_TENANT: Sql = sql!("job_ids_fallen_tenant", TEXT_ARRAY, TEXT, UUID, INT8);
static KEY: Sql = sql!("job_ids_key", TEXT, UUID, INT8);
static WORKER: Sql = sql!("job_ids_worker", TEXT, UUID, INT8);
static FEW_IDS: Sql = sql!("job_ids_few", TEXT_ARRAY, INT8);
static AMONG: Sql = sql!(
    "job_among",
    TEXT,
    TEXT_ARRAY,
    TEXT,
    TEXT,
    TEXT,
    TEXT,
    TEXT,
    UUID,
    INT8,
    UUID_ARRAY,
    TEXT,
    TEXT_ARRAY,
    JSONB_ARRAY,
    TEXT,
);
static READY: Sql = sql!("job_ids_ready", INT8);
static SCHEDULED: Sql = sql!("job_ids_scheduled", INT8);

impl PostgresStore {
    /// One page of the jobs that match.
    pub(super) async fn page(&self, filter: &JobFilter) -> Result<JobPage> {
        let mut search = Search::new(filter);
        let watch = self.slow.watch("job_page");
        while let Some(source) = search.few_of() {
            let few = self.few(source, &search).await?;
            search.know(few);
        }
        while let Some(ask) = search.ask(watch.took()) {
            let ids = self.ids(&search, ask).await?;
            let jobs = self.among(&search, &ids).await?;
            search.saw(ask, ids.len(), ids.last().copied().map(JobId), jobs);
        }
        Ok(search.page())
    }

    /// All ids of a source that holds few jobs, if it does.
    async fn few(&self, source: Source, search: &Search<'_>) -> Result<Option<Vec<JobId>>> {
        let filter = search.filter;
        let (most, at) = (i64::try_from(FEW + 1).unwrap_or(i64::MAX), Now::Database);
        let rows = match (source, filter.state) {
            (Source::Suspects, _) => {
                let page = self.suspects(&filter.rescue.fast, MAX_PAGE, at).await?;
                return Ok(Some(so_now(filter, &page).collect()));
            }
            (Source::Waiting, Some(JobState::Ready)) => self.query(at, &READY, &[&most]).await?,
            (Source::Waiting, _) => self.query(at, &SCHEDULED, &[&most]).await?,
            _ => self.query(at, &FEW_IDS, &[&words(&search.few_statuses()), &most]).await?,
        };
        Ok((rows.len() <= FEW).then(|| rows.iter().map(|row| JobId(row.get(0))).collect()))
    }

    async fn ids(&self, search: &Search<'_>, ask: Ask) -> Result<Vec<Uuid>> {
        if let Some(ids) = search.known(ask) {
            return Ok(ids.into_iter().map(|id| id.0).collect());
        }
        let JobFilter { tenant_id, job_type, queue, tag, idempotency_key, worker, .. } = search.filter;
        let (before, most) = (ask.before.map(|id| id.0), i64::try_from(ask.ids).unwrap_or(i64::MAX));
        let worker = worker.as_ref().map(WorkerId::as_str);
        let fallen: Vec<Status> = search.statuses().iter().copied().filter(|status| fell(*status)).collect();
        let statuses = words(&fallen);
        let at = Now::Database;
        let rows = match (search.source(), tenant_id) {
            (Source::Key, _) => self.query(at, &KEY, &[idempotency_key, &before, &most]).await?,
            (Source::Worker, _) => self.query(at, &WORKER, &[&worker, &before, &most]).await?,
            (Source::Tag, _) => self.query(at, &TAG, &[tag, &before, &most]).await?,
            (Source::Fallen | Source::Failures, None) => {
                self.query(at, &FALLEN, &[&statuses, &before, &most]).await?
            }
            (Source::Fallen | Source::Failures, Some(_)) => {
                self.query(at, &FALLEN_TENANT, &[&statuses, tenant_id, &before, &most]).await?
            }
            (Source::Kinds, _) => {
                self.query(at, &KINDS, &[tenant_id, job_type, queue, &before, &most]).await?
            }
            (Source::Suspects | Source::Waiting | Source::Few | Source::Newest, _) => {
                self.query(at, &NEWEST, &[&before, &most]).await?
            }
        };
        let walked = rows.iter().map(|row| JobId(row.get(0))).collect();
        Ok(search.with_few(ask, walked).into_iter().map(|id| id.0).collect())
    }

    /// The jobs among these that match, as many as the page still wants.
    async fn among(&self, search: &Search<'_>, ids: &[Uuid]) -> Result<Vec<Job>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let filter = search.filter;
        let statuses = (!search.statuses().is_empty()).then(|| words(search.statuses()));
        let worker = filter.worker.as_ref().map(WorkerId::as_str);
        let before = filter.before.map(|id| id.0);
        let most = i64::try_from(search.wanted()).unwrap_or(i64::MAX);
        let JobFilter { tenant_id, job_type, queue, tag, idempotency_key, .. } = filter;
        let state = filter.state.map(JobState::as_str);
        let path = filter.payload.as_ref().map(PayloadMatch::path);
        let values: Option<Vec<Json>> = filter
            .payload
            .as_ref()
            .map(|asked| asked.values().into_iter().map(|value| Json(value.as_str().to_owned())).collect());
        let asked: [&(dyn ToSql + Sync); 14] = [
            tenant_id,
            &statuses,
            job_type,
            queue,
            tag,
            idempotency_key,
            &worker,
            &before,
            &most,
            &ids,
            &state,
            &path,
            &values,
            &filter.error,
        ];
        let rows = self.query(Now::Database, &AMONG, &asked).await?;
        rows.iter().map(job).collect::<std::result::Result<_, _>>().map_err(|error| self.fault("jobs", error))
    }
}

fn words(statuses: &[Status]) -> Vec<&'static str> {
    statuses.iter().copied().map(Status::as_str).collect()
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&NEWEST, &KINDS, &TAG, &FALLEN, &FALLEN_TENANT, &KEY, &WORKER, &FEW_IDS, &READY, &SCHEDULED, &AMONG]
}
