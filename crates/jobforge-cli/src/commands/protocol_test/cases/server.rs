//! What a server may be: gone for a while, refusing, of another time, newer.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use jobforge::core::enqueue::JobRequest;
use serde_json::{Value, json};

use super::super::judge;
use super::super::record::{Call, Record};
use super::super::scene::{SOON, Scene};
use super::super::weather::{Going, Weather};

const DAY_S: i64 = 86_400;
/// How long a killed server stays away.
const AWAY: Duration = Duration::from_millis(700);

pub(super) async fn killed(scene: &mut Scene) -> Result<String> {
    let ids = scene.enqueue_many(8, "protocol.sleep", json!({ "ms": 400 })).await?;
    scene.start_worker()?;
    let some = |record: &Record| record.sent().iter().filter(|sent| sent.arrived).count() >= 2;
    scene.until(SOON, "two jobs are done", some).await?;
    let down = scene.elapsed();
    scene.kill_server().await?;
    scene.watch(AWAY).await?;
    scene.start_server().await?;
    let outage = scene.elapsed().saturating_sub(down);
    for end in scene.ends(&ids, SOON).await? {
        end.succeeded()?;
    }
    let record = scene.record();
    judge::answered_results_are_forgotten(&record)?;
    // A machine so slow that the lease may have run out meanwhile proves nothing.
    if outage < scene.lease() / 2 {
        judge::one_incarnation(&record)?;
    }
    Ok(format!("{:.1} s without a server", outage.as_secs_f64()))
}

pub(super) async fn unavailable(scene: &mut Scene) -> Result<String> {
    let mut left = [(Call::Register, 1), (Call::Claim, 2), (Call::Heartbeat, 2), (Call::Results, 2)];
    scene.weather(Weather::going(move |asked| {
        let open = left.iter_mut().find(|(call, times)| *call == asked && *times > 0);
        match open {
            Some((_, times)) => {
                *times -= 1;
                Going::Refuse
            }
            None => Going::Pass,
        }
    }));
    let mut ids = scene.enqueue_many(2, "protocol.echo", json!({})).await?;
    ids.push(scene.enqueue("protocol.sleep", json!({ "ms": 1500 })).await?);
    scene.start_worker()?;
    for end in scene.ends(&ids, SOON).await? {
        end.succeeded_at_once()?;
    }
    judge::one_incarnation(&scene.record())?;
    Ok(String::new())
}

pub(super) async fn clock(scene: &mut Scene) -> Result<String> {
    scene.weather(Weather::rewriting(|answer| {
        shift(answer, DAY_S);
    }));
    let first = some_jobs(scene).await?;
    scene.start_worker()?;
    check(scene, first).await?;
    scene.weather(Weather::rewriting(|answer| {
        shift(answer, -DAY_S);
    }));
    let second = some_jobs(scene).await?;
    check(scene, second).await?;
    let record = scene.record();
    judge::no_moments(&record)?;
    judge::one_incarnation(&record)?;
    Ok(String::new())
}

pub(super) async fn newer(scene: &mut Scene) -> Result<String> {
    scene.weather(Weather::rewriting(add_fields));
    let jobs = some_jobs(scene).await?;
    scene.start_worker()?;
    check(scene, jobs).await?;
    judge::one_incarnation(&scene.record())?;
    Ok(String::new())
}

type Jobs = Vec<(jobforge::core::job::JobId, u32)>;

/// One job of each kind that succeeds, with the attempts that it takes.
async fn some_jobs(scene: &Scene) -> Result<Jobs> {
    let bound = JobRequest { timeout_ms: Some(30_000), ..JobRequest::default() };
    Ok(vec![
        (scene.enqueue("protocol.echo", json!({})).await?, 1),
        (scene.enqueue_with(bound, "protocol.sleep", json!({ "ms": 1500 })).await?, 1),
        (scene.enqueue("protocol.snooze", json!({ "ms": 200 })).await?, 1),
        (scene.enqueue("protocol.checkpoint", json!({ "steps": 2 })).await?, 2),
    ])
}

async fn check(scene: &mut Scene, jobs: Jobs) -> Result<()> {
    let ids: Vec<_> = jobs.iter().map(|(id, _)| *id).collect();
    for (end, (_, attempts)) in scene.ends(&ids, SOON).await?.iter().zip(jobs) {
        end.succeeded()?;
        end.used(attempts)?;
    }
    Ok(())
}

/// Moves every moment in an answer.
fn shift(value: &mut Value, seconds: i64) {
    match value {
        Value::String(text) if judge::is_moment(text) => {
            let moved = text.parse::<Timestamp>().ok();
            let moved =
                moved.and_then(|moment| moment.checked_add(jiff::SignedDuration::from_secs(seconds)).ok());
            if let Some(moment) = moved {
                *text = moment.to_string();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shift(item, seconds)),
        Value::Object(fields) => fields.values_mut().for_each(|inner| shift(inner, seconds)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Adds to an answer, and to each job and result in it, what a later server might say.
fn add_fields(answer: &mut Value) {
    let Value::Object(fields) = answer else { return };
    for list in ["jobs", "results"] {
        for item in fields.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Value::Object(item) = item {
                item.insert("said_since_version_9".to_owned(), json!({ "deep": [1, null] }));
            }
        }
    }
    fields.insert("said_since_version_9".to_owned(), json!([{ "deep": true }]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_moments_of_an_answer_move_and_nothing_else_does() {
        let mut answer =
            json!({"as_of": "2027-01-15T10:30:00Z", "jobs": [{"id": "T1", "at": "2027-01-15T10:30:00.5Z"}]});
        shift(&mut answer, -86_400);
        let moved =
            json!({"as_of": "2027-01-14T10:30:00Z", "jobs": [{"id": "T1", "at": "2027-01-14T10:30:00.5Z"}]});
        assert_eq!(answer, moved);
    }
}
