//! Putting jobs in: all of a batch or none.

use jobforge_core::job::{NewJob, QueuedBecause, RunAt};
use jobforge_core::payload::Payload;
use jobforge_core::time::Now;
use rusqlite::params;

use super::rows::{Word, json, later, micros, millis};
use super::statements;
use super::tx::{Stmt, Tx};
use crate::error::{Result, StoreError};
use crate::rows::{Enqueued, WakeEvent};

/// Enqueues the jobs. One that conflicts fails the command, and with it the batch.
pub(super) fn enqueue<'t>(tx: &'t Tx<'t>, jobs: &'t [NewJob], at: Now) -> Result<Vec<Enqueued>> {
    let now = tx.now(at)?;
    let mut insert = tx.prepare(&statements::ENQUEUE)?;
    let mut list = Listing { tx, put: tx.prepare(&statements::LISTED_PUT)?, last: None };
    let mut answers = Vec::with_capacity(jobs.len());
    for job in jobs {
        if put(&mut insert, job, now)? {
            list.add(job)?;
            // Also for a job that must wait: who sleeps until the next due time has to learn of a new one.
            tx.wake(WakeEvent::Work { queue: job.queue.clone() });
            answers.push(Enqueued { id: job.id, created: true });
        } else {
            answers.push(existing(tx, job)?);
        }
    }
    Ok(answers)
}

fn put(insert: &mut Stmt<'_>, job: &NewJob, now: i64) -> Result<bool> {
    let run_at = match job.when {
        RunAt::Now => now,
        RunAt::After(delay) => later(now, delay),
        RunAt::At(moment) => micros(moment),
    };
    let tags = if job.tags.is_empty() { "[]".to_owned() } else { json(&job.tags) };
    let inserted = insert.execute(params![
        job.id.to_string(),
        job.tenant_id,
        job.job_type,
        job.payload.as_str(),
        job.queue,
        job.priority,
        run_at,
        run_at <= now,
        job.max_attempts,
        job.timeout.map(millis),
        job.idempotency_key,
        tags,
        job.traceparent,
        job.created_by,
        job.retry.as_ref().map(json),
        now,
        job.progress_timeout.map(millis),
    ])?;
    debug_assert_eq!(QueuedBecause::Enqueued.as_str(), "enqueued", "the column's default");
    Ok(inserted == 1)
}

/// Puts new jobs where lists find them.
struct Listing<'t> {
    tx: &'t Tx<'t>,
    put: Stmt<'t>,
    /// The kind of the job before: most batches are of one.
    last: Option<(&'t NewJob, i64)>,
}

impl<'t> Listing<'t> {
    fn add(&mut self, job: &'t NewJob) -> Result<()> {
        let same = |other: &NewJob| {
            (&other.tenant_id, &other.job_type, &other.queue) == (&job.tenant_id, &job.job_type, &job.queue)
        };
        let kind = match self.last {
            Some((other, kind)) if same(other) => kind,
            _ => self.kind(job)?,
        };
        self.last = Some((job, kind));
        let id = job.id.to_string();
        self.put.execute(params![kind, id])?;
        if !job.tags.is_empty() {
            let mut put = self.tx.prepare(&statements::TAGGED_PUT)?;
            for tag in &job.tags {
                put.execute(params![tag, id])?;
            }
        }
        Ok(())
    }

    fn kind(&self, job: &NewJob) -> Result<i64> {
        let its = params![job.tenant_id, job.job_type, job.queue];
        if let Some(kind) = self.tx.prepare(&statements::KIND)?.one(its, |row| row.get(0))? {
            return Ok(kind);
        }
        let made = self.tx.prepare(&statements::KIND_PUT)?.one(its, |row| row.get(0))?;
        made.ok_or_else(|| self.tx.failed("a new kind has no number"))
    }
}

/// Finds the job that stands in the way, and whether it is the same request sent again.
fn existing(tx: &Tx<'_>, job: &NewJob) -> Result<Enqueued> {
    if let Some(key) = &job.idempotency_key {
        let holder =
            tx.prepare(&statements::ENQUEUE_KEY)?.one(params![job.tenant_id, job.job_type, key], |row| {
                Ok((row.get::<_, Word<_>>(0)?.0, Payload::from_stored(row.get(1)?)))
            })?;
        if let Some((id, payload)) = holder {
            if payload.same_as(&job.payload) {
                return Ok(Enqueued { id, created: false });
            }
            let (key, job_type) = (key.clone(), job.job_type.clone());
            return Err(StoreError::IdempotencyConflict { key, job_type, existing: id });
        }
    }
    let same = tx.prepare(&statements::ENQUEUE_ID)?.one([job.id.to_string()], |row| {
        Ok(row.get_ref(0)?.as_str()? == job.tenant_id
            && row.get_ref(1)?.as_str()? == job.job_type
            && row.get_ref(3)?.as_str_or_null()? == job.idempotency_key.as_deref()
            && Payload::from_stored(row.get(2)?).same_as(&job.payload))
    })?;
    match same {
        Some(true) => Ok(Enqueued { id: job.id, created: false }),
        Some(false) => Err(StoreError::DuplicateId(job.id)),
        None => Err(tx.failed(format!("job {} was refused without a conflict", job.id))),
    }
}
