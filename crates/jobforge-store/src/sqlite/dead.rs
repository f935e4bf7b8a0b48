//! Dead letters by cause.

use jobforge_core::audit::{By, Deed};
use jobforge_core::dead::{DeadGroup, fingerprint, pattern};
use jobforge_core::job::{ErrorInfo, Job, JobId};
use jobforge_core::time::Now;
use rusqlite::{Row, params};
use serde_json::{Value, json};

use super::rows::{self, count, limit};
use super::tx::Tx;
use super::{audit, statements};
use crate::error::Result;
use crate::rows::{DeadFilter, MAX_GROUPS, MAX_PAGE, NAMING_STEP};

/// Finds dead jobs whose cause has no fingerprint, and makes it.
pub(super) fn find_unnamed(tx: &Tx<'_>) -> Result<Vec<(JobId, String)>> {
    tx.prepare(&statements::DEAD_UNNAMED)?.all([limit(NAMING_STEP)], |row| {
        let (id, job_type, error) = last(row)?;
        Ok((id, fingerprint(&job_type, &error)))
    })
}

/// Stores the fingerprints.
pub(super) fn name(tx: &Tx<'_>, named: &[(JobId, String)]) -> Result<u64> {
    let mut put = tx.prepare(&statements::DEAD_NAME)?;
    let mut done = 0;
    for (id, group) in named {
        done += put.execute(params![id.to_string(), group])?;
    }
    Ok(done as u64)
}

/// Id, type and error of a job; raw SQL may have left no error.
fn last(row: &Row<'_>) -> rusqlite::Result<(JobId, String, ErrorInfo)> {
    Ok((rows::id(row, 0)?, row.get(1)?, rows::maybe_error(row, 2)?.unwrap_or_else(ErrorInfo::none)))
}

/// The causes of the dead jobs that match, the most frequent first.
pub(super) fn groups(tx: &Tx<'_>, filter: &DeadFilter) -> Result<Vec<DeadGroup>> {
    let DeadFilter { tenant_id, queue, resolved, .. } = filter;
    let cap = filter.cap();
    let mut groups = Vec::new();
    for group in causes(tx, filter)? {
        let params = params![group, tenant_id, queue, resolved, cap.cast_signed()];
        let died = tx.prepare(&statements::DEAD_GROUP)?.one(params, |row| {
            Ok((row.get::<_, i64>(0)?, rows::maybe_at(row, 1)?, rows::maybe_at(row, 2)?))
        })?;
        let sample = tx.prepare(&statements::DEAD_SAMPLE)?.one(&params[..4], last)?;
        if let (Some((jobs, Some(first_at), Some(last_at))), Some((sample, job_type, error))) = (died, sample)
        {
            groups.push(DeadGroup {
                count: count(jobs),
                first_at,
                last_at,
                sample,
                job_type,
                pattern: pattern(&error.message),
                kind: error.kind,
                group,
            });
        }
    }
    groups.sort_by(|a, b| (b.count, b.last_at, &a.group).cmp(&(a.count, a.last_at, &b.group)));
    groups.truncate(MAX_GROUPS);
    Ok(groups)
}

/// The names of the causes that are asked for.
fn causes(tx: &Tx<'_>, filter: &DeadFilter) -> Result<Vec<String>> {
    if let Some(group) = &filter.group {
        return Ok(vec![group.clone()]);
    }
    let mut found = Vec::new();
    let mut next = String::new();
    while let Some(group) =
        tx.prepare(&statements::DEAD_CAUSES)?.one([&next], |row| row.get::<_, String>(0))?
    {
        // The latest death of a cause stands at the end of its part of the index.
        let latest = match filter.latest {
            Some(_) => tx
                .prepare(&statements::DEAD_GROUP)?
                .one(params![group, None::<&str>, None::<&str>, true, 1], |row| rows::maybe_at(row, 2))?
                .flatten(),
            None => None,
        };
        if latest >= filter.since() {
            found.push((latest, group.clone()));
        }
        next = group;
    }
    if let Some(most) = filter.causes() {
        found.sort_by_key(|(latest, _)| std::cmp::Reverse(*latest));
        found.truncate(most);
    }
    Ok(found.into_iter().map(|(_, group)| group).collect())
}

/// Dead jobs that match, newest first.
pub(super) fn jobs(tx: &Tx<'_>, filter: &DeadFilter, before: Option<JobId>, most: usize) -> Result<Vec<Job>> {
    let DeadFilter { group, tenant_id, job_type, queue, resolved, .. } = filter;
    let before = before.map(|id| id.to_string());
    let most = limit(most.min(MAX_PAGE));
    let list = match (group, tenant_id) {
        (Some(_), _) => &statements::DEAD_LIST_GROUP,
        (None, Some(_)) => &statements::DEAD_LIST_TENANT,
        (None, None) => &statements::DEAD_LIST,
    };
    tx.prepare(list)?.all(params![group, tenant_id, job_type, queue, resolved, before, most], rows::job)
}

/// Notes that dead jobs need not run any more.
pub(super) fn resolve(tx: &Tx<'_>, ids: &[JobId], by: &By, note: &str, at: Now) -> Result<Vec<JobId>> {
    let now = tx.now(at)?;
    let mut put = tx.prepare(&statements::DEAD_RESOLVE)?;
    let mut done = Vec::new();
    for id in ids {
        let tenant = put.one(params![id.to_string(), now, by.actor, note], |row| row.get::<_, String>(0))?;
        if let Some(tenant) = tenant {
            let deed = Deed::new("job.resolve", id.to_string()).of(tenant);
            audit::add(tx, by, &deed.changing(&Value::Null, &json!({ "note": note })), now)?;
            done.push(*id);
        }
    }
    Ok(done)
}
