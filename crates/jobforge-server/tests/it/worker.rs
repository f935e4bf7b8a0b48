//! The worker protocol, call by call.

use std::time::Duration;

use anyhow::Result;
use jobforge::clock::monotonic;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::harness::PATIENCE;
use crate::worker_site::{WORKER, WorkerSite, claim, post, registered, registration, worker_site};

fn succeeded(id: &Value, fence: &Value) -> Value {
    json!({ "id": id, "fence": fence, "outcome": "succeeded", "result": { "sent": true } })
}

#[tokio::test]
async fn a_claim_waits_until_there_is_work() -> Result<()> {
    let site = registered().await?;
    let begun = monotonic();
    let enqueue = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        site.job(&json!({})).await
    };
    let (claimed, id) = tokio::join!(site.claim(20_000), enqueue);
    let (claimed, took) = (claimed?, monotonic().duration_since(begun));
    assert_eq!(claimed["jobs"][0]["id"], json!(id?));
    assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(10), "{took:?}");
    Ok(())
}

#[tokio::test]
async fn a_claim_finds_a_delayed_job_when_its_time_has_come() -> Result<()> {
    let site = registered().await?;
    site.job(&json!({ "delay_ms": 300 })).await?;
    let claimed = site.claim(0).await?;
    assert_eq!(claimed["jobs"], json!([]));
    let due = claimed["next_due_ms"].as_u64().unwrap_or_default();
    assert!((1..=300).contains(&due), "{claimed}");
    assert_eq!(site.claim(20_000).await?["jobs"].as_array().map(Vec::len), Some(1));
    Ok(())
}

#[tokio::test]
async fn a_claim_without_work_ends_in_time_with_nothing() -> Result<()> {
    let site = registered().await?;
    let begun = monotonic();
    assert_eq!(site.claim(300).await?["jobs"], json!([]));
    let took = monotonic().duration_since(begun);
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(10), "{took:?}");
    Ok(())
}

#[tokio::test]
async fn a_newer_claim_of_the_same_worker_ends_the_older_one() -> Result<()> {
    let site = registered().await?;
    let held = claim(20_000);
    let older = site.call("claim", &held);
    let newer = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        site.claim(0).await
    };
    let (older, newer) = tokio::join!(older, newer);
    older?.refused(409, "claim_superseded");
    assert_eq!(newer?["jobs"], json!([]));
    Ok(())
}

#[tokio::test]
async fn jobs_whose_claim_was_not_heard_of_are_given_again_under_the_same_fence() -> Result<()> {
    let site = registered().await?;
    site.job(&json!({})).await?;
    // The answer to this claim is lost.
    let mut lost = site.connect().await?;
    lost.write_all(&post("/v1/worker/claim", &[], claim(20_000).to_string().as_bytes())).await?;
    drop(lost);
    let mut again = claim(20_000);
    again["held"] = json!([]);
    let claimed = site.ok("claim", &again).await?;
    let job = &claimed["jobs"][0];
    assert_eq!((job["fence"].clone(), job["attempt"].clone()), (json!(1), json!(1)));
    // What it has heard of is not given twice.
    let mut known = claim(0);
    known["held"] = json!([{ "id": job["id"], "fence": 1 }]);
    assert_eq!(site.ok("claim", &known).await?["jobs"], json!([]));
    assert_eq!(site.result(&succeeded(&job["id"], &job["fence"])).await?["answer"], "applied");
    Ok(())
}

#[tokio::test]
async fn a_result_sent_again_is_replayed_and_a_late_one_is_fenced() -> Result<()> {
    let site = registered().await?;
    let id = json!(site.job(&json!({})).await?);
    let (claimed, fence) = site.claim_one().await?;
    assert_eq!(claimed, id);
    for answer in ["applied", "replayed", "replayed"] {
        assert_eq!(site.result(&succeeded(&id, &fence)).await?["answer"], answer);
    }
    let late = site.result(&succeeded(&id, &json!(0))).await?;
    assert_eq!((late["answer"].clone(), late["status"].clone()), (json!("fenced"), json!("succeeded")));
    let unknown = json!("01890a5d-ac96-774b-bcce-b302099a8057");
    assert_eq!(site.result(&succeeded(&unknown, &fence)).await?["answer"], "gone");
    Ok(())
}

#[tokio::test]
async fn every_item_of_a_batch_is_answered_by_itself() -> Result<()> {
    let site = registered().await?;
    let (first, second) = (site.job(&json!({})).await?, site.job(&json!({})).await?);
    assert_eq!(site.claim(0).await?["jobs"].as_array().map(Vec::len), Some(2));
    let error = json!({ "message": "no such address" });
    let batch = json!({ "worker_id": WORKER, "results": [
        { "id": first, "fence": 7, "outcome": "succeeded" },
        { "id": second, "fence": 1, "outcome": "failed", "error": error },
    ] });
    let answers = site.ok("results", &batch).await?["results"].clone();
    assert_eq!(
        (answers[0]["answer"].clone(), answers[1]["answer"].clone()),
        (json!("fenced"), json!("applied"))
    );
    assert_eq!(
        (site.status(&json!(first)).await?, site.status(&json!(second)).await?),
        ("running".into(), "failed".into())
    );
    Ok(())
}

#[tokio::test]
async fn the_server_decides_whether_a_retry_was_the_last() -> Result<()> {
    let site = registered().await?;
    let id = json!(site.job(&json!({ "max_attempts": 2 })).await?);
    let error = json!({ "message": "try later", "kind": "busy" });
    for status in ["queued", "dead"] {
        let (_, fence) = site.claim_one().await?;
        let retry = json!({ "id": id, "fence": fence, "outcome": "retry", "error": error, "retry_in_ms": 0 });
        assert_eq!(site.result(&retry).await?["answer"], "applied");
        assert_eq!(site.status(&id).await?, status);
    }
    Ok(())
}

#[tokio::test]
async fn snoozed_and_released_cost_no_attempt() -> Result<()> {
    let site = registered().await?;
    let id = json!(site.job(&json!({ "max_attempts": 1 })).await?);
    for end in [json!({ "outcome": "snoozed", "retry_in_ms": 0 }), json!({ "outcome": "released" })] {
        let (_, fence) = site.claim_one().await?;
        let mut end = end;
        (end["id"], end["fence"]) = (id.clone(), fence);
        assert_eq!(site.result(&end).await?["answer"], "applied");
        assert_eq!(site.status(&id).await?, "queued");
    }
    let (_, fence) = site.claim_one().await?;
    let dead = json!({ "id": id, "fence": fence, "outcome": "dead", "error": { "message": "hopeless" } });
    assert_eq!(site.result(&dead).await?["answer"], "applied");
    assert_eq!(site.status(&id).await?, "dead");
    Ok(())
}

#[tokio::test]
async fn a_heartbeat_reports_and_learns_of_a_cancel() -> Result<()> {
    let site = registered().await?;
    let text = site.job(&json!({})).await?;
    let (id, fence) = site.claim_one().await?;
    let report = json!({ "percent": 250, "message": "half", "checkpoint": { "page": 7 }, "log": "line\n" });
    let beat = json!({ "worker_id": WORKER, "state": "run", "jobs": [{ "id": id, "fence": fence, "report": report }] });
    let answer = site.ok("heartbeat", &beat).await?;
    let kept = json!([{ "id": id, "state": "kept" }]);
    assert_eq!(answer, json!({ "worker": "live", "lease_ms": 20000, "epoch": 0, "jobs": kept }));
    let job = site.client.job(text.parse()?).await?;
    assert_eq!((job.progress.percent, job.checkpoint), (Some(100), Some(json!({ "page": 7 }))));
    site.client.cancel(text.parse()?).await?;
    assert_eq!(site.ok("heartbeat", &beat).await?["jobs"][0]["state"], "canceled");
    assert_eq!(site.result(&succeeded(&id, &fence)).await?["answer"], "fenced");
    Ok(())
}

#[tokio::test]
async fn a_worker_that_has_left_or_was_never_there_has_no_lease() -> Result<()> {
    let site = registered().await?;
    let renew = json!({ "worker_id": WORKER, "state": "run" });
    assert_eq!(site.ok("heartbeat", &renew).await?["worker"], "live");
    assert_eq!(site.call("leave", &json!({ "worker_id": WORKER })).await?.status, 204);
    assert_eq!(site.ok("heartbeat", &renew).await?["worker"], "lost");
    let stranger = json!({ "worker_id": "worker-ffffffff", "state": "run" });
    assert_eq!(site.ok("heartbeat", &stranger).await?["worker"], "lost");
    site.job(&json!({})).await?;
    assert_eq!(site.claim(0).await?["jobs"], json!([]));
    Ok(())
}

#[tokio::test]
async fn the_server_names_a_worker_that_has_no_name_and_tells_its_rhythm() -> Result<()> {
    let site = worker_site().await?;
    let mut nameless = registration();
    nameless.as_object_mut().map(|fields| fields.remove("worker_id"));
    let told = site.ok("register", &nameless).await?;
    let id = told["worker_id"].as_str().unwrap_or_default();
    assert!(id.starts_with("worker-") && id.len() == 15, "{id}");
    assert_eq!((told["lease_ms"].clone(), told["renew_ms"].clone()), (json!(20_000), json!(5_000)));
    // The kernel's word for the process counts more than the worker's own.
    let workers = site.client.store().workers(jobforge::core::time::Now::Database).await?;
    assert_eq!(workers[0].pid, std::process::id());
    Ok(())
}

#[tokio::test]
async fn signals_tell_of_work_and_of_moved_jobs() -> Result<()> {
    let site = registered().await?;
    let mut stream = BufReader::new(site.connect().await?);
    let ask = format!("GET /v1/worker/signals?worker_id={WORKER} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.get_mut().write_all(ask.as_bytes()).await?;
    until_signal(&mut stream, &json!({ "signal": "look" })).await?;
    let id = site.job(&json!({ "queue": "mail" })).await?;
    until_signal(&mut stream, &json!({ "signal": "work", "queue": "mail" })).await?;
    let mut mail = claim(0);
    mail["queues"] = json!([{ "name": "mail", "max": 1 }]);
    site.ok("claim", &mail).await?;
    site.client.cancel(id.parse()?).await?;
    until_signal(&mut stream, &json!({ "signal": "moved", "id": id })).await
}

pub(crate) async fn until_signal(stream: &mut (impl AsyncBufReadExt + Unpin), wanted: &Value) -> Result<()> {
    let read = async {
        let mut line = String::new();
        loop {
            line.clear();
            anyhow::ensure!(stream.read_line(&mut line).await? > 0, "the stream ended before {wanted}");
            let data = line.strip_prefix("data:").and_then(|data| serde_json::from_str::<Value>(data).ok());
            if data.as_ref() == Some(wanted) {
                return Ok(());
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await?
}

#[tokio::test]
async fn only_a_worker_with_a_clean_up_job_may_purge() -> Result<()> {
    let site = registered().await?;
    let keep = json!({ "succeeded_days": 30, "failed_days": 90, "dead_days": 90, "canceled_days": 90 });
    let purge = json!({ "worker_id": WORKER, "keep": keep });
    site.call("purge", &purge).await?.refused(409, "no_cleanup_job");
    site.job(&json!({ "type": "system.cleanup.old_jobs", "payload": {} })).await?;
    let mut any = claim(0);
    any.as_object_mut().map(|fields| fields.remove("types"));
    site.ok("claim", &any).await?;
    assert!(site.ok("purge", &purge).await?["deleted"].is_array());
    Ok(())
}

#[tokio::test]
async fn the_socket_answers_what_the_port_answers() -> Result<()> {
    let site: WorkerSite = worker_site().await?;
    let answer =
        site.raw(b"GET /v1/workers HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    assert_eq!((answer.status, answer.json()), (200, json!({ "workers": [] })));
    Ok(())
}
