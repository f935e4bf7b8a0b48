//! What is in the queues, without counting a big table.

use std::collections::BTreeMap;

use jobforge_core::state::Status;
use jobforge_core::time::Now;
use rusqlite::params;

use super::rows::{self, count};
use super::statements;
use super::tx::Tx;
use crate::error::Result;
use crate::rows::QueueInfo;

/// Every queue that has jobs, is paused or is served, by name.
pub(super) fn queues(tx: &Tx<'_>, cap: u64, at: Now) -> Result<Vec<QueueInfo>> {
    let now = tx.now(at)?;
    let mut queues = Queues::default();
    let most = cap.cast_signed();

    let ready = tx.prepare(&statements::QUEUES_READY)?.all(params![now, most], |row| {
        Ok((row.get::<_, String>(0)?, row.get(1)?, rows::maybe_at(row, 2)?))
    })?;
    for (name, number, oldest) in ready {
        let queue = queues.named(name);
        queue.ready = count(number);
        queue.oldest_ready_at = if queue.ready > 0 { oldest } else { None };
    }
    // Jobs whose time has come since the last claim count as ready, though no claim has marked them yet.
    let scheduled = tx.prepare(&statements::QUEUES_SCHEDULED)?.all(params![now, most], |row| {
        Ok((row.get::<_, String>(0)?, row.get(1)?, rows::maybe_at(row, 2)?, row.get(3)?))
    })?;
    for (name, due, oldest, waiting) in scheduled {
        let queue = queues.named(name);
        queue.ready = (queue.ready + count(due)).min(cap);
        queue.scheduled = count(waiting);
        queue.oldest_ready_at = queue.oldest_ready_at.into_iter().chain(oldest).min();
    }
    let running = tx
        .prepare(&statements::QUEUES_RUNNING)?
        .all([most], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    for (name, number) in running {
        queues.named(name).running = count(number);
    }
    let paused = tx
        .prepare(&statements::QUEUES_PAUSED)?
        .all([], |row| Ok((row.get::<_, String>(0)?, rows::at(row, 1)?)))?;
    for (name, at) in paused {
        queues.named(name).paused_at = Some(at);
    }
    for name in tx.prepare(&statements::QUEUES_SERVED)?.all([], |row| row.get::<_, String>(0))? {
        queues.named(name);
    }
    Ok(queues.by_name.into_values().collect())
}

#[derive(Default)]
struct Queues {
    by_name: BTreeMap<String, QueueInfo>,
}

impl Queues {
    fn named(&mut self, name: String) -> &mut QueueInfo {
        let empty = QueueInfo {
            name: name.clone(),
            ready: 0,
            scheduled: 0,
            running: 0,
            oldest_ready_at: None,
            paused_at: None,
        };
        self.by_name.entry(name).or_insert(empty)
    }
}

/// How many jobs wait, run, or ended since a moment.
pub(super) fn status_counts(
    tx: &Tx<'_>,
    cap: u64,
    tenant_id: Option<&str>,
    since: jiff::Timestamp,
) -> Result<Vec<(Status, u64)>> {
    let cap = cap.cast_signed();
    let open = tx
        .prepare(&statements::STATUS_COUNT_OPEN)?
        .one(params![tenant_id, cap], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    let (queued, running) = open.unwrap_or_default();
    let mut counts = vec![(Status::Queued, rows::count(queued)), (Status::Running, rows::count(running))];
    let mut count = tx.prepare(&statements::STATUS_COUNT)?;
    for status in [Status::Succeeded, Status::Failed, Status::Dead, Status::Canceled] {
        let ended =
            count.one(params![tenant_id, rows::micros(since), cap, status.as_str()], |row| row.get(0))?;
        counts.push((status, rows::count(ended.unwrap_or(0))));
    }
    counts.retain(|(status, count)| *count > 0 || !status.is_terminal());
    Ok(counts)
}
