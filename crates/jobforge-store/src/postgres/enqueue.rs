//! Putting jobs in: by COPY when there are many without keys, else by one INSERT from arrays.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use jobforge_core::job::{JobId, NewJob, RunAt};
use jobforge_core::payload::Payload;
use jobforge_core::time::Now;
use tokio_postgres::{GenericClient, Statement, Transaction, error::SqlState};

use super::PostgresStore;
use super::rows::{Json, millis};
use super::session::{self, Attempted, Sql, sql};
use crate::error::{Result, StoreError};
use crate::meter;
use crate::rows::Enqueued;
use crate::traits::Enqueue;

/// From this many jobs on, COPY is faster than an INSERT from arrays.
const COPY_FROM: usize = 500;
/// Jobs per INSERT, so that one statement stays within tens of milliseconds.
const INSERT_CHUNK: usize = 5000;
/// Bytes gathered before they are sent to a COPY.
const COPY_BUFFER: usize = 64 * 1024;
/// How often a call is tried against concurrent ones, including deletions of the job that had the key.
const TRIES: u32 = 4;

static INSERT: Sql = sql!(
    "enqueue",
    UUID_ARRAY,
    TEXT_ARRAY,
    TEXT_ARRAY,
    JSONB_ARRAY,
    TEXT_ARRAY,
    INT2_ARRAY,
    TIMESTAMPTZ_ARRAY,
    INT8_ARRAY,
    INT4_ARRAY,
    INT8_ARRAY,
    TEXT_ARRAY,
    JSONB_ARRAY,
    TEXT_ARRAY,
    TEXT_ARRAY,
    JSONB_ARRAY,
    INT8_ARRAY,
);
static ROW_SECURITY: Sql = sql!("row_security");
static EXISTING: Sql = sql!("enqueue_existing", UUID_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY);

const COPY: &str = "COPY jobforge_jobs (id, tenant_id, type, payload, queue, priority, max_attempts, timeout_ms, \
                    progress_timeout_ms, tags, traceparent, created_by, retry) FROM STDIN";

#[async_trait]
impl Enqueue for PostgresStore {
    async fn enqueue(&self, jobs: &[NewJob], at: Now) -> Result<Vec<Enqueued>> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        // COPY is sent as a named statement, which a transaction pooler may look for on another connection and never find.
        let mut copy =
            !self.pooled && at == Now::Database && jobs.len() >= COPY_FROM && jobs.iter().all(is_plain);
        let mut tries = 0;
        loop {
            tries += 1;
            // Row security, which owners are free of, does not go with COPY; asking is cheap beside so many jobs.
            copy = copy && !self.is_under_row_security(at).await?;
            let outcome = if copy { self.copy(jobs).await } else { self.insert(jobs, at).await };
            match outcome {
                Ok(done) => {
                    meter::enqueued(jobs, &done);
                    return Ok(done);
                }
                // An id exists already, as after an answer that was lost: the INSERT tells which.
                Err(Attempted::Conflict(_)) if copy => copy = false,
                Err(Attempted::Conflict(_)) if tries < TRIES => {}
                Err(Attempted::Conflict(error) | Attempted::Final(error)) => return Err(error),
            }
        }
    }
}

/// Enqueues within the caller's own transaction: the jobs exist if and only if it commits.
///
/// # Errors
/// As `Enqueue::enqueue`. After an error from the database the transaction is aborted, as always in PostgreSQL.
pub async fn enqueue_in(transaction: &Transaction<'_>, jobs: &[NewJob]) -> Result<Vec<Enqueued>> {
    let mut done = Vec::with_capacity(jobs.len());
    for chunk in jobs.chunks(INSERT_CHUNK) {
        let inserted = insert_chunk(transaction, None, None, chunk).await;
        done.extend(inserted.map_err(|fault| fault.into_store_error("the caller's transaction"))?);
    }
    // Whether the caller commits is not known here.
    meter::enqueued(jobs, &done);
    Ok(done)
}

/// Whether a job fits the COPY: due at once and without a key.
fn is_plain(job: &NewJob) -> bool {
    job.when == RunAt::Now && job.idempotency_key.is_none()
}

impl PostgresStore {
    async fn insert(&self, jobs: &[NewJob], at: Now) -> std::result::Result<Vec<Enqueued>, Attempted> {
        let mut client = self.client("enqueue").await.map_err(Attempted::Final)?;
        let watch = self.slow.watch("enqueue");
        let fault = |error| self.attempted("enqueue", error);
        let insert = self.prepare(&client, &INSERT).await.map_err(fault)?;
        let existing = self.prepare(&client, &EXISTING).await.map_err(fault)?;
        // A single job without a key cannot be half done, so it needs no transaction around it.
        let done = if at == Now::Database && jobs.len() == 1 && jobs[0].idempotency_key.is_none() {
            insert_chunk(&**client, insert.as_ref(), existing.as_ref(), jobs)
                .await
                .map_err(|f| f.attempted(self))?
        } else {
            let transaction = client.transaction().await.map_err(fault)?;
            session::fix_clock(&*transaction, at).await.map_err(fault)?;
            let mut done = Vec::with_capacity(jobs.len());
            for chunk in jobs.chunks(INSERT_CHUNK) {
                let chunk = insert_chunk(&*transaction, insert.as_ref(), existing.as_ref(), chunk).await;
                done.extend(chunk.map_err(|f| f.attempted(self))?);
            }
            transaction.commit().await.map_err(fault)?;
            done
        };
        watch.done();
        Ok(done)
    }

    async fn is_under_row_security(&self, at: Now) -> Result<bool> {
        let rows = self.query(at, &ROW_SECURITY, &[]).await?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }

    async fn copy(&self, jobs: &[NewJob]) -> std::result::Result<Vec<Enqueued>, Attempted> {
        let client = self.client("enqueue").await.map_err(Attempted::Final)?;
        let watch = self.slow.watch("enqueue_copy");
        let fault = |error: tokio_postgres::Error| {
            let taken = error.code() == Some(&SqlState::UNIQUE_VIOLATION);
            let error = self.fault("enqueue", error);
            if taken { Attempted::Conflict(error) } else { Attempted::Final(error) }
        };
        let sink = client.copy_in::<_, Bytes>(COPY).await.map_err(fault)?;
        tokio::pin!(sink);
        let mut buffer = BytesMut::with_capacity(COPY_BUFFER + 4096);
        for job in jobs {
            copy_line(&mut buffer, job);
            if buffer.len() >= COPY_BUFFER {
                sink.send(buffer.split().freeze()).await.map_err(fault)?;
            }
        }
        sink.send(buffer.freeze()).await.map_err(fault)?;
        sink.as_mut().finish().await.map_err(fault)?;
        watch.done();
        Ok(jobs.iter().map(|job| Enqueued { id: job.id, created: true }).collect())
    }
}

/// Writes one line of COPY's text format.
fn copy_line(out: &mut BytesMut, job: &NewJob) {
    use std::fmt::Write as _;
    // Writing to a buffer in memory cannot fail.
    let _ = write!(out, "{}\t", job.id);
    copy_text(out, &job.tenant_id, b'\t');
    copy_text(out, &job.job_type, b'\t');
    copy_text(out, job.payload.as_str(), b'\t');
    copy_text(out, &job.queue, b'\t');
    let _ = write!(out, "{}\t{}\t", job.priority, job.max_attempts);
    for bound in [job.timeout, job.progress_timeout] {
        copy_option(out, bound.map(|bound| millis(bound).to_string()).as_deref(), b'\t');
    }
    copy_option(out, (!job.tags.is_empty()).then(|| array_literal(&job.tags)).as_deref(), b'\t');
    copy_option(out, job.traceparent.as_deref(), b'\t');
    copy_option(out, job.created_by.as_deref(), b'\t');
    copy_option(out, job.retry.map(|policy| Json::of(&policy).0).as_deref(), b'\n');
}

fn copy_option(out: &mut BytesMut, text: Option<&str>, end: u8) {
    match text {
        Some(text) => copy_text(out, text, end),
        None => out.extend_from_slice(&[b'\\', b'N', end]),
    }
}

/// Escapes as COPY's text format wants: https://www.postgresql.org/docs/current/sql-copy.html
fn copy_text(out: &mut BytesMut, text: &str, end: u8) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\\' | b'\n' | b'\r' | b'\t')) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(match rest[at] {
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[end]);
}

/// A text[] in its input syntax, every element quoted.
fn array_literal(items: &[String]) -> String {
    let quoted: Vec<String> =
        items.iter().map(|item| format!("\"{}\"", item.replace('\\', "\\\\").replace('"', "\\\""))).collect();
    format!("{{{}}}", quoted.join(","))
}

/// Why a chunk was not inserted.
pub(super) enum Fault {
    Database(tokio_postgres::Error),
    Refused(StoreError),
    /// The job that had the key vanished between two statements.
    Vanished,
}

impl Fault {
    pub(super) fn attempted(self, store: &PostgresStore) -> Attempted {
        match self {
            Self::Database(error) => store.attempted("enqueue", error),
            Self::Refused(error) => Attempted::Final(error),
            Self::Vanished => Attempted::Conflict(vanished(&store.location)),
        }
    }

    fn into_store_error(self, location: &str) -> StoreError {
        match self {
            Self::Database(error) => session::map_error(location, "enqueue", error),
            Self::Refused(error) => error,
            Self::Vanished => vanished(location),
        }
    }
}

fn vanished(location: &str) -> StoreError {
    let source = "the job that had the idempotency key was deleted meanwhile".into();
    StoreError::Interrupted { location: location.to_owned(), call: "enqueue", source }
}

pub(super) async fn insert_chunk<C: GenericClient + Sync>(
    client: &C,
    insert: Option<&Statement>,
    existing: Option<&Statement>,
    jobs: &[NewJob],
) -> std::result::Result<Vec<Enqueued>, Fault> {
    let ids: Vec<uuid::Uuid> = jobs.iter().map(|job| job.id.0).collect();
    let tenants: Vec<&str> = jobs.iter().map(|job| job.tenant_id.as_str()).collect();
    let types: Vec<&str> = jobs.iter().map(|job| job.job_type.as_str()).collect();
    let payloads: Vec<Json> = jobs.iter().map(|job| Json(job.payload.as_str().to_owned())).collect();
    let queues: Vec<&str> = jobs.iter().map(|job| job.queue.as_str()).collect();
    let priorities: Vec<i16> = jobs.iter().map(|job| job.priority).collect();
    let (run_at, delays): (Vec<Option<jiff::Timestamp>>, Vec<i64>) = jobs
        .iter()
        .map(|job| match job.when {
            RunAt::Now => (None, 0),
            RunAt::After(delay) => (None, millis(delay)),
            RunAt::At(moment) => (Some(moment), 0),
        })
        .unzip();
    let max_attempts: Vec<i32> =
        jobs.iter().map(|job| i32::try_from(job.max_attempts).unwrap_or(i32::MAX)).collect();
    let timeouts: Vec<Option<i64>> = jobs.iter().map(|job| job.timeout.map(millis)).collect();
    let progress_timeouts: Vec<Option<i64>> =
        jobs.iter().map(|job| job.progress_timeout.map(millis)).collect();
    let keys: Vec<Option<&str>> = jobs.iter().map(|job| job.idempotency_key.as_deref()).collect();
    let tags: Vec<Option<Json>> =
        jobs.iter().map(|job| (!job.tags.is_empty()).then(|| Json::of(&job.tags))).collect();
    let traces: Vec<Option<&str>> = jobs.iter().map(|job| job.traceparent.as_deref()).collect();
    let authors: Vec<Option<&str>> = jobs.iter().map(|job| job.created_by.as_deref()).collect();
    let retries: Vec<Option<Json>> =
        jobs.iter().map(|job| job.retry.map(|policy| Json::of(&policy))).collect();
    let params: session::Params<'_> = &[
        &ids,
        &tenants,
        &types,
        &payloads,
        &queues,
        &priorities,
        &run_at,
        &delays,
        &max_attempts,
        &timeouts,
        &keys,
        &tags,
        &traces,
        &authors,
        &retries,
        &progress_timeouts,
    ];
    let rows = session::run(client, insert, &INSERT, params).await.map_err(Fault::Database)?;
    if rows.len() == jobs.len() {
        return Ok(jobs.iter().map(|job| Enqueued { id: job.id, created: true }).collect());
    }
    let mut created: std::collections::HashSet<uuid::Uuid> = rows.iter().map(|row| row.get(0)).collect();
    let params: session::Params<'_> = &[&ids, &tenants, &types, &keys];
    let rows = session::run(client, existing, &EXISTING, params).await.map_err(Fault::Database)?;
    let mut answers = Vec::with_capacity(jobs.len());
    for (job, row) in jobs.iter().zip(&rows) {
        // `remove`, so that the second of two equal ids in one batch is not taken for the created one.
        if created.remove(&job.id.0) {
            answers.push(Enqueued { id: job.id, created: true });
            continue;
        }
        let Some(id) = row.get::<_, Option<uuid::Uuid>>(0).map(JobId) else { return Err(Fault::Vanished) };
        let same_payload = Payload::from_stored(row.get::<_, Json>(1).0).same_as(&job.payload);
        let same_identity: bool = row.get(2);
        answers.push(match (&job.idempotency_key, same_payload && same_identity) {
            (_, true) => Enqueued { id, created: false },
            (Some(key), false) if id != job.id || same_identity => {
                let (key, job_type) = (key.clone(), job.job_type.clone());
                return Err(Fault::Refused(StoreError::IdempotencyConflict { key, job_type, existing: id }));
            }
            (_, false) => return Err(Fault::Refused(StoreError::DuplicateId(id))),
        });
    }
    Ok(answers)
}

/// Types named by the statements above, checked by a test against the server.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![&INSERT, &EXISTING, &ROW_SECURITY]
}
