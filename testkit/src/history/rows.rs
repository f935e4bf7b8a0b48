//! What may be compared of a job row, and the rules that every change of one keeps.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use jobforge_core::job::{Job, Lease};
use jobforge_core::state::{Status, is_legal};

use super::Verb;

/// The fields in which a row differs from what it was, or all that a new row has.
pub(super) fn changes(before: Option<&Job>, after: &Job) -> String {
    let old = before.map(fields);
    let mut text = String::new();
    for (index, (name, value)) in fields(after).into_iter().enumerate() {
        let was = old.as_ref().map(|old| &old[index].1);
        if was != Some(&value) && !(was.is_none() && value == "None") {
            let _ = write!(text, "{name} {value}; ");
        }
    }
    text
}

/// A row in canonical form. Left out is what is not promised: the engine's own result id and its spelling of payloads,
/// and the reason to be queued of a job that is not.
fn fields(job: &Job) -> Vec<(&'static str, String)> {
    macro_rules! shown {
        ($($name:ident),*) => { vec![$((stringify!($name), format!("{:?}", job.$name))),*] };
    }
    let mut fields = shown!(
        status,
        attempts,
        max_attempts,
        misses,
        run_at,
        locked_by,
        locked_at,
        last_worker,
        lease,
        heartbeat_at,
        heartbeat_due_at,
        heard,
        timeout,
        deadline_at,
        started_at,
        finished_at,
        progress,
        items,
        checkpoint,
        error,
        tenant_id,
        job_type,
        queue,
        priority,
        idempotency_key,
        tags,
        traceparent,
        created_by,
        retry,
        created_at,
        updated_at
    );
    fields.push(("because", format!("{:?}", (job.status == Status::Queued).then_some(job.queued_because))));
    fields.push(("has_result", job.result_id.is_some().to_string()));
    fields.push(("payload", job.payload.decode::<serde_json::Value>().unwrap_or_default().to_string()));
    fields
}

/// The rules that every step keeps on every engine.
pub(super) fn obey(before: Option<&Job>, after: &Job, verb: Verb) -> Result<()> {
    ensure!(
        after.status.is_terminal() == after.finished_at.is_some(),
        "an end has its time, and nothing else has"
    );
    ensure!(
        (after.status == Status::Running) == after.locked_by.is_some(),
        "a running job has an owner, and no other"
    );
    ensure!(after.attempts <= after.max_attempts, "more attempts than allowed");
    let Some(before) = before else {
        ensure!(after.status == Status::Queued, "a new job is queued");
        return Ok(());
    };
    ensure!(after.lease >= before.lease, "the lease fell from {}", before.lease);
    let by_hand = matches!(verb, Verb::Cancel | Verb::Retry);
    if before.status != after.status {
        ensure!(is_legal(before.status, after.status), "illegal from {}", before.status);
        ensure!(
            !before.status.is_terminal() || verb == Verb::Retry,
            "{} ended and moved by {verb:?}",
            before.status
        );
    } else {
        ensure!(!before.status.is_terminal() || by_hand, "an ended job changed by {verb:?}");
    }
    if after.status == Status::Running && before.status != Status::Running {
        ensure!(
            after.lease == Lease(before.lease.0 + 1) && after.attempts == before.attempts + 1,
            "a claim counts"
        );
    }
    Ok(())
}
