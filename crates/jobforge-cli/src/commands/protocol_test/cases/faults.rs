//! What the way between worker and server may do to requests and answers.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::super::judge;
use super::super::record::{Call, Record};
use super::super::scene::{SOON, Scene};
use super::super::weather::{Coming, Going, Weather};

/// How long a worker is watched that must not repeat itself.
const AFTERMATH: Duration = Duration::from_secs(3);
/// How long a claim takes that is slow.
const SLOW: Duration = Duration::from_millis(2500);
/// After which time a held claim is cut.
const CUT: Duration = Duration::from_millis(700);
/// How long each kind of bad weather lasts.
const SPELL: Duration = Duration::from_secs(6);

pub(super) async fn late_result(scene: &mut Scene) -> Result<String> {
    let mut dark = false;
    scene.weather(Weather::going(move |call| match call {
        Call::Results => {
            dark = true;
            Going::Late
        }
        _ if dark => Going::Lose(Duration::from_secs(1)),
        _ => Going::Pass,
    }));
    let id = scene.enqueue("protocol.echo", json!({})).await?;
    let text = id.to_string();
    scene.start_worker()?;
    scene.until(SOON, "a result is sent", |record| !record.sent().is_empty()).await?;
    scene.until_taken_back(id).await?;
    scene.weather(Weather::default());
    scene.open_gate();
    let late = |record: &Record| record.sent().iter().any(|sent| sent.fence == 1 && sent.answer.is_some());
    scene.until(SOON, "the late result arrives", late).await?;
    let end = scene.end(id, SOON).await?;
    end.succeeded()?;
    let record = scene.watch(AFTERMATH).await?;
    for sent in record.sent().iter().filter(|sent| sent.id == text && sent.fence == 1) {
        ensure!(
            matches!(sent.answer, None | Some("fenced")),
            "the late result was answered {:?}",
            sent.answer
        );
    }
    judge::answered_results_are_forgotten(&record)?;
    ensure!(record.incarnations().len() >= 2, "it lost its lease and went on under its old identity");
    Ok(format!("ran again as attempt {}", end.attempts))
}

pub(super) async fn duplicate_result(scene: &mut Scene) -> Result<String> {
    let mut lost = 0;
    scene.weather(Weather::coming(move |call, _| {
        let lose = call == Call::Results && lost < 2;
        lost += u32::from(lose);
        if lose { Coming::Lose } else { Coming::Pass }
    }));
    let id = scene.enqueue("protocol.echo", json!({ "once": true })).await?;
    scene.start_worker()?;
    let heard = |record: &Record| record.sent().iter().any(|sent| sent.arrived);
    let record =
        scene.until(SOON, "a result whose answer was lost twice is sent a third time", heard).await?;
    judge::repeated_until_answered(&record, &id.to_string())?;
    scene.end(id, SOON).await?.succeeded_at_once()?;
    let record = scene.watch(Duration::from_secs(1)).await?;
    judge::answered_results_are_forgotten(&record)?;
    judge::one_incarnation(&record)?;
    let replayed = record.sent().iter().filter(|sent| sent.answer == Some("replayed")).count();
    ensure!(replayed >= 2, "the server saw the result again {replayed} times instead of twice");
    Ok(String::new())
}

pub(super) async fn lost_claim(scene: &mut Scene) -> Result<String> {
    let mut lost = false;
    scene.weather(Weather::coming(move |call, answer| {
        let gave = call == Call::Claim && answer["jobs"].as_array().is_some_and(|jobs| !jobs.is_empty());
        let lose = gave && !lost;
        lost |= lose;
        if lose { Coming::Lose } else { Coming::Pass }
    }));
    let ids = scene.enqueue_many(2, "protocol.echo", json!({})).await?;
    scene.start_worker()?;
    // A server that has just begun does not hold silence against a job for its first 20 s.
    let ends = scene.ends(&ids, SOON + SOON).await?;
    ends.iter().try_for_each(judge::End::succeeded)?;
    let record = scene.record();
    let held = record.calls(Call::Claim).any(|exchange| exchange.asked["held"].is_array());
    let again = ends.iter().filter(|end| end.attempts > 1).count();
    Ok(match (held, again) {
        (true, 0) => "given again under the same fence, as the next claim said what is held".to_owned(),
        (true, _) => format!("the next claim said what is held, yet {again} jobs ran as another attempt"),
        (false, _) => format!("without held: {again} jobs came back late, as another attempt"),
    })
}

pub(super) async fn slow_claims(scene: &mut Scene) -> Result<String> {
    let slow = |wait| Weather::going(move |call| if call == Call::Claim { wait } else { Going::Pass });
    scene.weather(slow(Going::Wait(SLOW)));
    let mut ids = vec![scene.enqueue("protocol.sleep", json!({ "ms": 3000 })).await?];
    scene.start_worker()?;
    scene.watch(SPELL).await?;
    scene.weather(slow(Going::Cut(CUT)));
    ids.extend(scene.enqueue_many(3, "protocol.echo", json!({})).await?);
    scene.watch(SPELL / 2).await?;
    ids.extend(scene.enqueue_many(3, "protocol.echo", json!({})).await?);
    scene.weather(Weather::default());
    for end in scene.ends(&ids, SOON).await? {
        end.succeeded()?;
    }
    let record = scene.record();
    judge::one_incarnation(&record)?;
    judge::renewed_in_time(&record, scene.lease())?;
    Ok(format!("{} claims", record.calls(Call::Claim).count()))
}

pub(super) async fn network_drops(scene: &mut Scene) -> Result<String> {
    let seed = scene.seed();
    scene.weather(Weather::storm(seed));
    let mut ids = scene.enqueue_many(14, "protocol.echo", json!({})).await?;
    ids.extend(scene.enqueue_many(6, "protocol.sleep", json!({ "ms": 200 })).await?);
    scene.start_worker()?;
    scene.watch(SPELL).await?;
    scene.weather(Weather::default());
    let ends = scene.ends(&ids, SOON + SOON).await?;
    let record = scene.record();
    for end in &ends {
        end.succeeded()?;
        let applied = |sent: &&super::super::record::Sent<'_>| {
            sent.id == end.id && sent.outcome == "succeeded" && sent.answer == Some("applied")
        };
        let count = record.sent().iter().filter(applied).count();
        ensure!(count <= 1, "a job was ended {count} times");
    }
    let again = ends.iter().filter(|end| end.attempts > 1).count();
    Ok(format!("{} requests, {again} jobs ran again; --seed {seed}", record.0.len()))
}
