//! Workers of two tenants who try to see and to touch what is the other's, through every call.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::engines::{Engine, guarded_on, on_both_engines};
use crate::harness::{PATIENCE, Site};
use crate::worker_tcp::{Program, enqueued, job, succeeded, worker_token};

const ACME: &str = "worker-00000001";
const GLOBEX: &str = "worker-00000002";
/// No job has this id.
const NOBODYS: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

async fn program<'a>(site: &'a Site, tenant: &str, id: &'static str) -> Result<Program<'a>> {
    let program = Program { site, bearer: worker_token(site, Some(tenant), None).await?, id };
    program.register(&["default"]).await?;
    Ok(program)
}

/// What a program tries with a job: every call in which it can name one, each outcome.
fn attempts(id: &str, fence: u64) -> Vec<(&'static str, Value)> {
    let error = json!({ "message": "m" });
    let result = |more: Value| {
        let mut result = json!({ "id": id, "fence": fence });
        for (name, value) in more.as_object().into_iter().flatten() {
            result[name] = value.clone();
        }
        ("results", json!({ "results": [result] }))
    };
    vec![
        ("heartbeat", json!({ "jobs": [{ "id": id, "fence": fence }] })),
        (
            "heartbeat",
            json!({ "jobs": [{ "id": id, "fence": fence, "report": { "ignores_stop": true, "log": "mine" } }] }),
        ),
        result(json!({ "outcome": "succeeded", "result": 1 })),
        result(json!({ "outcome": "retry", "error": error, "retry_in_ms": 0 })),
        result(json!({ "outcome": "failed", "error": error })),
        result(json!({ "outcome": "dead", "error": error })),
        result(json!({ "outcome": "snoozed", "retry_in_ms": 0 })),
        result(json!({ "outcome": "released" })),
    ]
}

async fn a_job_of_another_tenant_is_answered_as_one_that_does_not_exist(engine: Engine) -> Result<()> {
    let (site, _database) = guarded_on(engine).await?;
    let (acme, globex) = (program(&site, "acme", ACME).await?, program(&site, "globex", GLOBEX).await?);
    let waiting = enqueued(&site, json!({ "tenant_id": "globex" })).await?;
    let own = enqueued(&site, json!({ "tenant_id": "acme" })).await?;
    // Both serve the same queue, and each is given only its own.
    assert_eq!(acme.claims("default").await?, [own.as_str()]);
    assert_eq!(acme.claims("default").await?, [""; 0]);
    let canceled = enqueued(&site, json!({ "tenant_id": "globex" })).await?;
    site.client.cancel(canceled.parse()?).await?;
    let before = (job(&site, &waiting).await?, job(&site, &canceled).await?);
    for state in ["waiting", "running"] {
        if state == "running" {
            assert_eq!(globex.claims("default").await?, [waiting.as_str()]);
        }
        let before = (job(&site, &waiting).await?, job(&site, &canceled).await?);
        // In its own name, in that of the other's worker, and in that of nobody.
        for speaker in [acme.named(ACME), acme.named(GLOBEX), acme.named("worker-ffffffff")] {
            for (fence, id) in [(0, &waiting), (1, &waiting), (2, &waiting), (1, &canceled)] {
                for ((call, at_them), (_, at_nobody)) in
                    attempts(id, fence).into_iter().zip(attempts(NOBODYS, fence))
                {
                    let what = format!("{state}: {} {call} {at_them}", speaker.id);
                    let (theirs, nobodys) =
                        (speaker.ok(call, at_them).await?, speaker.ok(call, at_nobody).await?);
                    // As they are sent, to the byte.
                    let (theirs, nobodys) = (theirs.to_string().replace(id, NOBODYS), nobodys.to_string());
                    ensure!(theirs == nobodys && theirs.contains("gone"), "{what}: {theirs}");
                }
            }
        }
        assert_eq!((job(&site, &waiting).await?, job(&site, &canceled).await?), before, "{state}");
    }
    assert_eq!(before.0["status"], "queued");
    assert_eq!(globex.result(succeeded(&waiting, 1)).await?["answer"], "applied");
    assert_eq!(acme.result(succeeded(&own, 1)).await?["answer"], "applied");
    Ok(())
}

async fn a_worker_of_another_token_is_answered_as_one_that_never_registered(engine: Engine) -> Result<()> {
    let (site, _database) = guarded_on(engine).await?;
    let globex = program(&site, "globex", GLOBEX).await?;
    let held = enqueued(&site, json!({ "tenant_id": "globex" })).await?;
    assert_eq!(globex.claims("default").await?, [held.as_str()]);
    let waiting = enqueued(&site, json!({ "tenant_id": "globex" })).await?;
    let acme = program(&site, "acme", ACME).await?;
    // A token that may run everything is not the one that registered this worker either.
    let other = Program { site: &site, bearer: worker_token(&site, None, None).await?, id: GLOBEX };
    for thief in [acme.named(GLOBEX), other] {
        thief.call("register", Program::registration(&["default"])).await?.refused(409, "worker_id_taken");
        assert_eq!(thief.claims("default").await?, [""; 0]);
        let all = json!({ "queues": [{ "name": "default", "max": 4 }], "held": [] });
        assert_eq!(
            thief.ok("claim", all).await?["jobs"],
            json!([]),
            "what is held is not given again to others"
        );
        assert_eq!(thief.renew().await?, "lost");
        let draining = thief.ok("heartbeat", json!({ "state": "draining" })).await?;
        assert_eq!(draining["worker"], "lost");
        let answer = thief.result(succeeded(&held, 1)).await?;
        ensure!(answer["answer"] != "applied" && answer["answer"] != "replayed", "{answer}");
        assert_eq!(thief.call("leave", json!({})).await?.status, 204);
    }
    // Two claims of one worker end one another; those of others in its name do not.
    let thief = acme.named(GLOBEX);
    let (waits, steals) = tokio::join!(globex.claim("default", 0), thief.claim("default", 300));
    assert_eq!((&waits?["jobs"][0]["id"], &steals?["jobs"]), (&json!(waiting), &json!([])));
    assert_eq!(globex.renew().await?, "live");
    assert_eq!(job(&site, &held).await?["locked_by"], GLOBEX);
    assert_eq!(globex.result(succeeded(&held, 1)).await?["answer"], "applied");
    Ok(())
}

async fn signals_tell_nothing_of_another_tenants_jobs(engine: Engine) -> Result<()> {
    let (site, _database) = guarded_on(engine).await?;
    let (acme, globex) = (program(&site, "acme", ACME).await?, program(&site, "globex", GLOBEX).await?);
    let mut stream = BufReader::new(TcpStream::connect(site.address).await?);
    let ask = format!(
        "GET /v1/worker/signals?worker_id={ACME} HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\n\r\n",
        site.address, acme.bearer
    );
    stream.get_mut().write_all(ask.as_bytes()).await?;
    let mut told = read_until(&mut stream, "\"look\"").await?;
    let theirs = enqueued(&site, json!({ "tenant_id": "globex", "queue": "secret" })).await?;
    let shared = enqueued(&site, json!({ "tenant_id": "globex" })).await?;
    assert_eq!(globex.claims("default").await?, [shared.as_str()]);
    let own = enqueued(&site, json!({ "tenant_id": "acme" })).await?;
    assert_eq!(acme.claims("default").await?, [own.as_str()]);
    for id in [&theirs, &shared, &own] {
        site.client.cancel(id.parse()?).await?;
    }
    // The last one is its own: when it has been told of, the others have been passed over.
    told.push_str(&read_until(&mut stream, &own).await?);
    ensure!(told.contains("\"work\"") && !told.contains("secret"), "{told}");
    ensure!(!told.contains(&theirs) && !told.contains(&shared), "{told}");
    Ok(())
}

/// What a stream tells until it has told this.
async fn read_until(stream: &mut BufReader<TcpStream>, wanted: &str) -> Result<String> {
    let read = async {
        let mut text = String::new();
        while !text.contains(wanted) {
            ensure!(stream.read_line(&mut text).await? > 0, "the stream ended before {wanted}: {text}");
        }
        Ok(text)
    };
    tokio::time::timeout(PATIENCE, read).await.with_context(|| format!("{wanted} was not told"))?
}

on_both_engines!(
    a_job_of_another_tenant_is_answered_as_one_that_does_not_exist,
    a_worker_of_another_token_is_answered_as_one_that_never_registered,
    signals_tell_nothing_of_another_tenants_jobs,
);
