//! Jobs and their outcomes while nothing goes wrong around them.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use jobforge::core::enqueue::JobRequest;
use jobforge::core::state::Status;
use serde_json::json;

use super::super::judge;
use super::super::scene::{SOON, Scene};

const MANY: usize = 30;
/// Most of a time-out's own length that may pass before it is reported; the server itself steps in after 10 s.
const TIMEOUT_REPORT: Duration = Duration::from_secs(8);

pub(super) async fn echo(scene: &mut Scene) -> Result<String> {
    let payload = json!({
        "text": "it's a \"quote\", a \\, a tab\t, a line\nand $HOME `date` %s {} ü 漢 🦀",
        "numbers": [0, -1, 2.5, 9_007_199_254_740_991_u64],
        "nothing": null, "truth": true, "deep": {"a": {"b": [[]]}},
        "long": "x".repeat(20_000),
    });
    let id = scene.enqueue("protocol.echo", payload.clone()).await?;
    scene.start_worker()?;
    let end = scene.end(id, SOON).await?;
    end.succeeded_at_once()?;
    ensure!(end.result == payload, "the result differs from the payload");
    Ok(String::new())
}

pub(super) async fn batch(scene: &mut Scene) -> Result<String> {
    let mut ids = Vec::with_capacity(MANY);
    for n in 0..MANY {
        ids.push(scene.enqueue("protocol.echo", json!({ "n": n })).await?);
    }
    scene.start_worker()?;
    let ends = scene.ends(&ids, SOON + SOON).await?;
    for (n, end) in ends.iter().enumerate() {
        end.succeeded_at_once()?;
        end.gave(&json!({ "n": n }))?;
    }
    let record = scene.record();
    judge::answered_results_are_forgotten(&record)?;
    judge::one_incarnation(&record)?;
    Ok(format!("{MANY} jobs with {} requests", record.0.len()))
}

pub(super) async fn outcomes(scene: &mut Scene) -> Result<String> {
    let mut ids = Vec::new();
    let expected = [("failed", Status::Failed, 1), ("dead", Status::Dead, 1), ("retry", Status::Dead, 2)];
    for (outcome, ..) in expected {
        let payload = json!({ "outcome": outcome, "kind": format!("{outcome}_kind"), "message": format!("it's {outcome}") });
        let two_attempts = JobRequest { max_attempts: Some(2), ..JobRequest::default() };
        ids.push(scene.enqueue_with(two_attempts, "protocol.fail", payload).await?);
    }
    scene.start_worker()?;
    for (end, (outcome, status, attempts)) in scene.ends(&ids, SOON).await?.iter().zip(expected) {
        ensure!(
            end.status == status,
            "a job whose handler said {outcome:?} is {} instead of {status}",
            end.status
        );
        end.used(attempts)?;
        let error = (end.error_kind.as_str(), end.error_message.as_str());
        let wanted = (format!("{outcome}_kind"), format!("it's {outcome}"));
        ensure!(
            error == (wanted.0.as_str(), wanted.1.as_str()),
            "the error of {outcome:?} arrived as {error:?} instead of {wanted:?}"
        );
    }
    Ok(String::new())
}

pub(super) async fn progress(scene: &mut Scene) -> Result<String> {
    let id = scene.enqueue("protocol.sleep", json!({ "ms": 2500 })).await?;
    scene.start_worker()?;
    let end = scene.end(id, SOON).await?;
    end.succeeded_at_once()?;
    end.gave(&json!({ "slept_ms": 2500 }))?;
    let record = scene.record();
    let beats = record.beats();
    let percents: BTreeSet<u64> = beats.iter().filter_map(|beat| beat.report["percent"].as_u64()).collect();
    ensure!(
        percents.len() >= 2 && percents.last() <= Some(&100),
        "heartbeats carried the percents {percents:?} of a job of 2.5 s that reports twice a second"
    );
    Ok(format!("{} reports", percents.len()))
}

pub(super) async fn checkpoint(scene: &mut Scene) -> Result<String> {
    let id = scene.enqueue("protocol.checkpoint", json!({ "steps": 3 })).await?;
    scene.start_worker()?;
    let end = scene.end(id, SOON).await?;
    end.succeeded()?;
    end.used(2)?;
    end.gave(&json!({ "resumed_from": 3 }))?;
    let interrupted =
        scene.record().sent().iter().any(|sent| (sent.outcome, sent.kind) == ("retry", "interrupted"));
    ensure!(interrupted, "the first attempt did not report its error as \"interrupted\"");
    Ok(String::new())
}

pub(super) async fn snooze(scene: &mut Scene) -> Result<String> {
    let id = scene.enqueue("protocol.snooze", json!({ "ms": 300 })).await?;
    scene.start_worker()?;
    let end = scene.end(id, SOON).await?;
    end.succeeded_at_once()?;
    end.gave(&json!({ "woken": true }))?;
    let snoozed =
        scene.record().sent().iter().any(|sent| (sent.outcome, sent.answer) == ("snoozed", Some("applied")));
    ensure!(snoozed, "no result said that it was snoozed");
    Ok(String::new())
}

pub(super) async fn timeout(scene: &mut Scene) -> Result<String> {
    let bound = JobRequest { timeout_ms: Some(1500), max_attempts: Some(1), ..JobRequest::default() };
    let id = scene.enqueue_with(bound, "protocol.sleep", json!({ "ms": 60_000 })).await?;
    scene.start_worker()?;
    scene.until_given(&[id]).await?;
    let (text, began) = (id.to_string(), scene.elapsed());
    let reported = |record: &super::super::record::Record| record.sent().iter().any(|sent| sent.id == text);
    scene.until(TIMEOUT_REPORT, "a job with a time-out of 1.5 s is reported", reported).await?;
    let took = scene.elapsed().saturating_sub(began);
    let end = scene.end(id, SOON).await?;
    ensure!(end.error_kind == "timeout", "the error kind is {:?} instead of \"timeout\"", end.error_kind);
    Ok(format!("reported after {:.1} s", took.as_secs_f64()))
}

pub(super) async fn heartbeat(scene: &mut Scene) -> Result<String> {
    let lease = scene.lease();
    let id = scene.enqueue("protocol.sleep", json!({ "ms": 2 * lease.as_millis() as u64 })).await?;
    scene.start_worker()?;
    let end = scene.end(id, 2 * lease + SOON).await?;
    end.succeeded_at_once()?;
    let record = scene.record();
    judge::one_incarnation(&record)?;
    judge::renewed_in_time(&record, lease)?;
    Ok(format!("{} renewals", record.renewals().len()))
}
