//! Lists of jobs: ids from the index that [`crate::list`] has chosen, then the jobs themselves.

use jobforge_core::job::{Job, JobId, WorkerId};
use jobforge_core::job_state::JobState;
use jobforge_core::state::Status;
use jobforge_core::time::Now;
use rusqlite::{Row, params};

use super::rescue;
use super::rows::{self, limit};
use super::statements::{self, Sql};
use super::tx::Tx;
use crate::error::Result;
use crate::list::{Ask, FEW, Search, Source, fell, so_now};
use crate::rows::{JobFilter, JobPage, MAX_PAGE};

/// One page of the jobs that match.
pub(super) fn page(tx: &Tx<'_>, filter: &JobFilter) -> Result<JobPage> {
    let mut search = Search::new(filter);
    let watch = tx.home().slow.watch("job_page");
    while let Some(source) = search.few_of() {
        let few = few(tx, source, &search)?;
        search.know(few);
    }
    while let Some(ask) = search.ask(watch.took()) {
        let ids = match search.known(ask) {
            Some(ids) => ids,
            None => search.with_few(ask, parsed(&ids(tx, &search, ask)?)),
        };
        let jobs = among(tx, &search, &ids)?;
        search.saw(ask, ids.len(), ids.last().copied(), jobs);
    }
    Ok(search.page())
}

fn parsed(ids: &[String]) -> Vec<JobId> {
    ids.iter().filter_map(|id| id.parse().ok()).collect()
}

/// All ids of a source that holds few jobs, if it does.
fn few(tx: &Tx<'_>, source: Source, search: &Search<'_>) -> Result<Option<Vec<JobId>>> {
    let filter = search.filter;
    if source == Source::Suspects {
        let page = rescue::suspects(tx, &filter.rescue.fast, MAX_PAGE, Now::Database)?;
        return Ok(Some(so_now(filter, &page).collect()));
    }
    let most = limit(FEW + 1);
    if source == Source::Waiting {
        let sql = match filter.state {
            Some(JobState::Ready) => &statements::FEW_READY,
            _ => &statements::FEW_SCHEDULED,
        };
        let ids: Vec<String> =
            tx.prepare(sql)?.all(params![tx.now(Now::Database)?, most], |row| row.get(0))?;
        return Ok((ids.len() <= FEW).then(|| parsed(&ids)));
    }
    let mut ids: Vec<String> = Vec::new();
    for status in search.few_statuses() {
        ids.extend(match status {
            Status::Queued => tx.prepare(&statements::FEW_QUEUED)?.all([most], |row| row.get(0))?,
            Status::Running => tx.prepare(&statements::FEW_RUNNING)?.all([most], |row| row.get(0))?,
            Status::Succeeded | Status::Failed | Status::Dead | Status::Canceled => {
                tx.prepare(&statements::FEW_ENDED)?.all(params![status.as_str(), most], |row| row.get(0))?
            }
        });
    }
    Ok((ids.len() <= FEW).then(|| parsed(&ids)))
}

/// The next ids of the source, newest first.
fn ids(tx: &Tx<'_>, search: &Search<'_>, ask: Ask) -> Result<Vec<String>> {
    let filter = search.filter;
    let (before, most) = (ask.before.map(|id| id.to_string()), limit(ask.ids));
    let keyed = |sql: &'static Sql, key: Option<&str>| {
        tx.prepare(sql)?.all(params![key, before, most], |row| row.get::<_, String>(0))
    };
    match search.source() {
        Source::Key => keyed(&statements::JOB_IDS_KEY, filter.idempotency_key.as_deref()),
        Source::Worker => keyed(&statements::JOB_IDS_WORKER, filter.worker.as_ref().map(WorkerId::as_str)),
        Source::Tag => keyed(&statements::JOB_IDS_TAG, filter.tag.as_deref()),
        Source::Fallen | Source::Failures => {
            let mut statuses: Vec<Status> =
                search.statuses().iter().copied().filter(|status| fell(*status)).collect();
            statuses.sort_unstable();
            statuses.dedup();
            let mut found = Vec::new();
            for status in statuses {
                found.extend(match &filter.tenant_id {
                    None => keyed(&statements::JOB_IDS_FALLEN, Some(status.as_str()))?,
                    Some(tenant) => tx
                        .prepare(&statements::JOB_IDS_FALLEN_TENANT)?
                        .all(params![status.as_str(), before, most, tenant], |row| row.get(0))?,
                });
            }
            Ok(newest(found, ask.ids))
        }
        Source::Kinds => {
            let asked = params![filter.tenant_id, filter.job_type, filter.queue, before, most];
            let mut found = Vec::new();
            for kind in tx.prepare(&statements::JOB_KINDS)?.all(asked, |row| row.get::<_, i64>(0))? {
                let ids = tx.prepare(&statements::JOB_IDS_KIND)?;
                found.extend({ ids }.all(params![kind, before, most], |row| row.get::<_, String>(0))?);
            }
            Ok(newest(found, ask.ids))
        }
        Source::Suspects | Source::Waiting | Source::Few | Source::Newest => {
            tx.prepare(&statements::JOB_IDS)?.all(params![before, most], |row| row.get(0))
        }
    }
}

fn newest(mut ids: Vec<String>, most: usize) -> Vec<String> {
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.truncate(most);
    ids
}

/// The jobs among these that match, as many as the page still wants.
fn among(tx: &Tx<'_>, search: &Search<'_>, ids: &[JobId]) -> Result<Vec<Job>> {
    let filter = search.filter;
    let statuses = (!search.statuses().is_empty()).then(|| rows::json(search.statuses()));
    let asked = filter.payload.as_ref().map(|asked| (asked, asked.values()));
    let most = search.wanted();
    let mut found = 0;
    // Payloads are looked into where they lie, and only of jobs that match the rest: SQLite's own paths read no escapes.
    let read = |row: &Row<'_>| {
        let payload = row.get_ref("payload")?.as_str().unwrap_or_default();
        if found == most || asked.as_ref().is_some_and(|(asked, values)| !asked.holds(payload, values)) {
            return Ok(None);
        }
        found += 1;
        rows::job(row).map(Some)
    };
    let jobs = tx.prepare(&statements::JOBS_AMONG)?.all(
        params![
            filter.tenant_id,
            statuses,
            filter.job_type,
            filter.queue,
            filter.tag,
            filter.idempotency_key,
            filter.worker.as_ref().map(WorkerId::as_str),
            filter.before.map(|id| id.to_string()),
            limit(if asked.is_some() { ids.len() } else { most }),
            rows::json(ids),
            filter.state.map(JobState::as_str),
            tx.now(Now::Database)?,
            filter.error,
        ],
        read,
    )?;
    Ok(jobs.into_iter().flatten().collect())
}
