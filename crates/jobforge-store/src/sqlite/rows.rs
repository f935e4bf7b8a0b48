//! Rows to the words of the core and back: ids as text, moments as microseconds, lists and structures as JSON.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jobforge_core::death::ProcessId;
use jobforge_core::heartbeat::Heard;
use jobforge_core::job::{
    ErrorInfo, Items, Job, JobId, Lease, Progress, QueuedBecause, Resolution, WorkerId,
};
use jobforge_core::payload::{Payload, sanitize_text, sanitize_value};
use jobforge_core::settle::RetryPolicy;
use jobforge_core::state::Status;
use jobforge_core::worker::{WorkerRow, WorkerState};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Row, RowIndex};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// A moment as it is stored.
pub(super) fn micros(moment: Timestamp) -> i64 {
    moment.as_microsecond()
}

/// A stored moment; one beyond representable time is its end.
pub(super) fn moment(micros: i64) -> Timestamp {
    let end = if micros < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_microsecond(micros).unwrap_or(end)
}

/// Adds a duration to a stored moment, stopping at the end of representable time.
pub(super) fn later(micros: i64, by: Duration) -> i64 {
    let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    micros.saturating_add(by).min(Timestamp::MAX.as_microsecond())
}

/// Subtracts a duration from a stored moment.
pub(super) fn earlier(micros: i64, by: Duration) -> i64 {
    micros.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX))
}

/// A duration as it is stored, in milliseconds.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A size as a statement takes it.
pub(super) fn limit(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// A count as SQLite gives it.
pub(super) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A structure as JSON text. Ours have string keys only, so this cannot fail.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

/// A handler's words as PostgreSQL could store them, so that both engines keep the same.
pub(super) fn clean(text: &Option<String>) -> Option<Cow<'_, str>> {
    let text = text.as_deref()?;
    Some(if text.contains('\0') { Cow::Owned(sanitize_text(text)) } else { Cow::Borrowed(text) })
}

/// A checkpoint as PostgreSQL could store it.
pub(super) fn checkpoint(value: &serde_json::Value) -> String {
    json(&sanitize_value(value.clone()))
}

/// A column that holds JSON of a known shape.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Self).map_err(|error| FromSqlError::Other(error.into()))
    }
}

/// A column that holds the text form of a word or id.
pub(super) struct Word<T>(pub(super) T);

impl<T: FromStr> FromSql for Word<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map(Self).map_err(|error: T::Err| FromSqlError::Other(error.into()))
    }
}

pub(super) fn id<I: RowIndex>(row: &Row<'_>, column: I) -> rusqlite::Result<JobId> {
    row.get::<_, Word<JobId>>(column).map(|word| word.0)
}

pub(super) fn status<I: RowIndex>(row: &Row<'_>, column: I) -> rusqlite::Result<Status> {
    row.get::<_, Word<Status>>(column).map(|word| word.0)
}

pub(super) fn at<I: RowIndex>(row: &Row<'_>, column: I) -> rusqlite::Result<Timestamp> {
    row.get(column).map(moment)
}

pub(super) fn maybe_at<I: RowIndex>(row: &Row<'_>, column: I) -> rusqlite::Result<Option<Timestamp>> {
    row.get::<_, Option<i64>>(column).map(|micros| micros.map(moment))
}

pub(super) fn maybe_json<T: DeserializeOwned, I: RowIndex>(
    row: &Row<'_>,
    column: I,
) -> rusqlite::Result<Option<T>> {
    row.get::<_, Option<Json<T>>>(column).map(|json| json.map(|json| json.0))
}

pub(super) fn maybe_worker<I: RowIndex>(row: &Row<'_>, column: I) -> rusqlite::Result<Option<WorkerId>> {
    row.get::<_, Option<String>>(column).map(|id| id.map(WorkerId))
}

/// Milliseconds as a duration.
pub(super) fn maybe_duration<I: RowIndex>(row: &Row<'_>, column: I) -> rusqlite::Result<Option<Duration>> {
    row.get::<_, Option<i64>>(column).map(|ms| ms.map(|ms| Duration::from_millis(ms.unsigned_abs())))
}

/// Stored structures that no longer read are shown as a message rather than hiding the job.
pub(super) fn maybe_error<I: RowIndex>(row: &Row<'_>, column: I) -> rusqlite::Result<Option<ErrorInfo>> {
    let Some(text) = row.get::<_, Option<String>>(column)? else { return Ok(None) };
    let unreadable = |_| ErrorInfo {
        message: text.clone(),
        kind: "unreadable".to_owned(),
        retryable: true,
        details: None,
    };
    Ok(Some(serde_json::from_str(&text).unwrap_or_else(unreadable)))
}

/// A whole row of `jobforge_jobs`.
pub(super) fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    Ok(Job {
        id: id(row, "id")?,
        tenant_id: row.get("tenant_id")?,
        job_type: row.get("type")?,
        queue: row.get("queue")?,
        priority: row.get("priority")?,
        payload: Payload::from_stored(row.get("payload")?),
        status: status(row, "status")?,
        queued_because: QueuedBecause::from_stored(row.get_ref("queued_because")?.as_str()?),
        attempts: row.get("attempts")?,
        max_attempts: row.get("max_attempts")?,
        misses: row.get("misses")?,
        crashes: maybe_json(row, "crashes")?.unwrap_or_default(),
        run_at: at(row, "run_at")?,
        locked_by: maybe_worker(row, "locked_by")?,
        locked_at: maybe_at(row, "locked_at")?,
        last_worker: maybe_worker(row, "last_worker")?,
        lease: Lease(row.get("lease")?),
        heartbeat_at: maybe_at(row, "heartbeat_at")?,
        heartbeat_due_at: maybe_at(row, "heartbeat_due_at")?,
        heard: heard(row)?,
        timeout: maybe_duration(row, "timeout_ms")?,
        progress_timeout: maybe_duration(row, "progress_timeout_ms")?,
        deadline_at: maybe_at(row, "deadline_at")?,
        progress_limit: maybe_duration(row, "progress_limit_ms")?,
        started_at: maybe_at(row, "started_at")?,
        finished_at: maybe_at(row, "finished_at")?,
        progress: Progress {
            percent: row.get("progress")?,
            message: row.get("progress_message")?,
            phase: row.get("phase")?,
            at: maybe_at(row, "progress_at")?,
        },
        items: Items {
            processed: row.get("items_processed")?,
            failed: row.get("items_failed")?,
            skipped: row.get("items_skipped")?,
        },
        checkpoint: maybe_json(row, "checkpoint")?,
        error: maybe_error(row, "error")?,
        dead_group: row.get("dead_group")?,
        resolved: resolution(row)?,
        result_id: result_id(row)?,
        idempotency_key: row.get("idempotency_key")?,
        tags: row.get::<_, Json<Vec<String>>>("tags")?.0,
        traceparent: row.get("traceparent")?,
        created_by: row.get("created_by")?,
        retry: maybe_json::<RetryPolicy, _>(row, "retry")?,
        created_at: at(row, "created_at")?,
        updated_at: at(row, "updated_at")?,
    })
}

/// What was heard of an attempt, from the columns that jobs and attempts have alike. Gaps that no longer read are left out.
pub(super) fn heard(row: &Row<'_>) -> rusqlite::Result<Heard> {
    let gaps = row.get::<_, Option<String>>("silent_gaps")?;
    Ok(Heard {
        beats: row.get("beats")?,
        interval: maybe_duration(row, "beat_interval_ms")?,
        gaps: gaps.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
    })
}

fn resolution(row: &Row<'_>) -> rusqlite::Result<Option<Resolution>> {
    let Some(at) = maybe_at(row, "resolved_at")? else { return Ok(None) };
    let text = |column| row.get::<_, Option<String>>(column).map(Option::unwrap_or_default);
    Ok(Some(Resolution { at, by: text("resolved_by")?, note: text("resolution")? }))
}

fn result_id(row: &Row<'_>) -> rusqlite::Result<Option<Uuid>> {
    row.get::<_, Option<Word<Uuid>>>("result_id").map(|word| word.map(|word| word.0))
}

/// A whole row of `jobforge_workers`.
pub(super) fn worker(row: &Row<'_>) -> rusqlite::Result<WorkerRow> {
    Ok(WorkerRow {
        id: WorkerId(row.get("id")?),
        name: row.get("name")?,
        hostname: row.get("hostname")?,
        pid: row.get("pid")?,
        queues: row.get::<_, Json<Vec<String>>>("queues")?.0,
        types: maybe_json(row, "types")?,
        slots: row.get("slots")?,
        state: WorkerState::from_stored(row.get_ref("state")?.as_str()?),
        started_at: at(row, "started_at")?,
        last_heartbeat_at: at(row, "last_heartbeat_at")?,
        lease_expires_at: at(row, "lease_expires_at")?,
        ended_at: maybe_at(row, "ended_at")?,
        end_reason: row.get("end_reason")?,
        process: process(row)?,
        slot: row.get("slot")?,
        stopped_at: maybe_at(row, "stopped_at")?,
        suspect_at: maybe_at(row, "suspect_at")?,
        restart_at: maybe_at(row, "restart_at")?,
        death: maybe_json(row, "death")?,
        died_with: row.get("died_with")?,
        registered_by: row.get("registered_by")?,
    })
}

/// A worker's process; known whole or not at all.
fn process(row: &Row<'_>) -> rusqlite::Result<Option<ProcessId>> {
    let Some(machine_id) = row.get("machine_id")? else { return Ok(None) };
    Ok(Some(ProcessId {
        machine_id,
        boot_id: row.get("boot_id")?,
        pid_namespace: row.get::<_, i64>("pid_namespace")?.cast_unsigned(),
        pid: row.get("pid")?,
        started: row.get::<_, i64>("process_start")?.cast_unsigned(),
    }))
}
