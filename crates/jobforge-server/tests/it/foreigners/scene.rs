//! Two tenants with the same things, each with its name in all that is told of them.

use std::any::Any;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jobforge::core::claim::{ClaimAsk, QueueAsk, TypeBounds};
use jobforge::core::heartbeat::Report;
use jobforge::core::job::{ErrorInfo, JobId, WorkerId};
use jobforge::core::settle::{AttemptFacts, Outcome, RetryPolicy, decide};
use jobforge::core::time::Now;
use jobforge::core::token::Scope;
use jobforge::core::worker::NewWorker;
use serde_json::{Value, json};

use super::JSON;
use crate::engines::{Engine, content, guarded_on};
use crate::harness::{Answer, Site};
use crate::tokens::token;

/// `acme` asks; `globex` has jobs in every state, an operation, entries of the audit log, and causes of death that acme
/// shares.
pub(super) struct Two {
    pub(super) site: Site,
    _database: Box<dyn Any + Send>,
    /// Queued, running, dead, succeeded and canceled jobs of globex.
    pub(super) globex: Vec<String>,
    pub(super) operation: String,
    worker: WorkerId,
    group: String,
    pub(super) read_only: String,
    pub(super) operator: String,
}

fn worker(id: &WorkerId, tenant: &str) -> NewWorker {
    NewWorker {
        id: id.clone(),
        name: None,
        hostname: "host-a".to_owned(),
        pid: 1,
        queues: vec![format!("queue-{tenant}")],
        types: None,
        slots: 10,
        lease: Duration::from_secs(600),
        lease_scales: false,
        place: None,
        registered_by: None,
    }
}

pub(super) async fn two(engine: Engine) -> Result<Two> {
    let (mut site, database) = guarded_on(engine).await?;
    site.token = Some("admin-key".to_owned());
    let (mut globex, mut worker_id) = (Vec::new(), WorkerId::random());
    for tenant in ["acme", "globex"] {
        worker_id = WorkerId::random();
        globex = jobs_of(&site, tenant, &worker_id).await?;
    }
    let begun = site
        .send(
            "POST",
            "/v1/jobs/bulk",
            &[JSON],
            br#"{"action":"cancel","filter":{"tenant_id":"globex","tag":"none"}}"#,
        )
        .await?;
    let operation = begun.json()["id"].as_str().context("an operation")?.to_owned();
    let done = async || {
        let answer = site.get(&format!("/v1/operations/{operation}")).await?;
        Ok(answer.json()["state"] != "running")
    };
    crate::harness::until("the operation has ended", done).await?;
    let groups = site.get("/v1/dead/groups?tenant_id=globex").await?.json();
    let group = groups["groups"][0]["group"].as_str();
    let group = group.with_context(|| format!("a group in {groups}"))?.to_owned();
    let read_only = token(&site, Scope::Read, Some("acme")).await?.1;
    let operator = token(&site, Scope::Operate, Some("acme")).await?.1;
    site.token = Some(operator.clone());
    Ok(Two { site, _database: database, globex, operation, worker: worker_id, group, read_only, operator })
}

/// A queued, a running, a dead, a succeeded and a canceled job. All that is told of them has the tenant's name in it.
async fn jobs_of(site: &Site, tenant: &str, id: &WorkerId) -> Result<Vec<String>> {
    let job = async |key: &str, more: Value| {
        let mut body = json!({
            "type": "greet", "tenant_id": tenant, "queue": format!("queue-{tenant}"), "max_attempts": 1,
            "payload": { "file_name": format!("{tenant}.mov") }, "tags": [format!("tag-{tenant}")],
            "idempotency_key": format!("{key}-{tenant}"),
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        site.job(&body.to_string()).await
    };
    let running = job("running", json!({ "priority": 3 })).await?;
    let dead = job("dead", json!({ "priority": 1 })).await?;
    let done = job("done", json!({ "priority": 2 })).await?;
    let store = site.client.store();
    store.register(&worker(id, tenant), Now::Database).await?;
    let ask = ClaimAsk {
        worker: id.clone(),
        queues: vec![QueueAsk { queue: format!("queue-{tenant}"), limit: 10 }],
        types: None,
        tenant: None,
        beat_due_in: Duration::from_secs(600),
        beat_interval: None,
        alone: false,
        bounds: TypeBounds::default(),
    };
    let claimed = store.claim(&ask, Now::Database).await?.jobs;
    ensure!(claimed.len() == 3, "{} claimed", claimed.len());
    for job in &claimed {
        let id_of = |text: &str| text.parse::<JobId>();
        // The last attempt of a job that fails in the same way for both tenants is one cause of death for both.
        let error = ErrorInfo {
            message: "disk 17 is full".to_owned(),
            kind: "disk".to_owned(),
            retryable: true,
            details: Some(json!({ "of": tenant })),
        };
        let outcome = if job.id == id_of(&dead)? {
            Outcome::Retry { error, delay: None }
        } else if job.id == id_of(&done)? {
            Outcome::Succeeded { result: None }
        } else {
            continue;
        };
        let facts = AttemptFacts {
            id: job.id,
            lease: job.lease,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            retry: None,
        };
        let settlement = decide(&facts, outcome, Report::default(), &RetryPolicy::default(), 0.5);
        store.settle(id, &[settlement], Now::Database).await?;
    }
    let canceled = job("canceled", json!({})).await?;
    ensure!(site.post(&format!("/v1/jobs/{canceled}/cancel")).await?.status == 200);
    let queued = job("key", json!({})).await?;
    Ok(vec![queued, running, dead, done, canceled])
}

impl Two {
    pub(super) fn tells_of_globex(&self, text: &str) -> Option<String> {
        let words = self.globex.iter().chain([&self.operation, &self.worker.0]);
        words.map(String::as_str).chain(["globex"]).find(|word| text.contains(*word)).map(str::to_owned)
    }

    /// All that is globex's.
    pub(super) async fn theirs(&self) -> Result<String> {
        let all = content(&self.site).await?;
        Ok(all.lines().filter(|line| self.tells_of_globex(line).is_some()).collect::<Vec<_>>().join("\n"))
    }

    /// A text aimed at globex, and the same aimed at nobody.
    pub(super) fn aimed(&self, text: &str, job: &str) -> (String, String) {
        let at = |job: &str, tenant: &str, worker: &str, group: &str| {
            text.replace(":job", job)
                .replace(":tenant", tenant)
                .replace(":worker", worker)
                .replace(":group", group)
        };
        (
            at(job, "globex", &self.worker.0, &self.group),
            at(MISSING, "nobody", "worker-00000000", &self.group),
        )
    }

    /// Makes sure that two answers cannot be told apart, but for what the request itself named.
    pub(super) fn same(&self, what: &str, theirs: &Answer, nobodys: &Answer, job: &str) -> Result<()> {
        let told = |answer: &Answer, named: [&str; 3]| {
            let text = format!("{} {}", answer.told(), answer.body);
            named.iter().fold(text, |text, word| text.replace(word, "NAMED"))
        };
        let (theirs, nobodys) =
            (told(theirs, [job, "globex", &self.operation]), told(nobodys, [MISSING, "nobody", MISSING]));
        ensure!(theirs == nobodys, "{what}\n{theirs}\nis not\n{nobodys}");
        Ok(())
    }
}

/// The id of no job and no operation.
pub(super) const MISSING: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
