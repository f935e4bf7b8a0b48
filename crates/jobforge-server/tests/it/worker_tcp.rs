//! The worker protocol over TCP, on both engines.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jobforge::clock::monotonic;
use jobforge::core::job::WorkerId;
use jobforge::core::token::{NewToken, Scope};
use serde_json::{Value, json};

use crate::engines::{Engine, guarded_on, on_both_engines};
use crate::harness::{Answer, PATIENCE, Site, fixed, serve, until, with_tokens};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const ADMIN: (&str, &str) = ("Authorization", "Bearer admin-key");

/// A worker program with a token of its own.
pub(crate) struct Program<'a> {
    pub(crate) site: &'a Site,
    pub(crate) bearer: String,
    pub(crate) id: &'static str,
}

/// Makes a token with the scope `worker`, for a tenant and for queues.
pub(crate) async fn worker_token(
    site: &Site,
    tenant: Option<&str>,
    queues: Option<&[&str]>,
) -> Result<String> {
    let new = NewToken {
        name: "test worker".to_owned(),
        scopes: vec![Scope::Worker],
        tenant_id: tenant.map(str::to_owned),
        queues: queues.map(|queues| queues.iter().map(|&queue| queue.to_owned()).collect()),
        expires_at: None,
    };
    let (text, _) = site.client.create_token(new).await?;
    Ok(format!("Bearer {}", text.secret()))
}

/// A job that the administrator enqueues; returns its id.
pub(crate) async fn enqueued(site: &Site, more: Value) -> Result<String> {
    let mut job = json!({ "type": "email.send", "payload": { "to": "a@example.org" } });
    for (name, value) in more.as_object().into_iter().flatten() {
        job[name] = value.clone();
    }
    let answer = site.send("POST", "/v1/jobs", &[JSON, ADMIN], job.to_string().as_bytes()).await?;
    ensure!(answer.status == 201, "{answer:?}");
    Ok(answer.json()["id"].as_str().context("an id")?.to_owned())
}

/// How a job stands, in all that a worker could change.
pub(crate) async fn job(site: &Site, id: &str) -> Result<Value> {
    let answer = site.send("GET", &format!("/v1/jobs/{id}"), &[ADMIN], b"").await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(answer.json())
}

pub(crate) fn succeeded(id: &str, fence: u64) -> Value {
    json!({ "id": id, "fence": fence, "outcome": "succeeded", "result": { "sent": true } })
}

impl<'a> Program<'a> {
    /// One that may run everything.
    pub(crate) async fn free(site: &'a Site, id: &'static str) -> Result<Self> {
        let program = Self { site, bearer: worker_token(site, None, None).await?, id };
        program.register(&["default", "mail"]).await?;
        Ok(program)
    }

    /// The same program under another worker's name.
    pub(crate) fn named(&self, id: &'static str) -> Self {
        Self { site: self.site, bearer: self.bearer.clone(), id }
    }

    /// Sends a call in the worker's name.
    pub(crate) async fn call(&self, call: &str, mut request: Value) -> Result<Answer> {
        request["worker_id"] = self.id.into();
        let headers = [JSON, ("Authorization", self.bearer.as_str())];
        let path = format!("/v1/worker/{call}");
        self.site.send("POST", &path, &headers, request.to_string().as_bytes()).await
    }

    /// A call that must be answered with success.
    pub(crate) async fn ok(&self, call: &str, request: Value) -> Result<Value> {
        let answer = self.call(call, request).await?;
        ensure!(answer.status == 200, "{call}: {answer:?}");
        Ok(answer.json())
    }

    pub(crate) fn registration(queues: &[&str]) -> Value {
        json!({ "host": "build-7", "pid": 4242, "queues": queues, "slots": 4 })
    }

    pub(crate) async fn register(&self, queues: &[&str]) -> Result<Value> {
        self.ok("register", Self::registration(queues)).await
    }

    pub(crate) async fn claim(&self, queue: &str, wait_ms: u64) -> Result<Value> {
        self.ok("claim", json!({ "queues": [{ "name": queue, "max": 4 }], "wait_ms": wait_ms })).await
    }

    /// The ids of the jobs that a claim gives now.
    pub(crate) async fn claims(&self, queue: &str) -> Result<Vec<String>> {
        let claimed = self.claim(queue, 0).await?;
        let jobs = claimed["jobs"].as_array().context("jobs")?;
        Ok(jobs.iter().filter_map(|job| job["id"].as_str().map(str::to_owned)).collect())
    }

    /// What the server says to one result.
    pub(crate) async fn result(&self, result: Value) -> Result<Value> {
        Ok(self.ok("results", json!({ "results": [result] })).await?["results"][0].clone())
    }

    pub(crate) async fn renew(&self) -> Result<Value> {
        Ok(self.ok("heartbeat", json!({ "state": "run" })).await?["worker"].clone())
    }
}

async fn a_job_goes_its_way_over_tcp(engine: Engine) -> Result<()> {
    let (site, _database) = guarded_on(engine).await?;
    let worker = Program::free(&site, "worker-0a1b2c3d").await?;
    let id = enqueued(&site, json!({})).await?;
    assert_eq!(worker.claims("default").await?, [id.as_str()]);
    let report = json!({ "percent": 40, "message": "half" });
    let beat = json!({ "state": "run", "jobs": [{ "id": id, "fence": 1, "report": report }] });
    let answer = worker.ok("heartbeat", beat).await?;
    assert_eq!((&answer["worker"], &answer["jobs"][0]["state"]), (&json!("live"), &json!("kept")));
    assert_eq!(job(&site, &id).await?["progress"]["message"], "half");
    for told in ["applied", "replayed"] {
        assert_eq!(worker.result(succeeded(&id, 1)).await?["answer"], told);
    }
    assert_eq!(job(&site, &id).await?["status"], "succeeded");
    let listed = site.send("GET", "/v1/workers", &[ADMIN], b"").await?.json();
    let known = &listed["workers"][0];
    let tokens = site.client.store().tokens().await?;
    assert_eq!((&known["registered_by"], &known["pid"]), (&json!(tokens[0].id), &json!(4242)));
    assert_eq!(worker.call("leave", json!({})).await?.status, 204);
    assert_eq!(worker.renew().await?, "lost");
    Ok(())
}

async fn an_enqueue_ends_the_wait_of_a_claim(engine: Engine) -> Result<()> {
    let (site, _database) = guarded_on(engine).await?;
    let worker = Program::free(&site, "worker-0a1b2c3d").await?;
    let begun = monotonic();
    let enqueue = async {
        // The claim is held by now, or finds the job at once; it must not last its whole time either way.
        tokio::time::sleep(Duration::from_millis(300)).await;
        enqueued(&site, json!({})).await
    };
    let (claimed, id) = tokio::join!(worker.claim("default", 19_000), enqueue);
    assert_eq!(claimed?["jobs"][0]["id"], json!(id?));
    // Without the signal a held claim looks every five seconds.
    let took = monotonic().duration_since(begun);
    assert!(took < Duration::from_secs(4), "{took:?}");
    Ok(())
}

async fn results_may_carry_the_next_claim(engine: Engine) -> Result<()> {
    let (site, _database) = guarded_on(engine).await?;
    let worker = Program::free(&site, "worker-0a1b2c3d").await?;
    let first = enqueued(&site, json!({})).await?;
    assert_eq!(worker.claims("default").await?, [first.as_str()]);
    let second = enqueued(&site, json!({})).await?;
    let next = |results: Value, max: u64| json!({ "results": results, "claim": { "queues": [{ "name": "default", "max": max }] } });
    let answer = worker.ok("results", next(json!([succeeded(&first, 1)]), 1)).await?;
    assert_eq!(answer["results"][0]["answer"], "applied");
    assert_eq!((&answer["jobs"][0]["id"], &answer["jobs"][0]["fence"]), (&json!(second), &json!(1)));
    assert!(answer["more"].is_boolean() && answer["as_of"].is_string(), "{answer}");
    let answer = worker.ok("results", next(json!([succeeded(&second, 1)]), 1)).await?;
    assert_eq!((&answer["results"][0]["answer"], &answer["jobs"]), (&json!("applied"), &json!([])));
    // Without a claim there is nothing of it in the answer.
    let answer = worker.ok("results", json!({ "results": [succeeded(&second, 1)] })).await?;
    assert_eq!((&answer["results"][0]["answer"], answer.get("jobs")), (&json!("replayed"), None));
    // A claim that makes no sense is told before anything is stored.
    let third = enqueued(&site, json!({})).await?;
    assert_eq!(worker.claims("default").await?, [third.as_str()]);
    worker.call("results", next(json!([succeeded(&third, 1)]), 0)).await?.refused(422, "invalid_request");
    assert_eq!(job(&site, &third).await?["status"], "running");
    Ok(())
}

async fn a_server_that_stops_answers_held_claims_and_workers_go_on_with_the_next(
    engine: Engine,
) -> Result<()> {
    let (site, _database) = guarded_on(engine).await?;
    let worker = Program::free(&site, "worker-0a1b2c3d").await?;
    let id = enqueued(&site, json!({})).await?;
    assert_eq!(worker.claims("default").await?, [id.as_str()]);
    let begun = monotonic();
    let stop = async {
        // What is asked later is answered by then, so the claim has come.
        tokio::time::sleep(Duration::from_millis(300)).await;
        worker.renew().await?;
        site.stop.cancel();
        anyhow::Ok(())
    };
    let (claimed, stopped) = tokio::join!(worker.claim("default", 19_000), stop);
    stopped?;
    assert_eq!(claimed?["jobs"], json!([]));
    assert!(monotonic().duration_since(begun) < Duration::from_secs(9), "it was held on");
    let client = site.client.clone();
    let bearer = worker.bearer.clone();
    tokio::time::timeout(PATIENCE, site.running).await.context("it did not stop")???;
    let site = serve(client, with_tokens(), fixed()).await?;
    let worker = Program { site: &site, bearer, id: "worker-0a1b2c3d" };
    assert_eq!(worker.renew().await?, "live");
    assert_eq!(worker.result(succeeded(&id, 1)).await?["answer"], "applied");
    let next = enqueued(&site, json!({})).await?;
    assert_eq!(worker.claims("default").await?, [next.as_str()]);
    Ok(())
}

async fn what_a_silent_worker_held_runs_again_after_its_lease(engine: Engine) -> Result<()> {
    let (site, _database) = guarded_on(engine).await?;
    let silent = Program::free(&site, "worker-0a1b2c3d").await?;
    let short = silent.named("worker-00000001");
    let mut registration = Program::registration(&["default"]);
    registration["lease_ms"] = json!(1000);
    assert_eq!(short.ok("register", registration).await?["lease_ms"], 1000);
    let id = enqueued(&site, json!({})).await?;
    assert_eq!(short.claims("default").await?, [id.as_str()]);
    // Its process is gone without a word. Another finds the job as soon as a watchdog has looked.
    let next = Program::free(&site, "worker-00000002").await?;
    until("the job is given to another worker", async || {
        site.send("POST", "/v1/watchdog/run", &[ADMIN], b"").await?;
        Ok(next.claims("default").await? == [id.as_str()])
    })
    .await?;
    // Taking it back has raised the fence, too.
    let fence = job(&site, &id).await?["lease"].as_u64().context("a fence")?;
    assert!(fence > 1);
    assert_eq!(short.renew().await?, "lost");
    assert_eq!(short.result(succeeded(&id, 1)).await?["answer"], "fenced");
    assert_eq!(next.result(succeeded(&id, fence)).await?["answer"], "applied");
    Ok(())
}

on_both_engines!(
    a_job_goes_its_way_over_tcp,
    an_enqueue_ends_the_wait_of_a_claim,
    results_may_carry_the_next_claim,
    a_server_that_stops_answers_held_claims_and_workers_go_on_with_the_next,
    what_a_silent_worker_held_runs_again_after_its_lease,
);

#[tokio::test]
async fn without_a_token_programs_of_the_machine_are_let_in_and_pages_of_browsers_are_not() -> Result<()> {
    let site = crate::harness::site().await?;
    let register =
        json!({ "worker_id": "worker-0a1b2c3d", "host": "h", "pid": 1, "queues": ["default"], "slots": 1 });
    let send = async |headers: &[(&str, &str)]| {
        let headers = [&[JSON], headers].concat();
        site.send("POST", "/v1/worker/register", &headers, register.to_string().as_bytes()).await
    };
    assert_eq!(send(&[]).await?.status, 200);
    send(&[("Host", "evil.example")]).await?.refused(403, "host_not_local");
    send(&[("Origin", "https://evil.example")]).await?.refused(403, "cross_site");
    Ok(())
}

#[tokio::test]
async fn a_token_counts_from_its_first_use_so_its_worker_outlives_the_end_of_openness() -> Result<()> {
    let site = crate::harness::site().await?;
    assert_eq!(site.get("/v1/workers").await?.status, 200);
    // The server has not looked for tokens since.
    let worker = Program::free(&site, "worker-0a1b2c3d").await?;
    site.get("/v1/workers").await?.refused(401, "token_missing");
    let row = site.client.store().worker(&WorkerId(worker.id.to_owned())).await?.context("the worker")?;
    let tokens = site.client.store().tokens().await?;
    assert_eq!(row.registered_by.as_deref(), Some(tokens[0].id.as_str()));
    assert_eq!(worker.renew().await?, "live");
    Ok(())
}

#[tokio::test]
async fn what_is_no_token_of_an_open_server_changes_nothing() -> Result<()> {
    let site = crate::harness::site().await?;
    let made = worker_token(&site, None, None).await?;
    let headers = [("Authorization", "Bearer left-over-from-another-server")];
    assert_eq!(site.send("GET", "/v1/workers", &headers, b"").await?.status, 200);
    assert_eq!(site.get("/v1/workers").await?.status, 200);
    let headers = [("Authorization", made.as_str())];
    site.send("GET", "/v1/audit", &headers, b"").await?.refused(403, "scope_missing");
    Ok(())
}
