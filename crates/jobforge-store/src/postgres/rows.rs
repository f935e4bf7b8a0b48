//! From database rows to the words of the core.

use std::error::Error;
use std::fmt::Display;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use jiff::Timestamp;
use jobforge_core::death::ProcessId;
use jobforge_core::heartbeat::Heard;
use jobforge_core::job::{
    ErrorInfo, Items, Job, JobId, Lease, Progress, QueuedBecause, Resolution, WorkerId,
};
use jobforge_core::payload::Payload;
use jobforge_core::state::Status;
use jobforge_core::worker::{WorkerRow, WorkerState};
use tokio_postgres::Row;
use tokio_postgres::row::RowIndex;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// JSON as text, so that a payload crosses the seam without being built as a tree.
#[derive(Debug, Clone)]
pub(super) struct Json(pub(super) String);

impl Json {
    pub(super) fn of<T: serde::Serialize>(value: &T) -> Self {
        // Our own words always serialise; a failure would be a bug, and null is what the column then gets.
        Self(serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned()))
    }

    pub(super) fn decode<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.0).ok()
    }
}

impl<'a> FromSql<'a> for Json {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        // The binary form of jsonb is a version byte (1) and the text.
        let text = if *kind == Type::JSONB { raw.get(1..).unwrap_or_default() } else { raw };
        Ok(Self(std::str::from_utf8(text)?.to_owned()))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::JSONB || *kind == Type::JSON
    }
}

impl ToSql for Json {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        if *kind == Type::JSONB {
            out.put_u8(1);
        }
        out.put_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::JSONB || *kind == Type::JSON
    }

    to_sql_checked!();
}

/// Milliseconds as stored.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A stored count, which the schema keeps from being negative.
pub(super) fn count(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

/// An error as stored: ours, or whatever an operator's SQL left there.
pub(super) fn error_info(json: &Json) -> ErrorInfo {
    json.decode().unwrap_or_else(|| {
        let value: serde_json::Value = json.decode().unwrap_or_default();
        let message =
            value.get("message").and_then(|m| m.as_str()).map_or_else(|| value.to_string(), str::to_owned);
        ErrorInfo { message, kind: "unknown".to_owned(), retryable: true, details: None }
    })
}

type RowResult<T> = Result<T, tokio_postgres::Error>;

/// Reads a row that has every column of jobforge_jobs.
pub(super) fn job(row: &Row) -> RowResult<Job> {
    let percent: Option<i16> = row.try_get("progress")?;
    Ok(Job {
        id: JobId(row.try_get("id")?),
        tenant_id: row.try_get("tenant_id")?,
        job_type: row.try_get("type")?,
        queue: row.try_get("queue")?,
        priority: row.try_get("priority")?,
        payload: Payload::from_stored(row.try_get::<_, Json>("payload")?.0),
        status: status(row.try_get("status")?),
        queued_because: QueuedBecause::from_stored(row.try_get("queued_because")?),
        attempts: count(row.try_get("attempts")?),
        max_attempts: count(row.try_get("max_attempts")?),
        misses: count(row.try_get("misses")?),
        crashes: row
            .try_get::<_, Option<Json>>("crashes")?
            .and_then(|json| json.decode())
            .unwrap_or_default(),
        run_at: row.try_get("run_at")?,
        locked_by: row.try_get::<_, Option<String>>("locked_by")?.map(WorkerId),
        locked_at: row.try_get("locked_at")?,
        last_worker: row.try_get::<_, Option<String>>("last_worker")?.map(WorkerId),
        lease: Lease(row.try_get("lease")?),
        heartbeat_at: row.try_get("heartbeat_at")?,
        heartbeat_due_at: row.try_get("heartbeat_due_at")?,
        heard: heard(row)?,
        timeout: duration(row, "timeout_ms")?,
        progress_timeout: duration(row, "progress_timeout_ms")?,
        deadline_at: row.try_get("deadline_at")?,
        progress_limit: duration(row, "progress_limit_ms")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        progress: Progress {
            percent: percent.and_then(|p| u8::try_from(p).ok()),
            message: row.try_get("progress_message")?,
            phase: row.try_get("phase")?,
            at: row.try_get("progress_at")?,
        },
        items: Items {
            processed: row.try_get("items_processed")?,
            failed: row.try_get("items_failed")?,
            skipped: row.try_get("items_skipped")?,
        },
        checkpoint: row.try_get::<_, Option<Json>>("checkpoint")?.and_then(|json| json.decode()),
        error: row.try_get::<_, Option<Json>>("error")?.as_ref().map(error_info),
        dead_group: row.try_get("dead_group")?,
        resolved: resolution(row)?,
        result_id: row.try_get("result_id")?,
        idempotency_key: row.try_get("idempotency_key")?,
        tags: row.try_get::<_, Option<Vec<String>>>("tags")?.unwrap_or_default(),
        traceparent: row.try_get("traceparent")?,
        created_by: row.try_get("created_by")?,
        retry: row.try_get::<_, Option<Json>>("retry")?.and_then(|json| json.decode()),
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}

/// What was heard of an attempt, from the columns that jobs and attempts have alike. Gaps that no longer read are left out.
pub(super) fn heard(row: &Row) -> RowResult<Heard> {
    let gaps = row.try_get::<_, Option<Json>>("silent_gaps")?;
    Ok(Heard {
        beats: count(row.try_get("beats")?),
        interval: duration(row, "beat_interval_ms")?,
        gaps: gaps.and_then(|json| json.decode()).unwrap_or_default(),
    })
}

fn resolution(row: &Row) -> RowResult<Option<Resolution>> {
    let Some(at) = row.try_get("resolved_at")? else { return Ok(None) };
    let text = |column| row.try_get::<_, Option<String>>(column).map(Option::unwrap_or_default);
    Ok(Some(Resolution { at, by: text("resolved_by")?, note: text("resolution")? }))
}

/// A column of milliseconds.
pub(super) fn duration<I: RowIndex + Display>(row: &Row, column: I) -> RowResult<Option<Duration>> {
    Ok(row.try_get::<_, Option<i64>>(column)?.map(|ms| Duration::from_millis(ms.unsigned_abs())))
}

/// A stored status; the schema's check allows no other word.
pub(super) fn status(word: &str) -> Status {
    word.parse().unwrap_or(Status::Failed)
}

/// Reads a row that has every column of jobforge_workers.
pub(super) fn worker(row: &Row) -> RowResult<WorkerRow> {
    Ok(WorkerRow {
        id: WorkerId(row.try_get("id")?),
        name: row.try_get("name")?,
        hostname: row.try_get("hostname")?,
        pid: u32::try_from(row.try_get::<_, i64>("pid")?).unwrap_or(0),
        queues: row.try_get("queues")?,
        types: row.try_get("types")?,
        slots: count(row.try_get("slots")?),
        state: WorkerState::from_stored(row.try_get("state")?),
        started_at: row.try_get("started_at")?,
        last_heartbeat_at: row.try_get("last_heartbeat_at")?,
        lease_expires_at: row.try_get("lease_expires_at")?,
        ended_at: row.try_get("ended_at")?,
        end_reason: row.try_get("end_reason")?,
        process: process(row)?,
        slot: row.try_get("slot")?,
        stopped_at: row.try_get("stopped_at")?,
        suspect_at: row.try_get("suspect_at")?,
        restart_at: row.try_get("restart_at")?,
        death: row.try_get::<_, Option<Json>>("death")?.and_then(|json| json.decode()),
        died_with: row.try_get::<_, Option<i32>>("died_with")?.map(count),
        registered_by: row.try_get("registered_by")?,
    })
}

/// A worker's process; known whole or not at all.
fn process(row: &Row) -> RowResult<Option<ProcessId>> {
    let Some(machine_id) = row.try_get("machine_id")? else { return Ok(None) };
    Ok(Some(ProcessId {
        machine_id,
        boot_id: row.try_get("boot_id")?,
        pid_namespace: row.try_get::<_, i64>("pid_namespace")?.cast_unsigned(),
        pid: u32::try_from(row.try_get::<_, i64>("pid")?).unwrap_or(0),
        started: row.try_get::<_, i64>("process_start")?.cast_unsigned(),
    }))
}

/// A moment before every job, and a priority above every job: the start of a queue.
pub(super) fn beginning() -> (i16, Timestamp) {
    (i16::MIN, Timestamp::UNIX_EPOCH - jiff::SignedDuration::from_hours(24 * 365 * 100))
}
