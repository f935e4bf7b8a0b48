//! The examples of `docs/worker-protocol.md`, which are real exchanges.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::worker_site::{WORKER, WorkerSite, claim, death, registration, sleeper, worker_site};

/// Set it to have the examples in the document written anew.
const UPDATE: &str = "JOBFORGE_UPDATE_EXAMPLES";
const JOB: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const BOOT: &str = "1f0c5ad8-7d2b-4f0e-9a51-8f6a6f0f2a11";
const MOMENT: &str = "2027-01-15T10:30:00.123Z";

/// One call with its answer, as the document shows it.
async fn exchange(site: &WorkerSite, call: &str, request: &Value) -> Result<(Value, String)> {
    let answer = site.call(call, request).await?;
    let told = if answer.body.is_empty() { Value::Null } else { answer.json() };
    let mut text = format!("POST /v1/worker/{call}\n\n{}\n\n", pretty(request)?);
    text.push_str(&format!("{}\n", answer.status));
    if !told.is_null() {
        text.push_str(&format!("\n{}\n", pretty(&told)?));
    }
    Ok((told, text))
}

/// Ids and moments differ from run to run; in the document they are always the same.
fn pretty(value: &Value) -> Result<String> {
    fn steady(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match name.as_str() {
                        "id" => *value = json!(JOB),
                        "as_of" | "enqueued_at" | "started_at" => *value = json!(MOMENT),
                        "boot_id" => *value = json!(BOOT),
                        "pid_namespace" => *value = json!(4_026_531_836_u64),
                        "pid" => *value = json!(4242),
                        "started" => *value = json!(987_654),
                        _ => steady(value),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(steady),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut value = value.clone();
    steady(&mut value);
    Ok(serde_json::to_string_pretty(&value)?)
}

async fn examples() -> Result<Vec<(&'static str, String)>> {
    let site = worker_site().await?;
    let mut texts = Vec::new();
    let (_, text) = exchange(&site, "register", &registration()).await?;
    texts.push(("register", text));
    site.job(&json!({ "timeout_ms": 60_000, "tags": ["welcome"] })).await?;
    let (claimed, text) = exchange(&site, "claim", &claim(20_000)).await?;
    texts.push(("claim", text));
    let (id, fence) = (&claimed["jobs"][0]["id"], &claimed["jobs"][0]["fence"]);
    let report = json!({
        "percent": 40, "message": "rendering the letter", "items": { "processed": 2, "failed": 0, "skipped": 0 },
        "checkpoint": { "page": 2 }, "log": "rendered page 1\nrendered page 2\n",
    });
    let beat = json!({ "worker_id": WORKER, "state": "run", "jobs": [{ "id": id, "fence": fence, "report": report }] });
    texts.push(("heartbeat", exchange(&site, "heartbeat", &beat).await?.1));
    let error = json!({ "message": "the mail server refused the letter", "kind": "smtp_451" });
    let retry = json!({ "id": id, "fence": fence, "outcome": "retry", "error": error, "retry_in_ms": 0 });
    let results = json!({ "worker_id": WORKER, "results": [retry] });
    texts.push(("results-retry", exchange(&site, "results", &results).await?.1));
    let claimed = site.claim(20_000).await?;
    let job = &claimed["jobs"][0];
    let sent =
        json!({ "id": job["id"], "fence": job["fence"], "outcome": "succeeded", "result": { "sent": true } });
    let results = json!({ "worker_id": WORKER, "results": [sent] });
    exchange(&site, "results", &results).await?;
    texts.push(("results-again", exchange(&site, "results", &results).await?.1));
    let mut late = results.clone();
    late["results"][0]["fence"] = fence.clone();
    texts.push(("results-late", exchange(&site, "results", &late).await?.1));
    site.job(&json!({})).await?;
    let (id, fence) = site.claim_one().await?;
    site.job(&json!({})).await?;
    let mut next = claim(0);
    next.as_object_mut().map(|fields| fields.remove("worker_id"));
    let sent = json!({ "id": id, "fence": fence, "outcome": "succeeded" });
    let results = json!({ "worker_id": WORKER, "results": [sent], "claim": next });
    texts.push(("results-claim", exchange(&site, "results", &results).await?.1));
    let mut odd = claim(0);
    odd["waitms"] = json!(1);
    texts.push(("problem", exchange(&site, "claim", &odd).await?.1));
    let leave = json!({ "worker_id": WORKER, "reason": "deployed a new version" });
    texts.push(("leave", exchange(&site, "leave", &leave).await?.1));
    texts.push(("deaths", a_death().await?));
    Ok(texts)
}

async fn a_death() -> Result<String> {
    let site = worker_site().await?;
    let (mut child, process) = sleeper()?;
    site.hold_as(child.id()).await?;
    child.kill()?;
    child.wait()?;
    Ok(exchange(&site, "deaths", &death(&process)).await?.1)
}

#[tokio::test]
async fn the_examples_of_the_document_are_what_the_server_says() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/worker-protocol.md");
    let before = std::fs::read_to_string(&path)?;
    let mut document = before.clone();
    for (name, text) in examples().await? {
        let (begin, end) = (format!("<!-- example: {name} -->\n"), "<!-- end -->");
        let from = document.find(&begin).with_context(|| format!("the document has no example {name}"))?
            + begin.len();
        let to = from + document[from..].find(end).with_context(|| format!("example {name} has no end"))?;
        document.replace_range(from..to, &format!("\n```http\n{text}```\n\n"));
    }
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &document)?;
    }
    assert!(
        document == before,
        "the examples have changed; run this test with {UPDATE}=1 and look at the difference"
    );
    Ok(())
}
