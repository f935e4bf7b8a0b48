//! A token of one tenant and everything that is another's: what it sees is what it would see if the other were not there.
//!
//! The routes come from the description of the API. One that is not aimed at another tenant here fails the tests.

mod scene;

use anyhow::{Context, Result, bail, ensure};
use jobforge::core::enqueue::JobRequest;
use jobforge::core::token::Scope;
use jobforge_server::openapi;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::engines::{Engine, content, on_both_engines};
use crate::harness::PATIENCE;
use scene::{MISSING, two};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// How a route is aimed at the other tenant, `globex`.
///
/// In queries and bodies `:job` is a job of globex, `:tenant` its name and `:op` an operation of it; each is then replaced
/// by one that does not exist, and the answers have to be the same.
enum Aim {
    /// The id in the path is one of globex.
    Path(&'static str),
    /// A list; with these in its query it must show nothing of globex.
    List(&'static [&'static str]),
    /// These bodies name what is globex's, and are refused.
    Bodies(&'static [&'static str]),
    /// It tells the same to everybody.
    Same,
    /// [`a_stream_tells_nothing_of_another_tenant`].
    Stream,
}

fn aim(route: &str) -> Option<Aim> {
    use Aim::{Bodies, List, Path, Same, Stream};
    Some(match route {
        "GET /v1/jobs" => List(&[
            "tenant_id=:tenant",
            "status=queued,running,dead,succeeded,canceled,failed",
            "type=:tenant",
            "queue=queue-:tenant",
            "tag=tag-:tenant",
            "idempotency_key=key-:tenant",
            "worker=:worker",
            "before=:job&tenant_id=:tenant",
            "limit=500",
        ]),
        "POST /v1/jobs" => Bodies(&[r#"{"type":"greet","tenant_id":":tenant"}"#]),
        "POST /v1/jobs/many" => {
            Bodies(&[r#"{"jobs":[{"type":"greet"},{"type":"greet","tenant_id":":tenant"}]}"#])
        }
        "POST /v1/jobs/bulk" => Bodies(&[
            r#"{"action":"cancel","filter":{"tenant_id":":tenant"}}"#,
            r#"{"action":"delete","filter":{"tenant_id":":tenant","type":"greet"},"dry_run":true}"#,
        ]),
        "GET /v1/jobs/{id}"
        | "GET /v1/jobs/{id}/explain"
        | "GET /v1/jobs/{id}/timeline"
        | "GET /v1/jobs/{id}/logs"
        | "GET /v1/jobs/{id}/payload" => Path(""),
        "DELETE /v1/jobs/{id}" | "POST /v1/jobs/{id}/cancel" | "POST /v1/jobs/{id}/retry" => Path(""),
        "POST /v1/jobs/{id}/reschedule" => Path(r#"{"delay_ms":1000}"#),
        "GET /v1/dead/groups" | "GET /v1/dead/jobs" => List(&[
            "tenant_id=:tenant",
            "resolved=true",
            "type=:tenant",
            "queue=queue-:tenant",
            "group=:group",
        ]),
        "POST /v1/dead/resolve" => Bodies(&[r#"{"ids":[":job"],"note":"n"}"#]),
        "GET /v1/audit" => List(&[
            "tenant_id=:tenant",
            "target=:job",
            "action=job.",
            "limit=500",
            "actor=token%3AADMIN_TOKEN",
        ]),
        "GET /v1/tenants" => List(&["limit=500", "prefix=glo", "prefix=:tenant", "sort=ready"]),
        "GET /v1/operations" => List(&["limit=500"]),
        "GET /v1/operations/{id}" | "POST /v1/operations/{id}/cancel" => Path(""),
        "GET /v1/events" => Stream,
        "GET /v1/openapi.json" | "GET /v1/limits" => Same,
        "GET /api/qc/debug" => List(&[]),
        "POST /api/qc/debug" => Bodies(&[
            r#"{"action":"retry_specific","jobId":":job"}"#,
            r#"{"action":"retry_specific","jobIds":[":job"]}"#,
        ]),
        "POST /api/qc/reprocess" => Bodies(&[r#"{"jobId":":job"}"#, r#"{"jobIds":[":job"]}"#]),
        "GET /api/admin/dlq" => List(&["stats=true", "status=resolved", "limit=500"]),
        "POST /api/admin/dlq" => Bodies(&[
            r#"{"action":"retry","id":":job"}"#,
            r#"{"action":"retry","id":":job","dryRun":true}"#,
            r#"{"action":"resolve","id":":job","notes":"n"}"#,
        ]),
        _ => return None,
    })
}

/// Every route: method, path, its scope if it needs one, and whether it concerns all tenants.
fn routes() -> Vec<(String, String, Option<Scope>, bool)> {
    let description: Value = serde_json::from_str(openapi()).expect("JSON");
    let mut routes = Vec::new();
    for (path, methods) in description["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let Some(security) = operation.get("security") else { continue };
            let scope = security[0]["bearer"][0].as_str().map(|scope| scope.parse().expect("a scope"));
            let all = operation["x-all-tenants"].as_bool().unwrap_or_default();
            routes.push((method.to_uppercase(), path.clone(), scope, all));
        }
    }
    routes
}

#[test]
fn every_route_is_aimed_at_another_tenant() {
    let missing: Vec<String> = routes()
        .iter()
        .filter(|(_, _, scope, all)| scope.is_some() && !all)
        .map(|(method, path, ..)| format!("{method} {path}"))
        .filter(|route| aim(route).is_none())
        .collect();
    assert!(missing.is_empty(), "nothing here shows what these tell a stranger; see aim(): {missing:?}");
}

async fn a_foreign_job_is_answered_as_one_that_does_not_exist(engine: Engine) -> Result<()> {
    let two = two(engine).await?;
    let before = two.theirs().await?;
    ensure!(before.lines().count() > 5, "{before}");
    for (method, path, scope, all) in routes() {
        let route = format!("{method} {path}");
        if scope.is_none() || all {
            continue;
        }
        match aim(&route).with_context(|| format!("{route} has no aim"))? {
            Aim::Path(body) => {
                let foreign: Vec<&String> = if path.contains("operations") {
                    vec![&two.operation]
                } else {
                    two.globex.iter().collect()
                };
                let headers: &[(&str, &str)] = if body.is_empty() { &[] } else { &[JSON] };
                for id in foreign {
                    let theirs =
                        two.site.send(&method, &path.replace("{id}", id), headers, body.as_bytes()).await?;
                    let nobodys = two
                        .site
                        .send(&method, &path.replace("{id}", MISSING), headers, body.as_bytes())
                        .await?;
                    ensure!(theirs.status == 404, "{route}: {theirs:?}");
                    two.same(&route, &theirs, &nobodys, id)?;
                }
            }
            Aim::Bodies(bodies) => {
                for body in bodies {
                    for job in &two.globex {
                        let (at_them, at_nobody) = two.aimed(body, job);
                        let theirs = two.site.send(&method, &path, &[JSON], at_them.as_bytes()).await?;
                        let nobodys = two.site.send(&method, &path, &[JSON], at_nobody.as_bytes()).await?;
                        ensure!(matches!(theirs.status, 403 | 404), "{route} {body}: {theirs:?}");
                        two.same(&format!("{route} {body}"), &theirs, &nobodys, job)?;
                        if !body.contains(":job") {
                            break;
                        }
                    }
                }
            }
            Aim::List(_) | Aim::Same | Aim::Stream => {}
        }
        ensure!(two.theirs().await? == before, "{route} changed something of globex");
    }
    Ok(())
}

async fn no_list_or_count_tells_of_another_tenant(engine: Engine) -> Result<()> {
    let mut two = two(engine).await?;
    for token in [two.operator.clone(), two.read_only.clone()] {
        two.site.token = Some(token);
        for (method, path, scope, all) in routes() {
            let route = format!("{method} {path}");
            let Some(Aim::List(queries)) = aim(&route).filter(|_| scope.is_some() && !all) else { continue };
            let plain = two.site.get(&path).await?;
            ensure!(plain.status == 200, "{route}: {plain:?}");
            ensure!(two.tells_of_globex(&plain.body).is_none(), "{route} tells of globex: {}", plain.body);
            ensure!(
                plain.body.contains("acme") || path.contains("groups") || path == "/v1/operations",
                "{route} shows nothing of acme: {}",
                plain.body
            );
            for query in queries {
                for job in &two.globex {
                    let (at_them, at_nobody) = two.aimed(query, job);
                    let theirs = two.site.get(&format!("{path}?{at_them}")).await?;
                    let nobodys = two.site.get(&format!("{path}?{at_nobody}")).await?;
                    let what = format!("{route}?{query}");
                    two.same(&what, &theirs, &nobodys, job)?;
                    let told = theirs.body.replace("which is not \\\"globex\\\"", "");
                    ensure!(two.tells_of_globex(&told).is_none(), "{what} tells of globex: {told}");
                    if !query.contains(":job") {
                        break;
                    }
                }
            }
        }
    }
    // What both died of counts once for each.
    let groups = two.site.get("/v1/dead/groups").await?.json();
    ensure!(
        groups["groups"].as_array().is_some_and(|all| all.len() == 1) && groups["groups"][0]["count"] == 1,
        "{groups}"
    );
    let stats = two.site.get("/api/admin/dlq?stats=true").await?.json();
    ensure!(stats["stats"]["total"] == 1, "{stats}");
    let counts = two.site.get("/api/qc/debug").await?.json();
    ensure!(counts["jobs"]["total"] == 5, "{counts}");
    Ok(())
}

async fn what_concerns_all_tenants_is_closed_to_each(engine: Engine) -> Result<()> {
    let two = two(engine).await?;
    let before = content(&two.site).await?;
    for (method, path, scope, all) in routes() {
        let path = path.replace("{name}", "queue-globex").replace("{key}", "slots").replace("{id}", "x");
        match scope {
            Some(_) if all => {
                for body in ["", "{}", r#"{"tenant_id":"acme"}"#] {
                    let answer = two.site.send(&method, &path, &[JSON], body.as_bytes()).await?;
                    ensure!(answer.status == 403, "{method} {path}: {answer:?}");
                    let code = answer.json()["code"].clone();
                    ensure!(code == "tenant_bound" || code == "scope_missing", "{method} {path}: {code}");
                    ensure!(two.tells_of_globex(&answer.body).is_none(), "{method} {path}: {answer:?}");
                }
            }
            Some(_) => {}
            None => {
                let answer = two.site.send(&method, &path, &[], b"").await?;
                ensure!(two.tells_of_globex(&answer.body).is_none(), "{method} {path}: {answer:?}");
            }
        }
    }
    let sweep = two.site.send("POST", "/api/qc/debug", &[JSON], br#"{"action":"trigger_watchdog"}"#).await?;
    sweep.refused(403, "tenant_bound");
    let purge = two.site.send("POST", "/api/admin/dlq", &[JSON], br#"{"action":"purge"}"#).await?;
    purge.refused(403, "scope_missing");
    ensure!(content(&two.site).await? == before, "something was changed");
    Ok(())
}

async fn deeds_reach_only_ones_own(engine: Engine) -> Result<()> {
    let two = two(engine).await?;
    let before = two.theirs().await?;
    // The same key in two tenants is two jobs, and says nothing of the other.
    let body =
        r#"{"type":"greet","queue":"queue-globex","idempotency_key":"key-globex","payload":{"other":1}}"#;
    let made = two.site.enqueue(body).await?;
    ensure!(made.status == 201 && made.json()["created"] == true, "{made:?}");
    let own = made.json()["id"].as_str().context("an id")?.to_owned();
    ensure!(made.header("location") == format!("/v1/jobs/{own}") && !two.globex.contains(&own), "{made:?}");
    // What takes everything takes everything of one's own.
    let everything = br#"{"action":"delete","filter":{},"all":true}"#;
    let begun = two.site.send("POST", "/v1/jobs/bulk", &[JSON], everything).await?;
    ensure!(begun.status == 202 && begun.header("location").starts_with("/v1/operations/"), "{begun:?}");
    let place = begun.header("location").to_owned();
    let ended = async || Ok(two.site.get(&place).await?.json()["state"] == "done");
    crate::harness::until("the operation has ended", ended).await?;
    for action in ["retry_stuck", "cancel_stuck"] {
        let answer = two
            .site
            .send("POST", "/api/qc/debug", &[JSON], format!(r#"{{"action":"{action}"}}"#).as_bytes())
            .await?;
        ensure!(answer.status == 200 && two.tells_of_globex(&answer.body).is_none(), "{action}: {answer:?}");
    }
    // Workers serve everybody.
    let restart = br#"{"action":"trigger_worker","all":true}"#;
    two.site.send("POST", "/api/qc/debug", &[JSON], restart).await?.refused(403, "tenant_bound");
    ensure!(
        two.theirs().await?.lines().filter(|line| !line.contains(&own)).eq(before.lines()),
        "something of globex was changed"
    );
    Ok(())
}

async fn a_stream_tells_nothing_of_another_tenant(engine: Engine) -> Result<()> {
    let two = two(engine).await?;
    let mut heard = String::new();
    for last in ["", "Last-Event-ID: 0\r\n"] {
        let mut stream = TcpStream::connect(two.site.address).await?;
        let head = format!(
            "GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n{last}\r\n",
            two.operator
        );
        stream.write_all(head.as_bytes()).await?;
        read_until(&mut stream, &mut heard, "event: ").await?;
        let theirs = JobRequest {
            job_type: "greet".to_owned(),
            tenant_id: Some("globex".to_owned()),
            ..JobRequest::default()
        };
        two.site.client.enqueue_untyped(theirs).await?;
        let own = two.site.job(r#"{"type":"greet"}"#).await?;
        read_until(&mut stream, &mut heard, &own).await?;
    }
    ensure!(two.tells_of_globex(&heard).is_none(), "{heard}");
    Ok(())
}

async fn read_until(stream: &mut TcpStream, heard: &mut String, word: &str) -> Result<()> {
    let begun = heard.len();
    let read = async {
        while !heard[begun..].contains(word) {
            let mut piece = [0; 4096];
            match stream.read(&mut piece).await? {
                0 => bail!("the stream ended"),
                count => heard.push_str(&String::from_utf8_lossy(&piece[..count])),
            }
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, read).await.with_context(|| format!("{word} was not heard"))?
}

on_both_engines!(
    a_foreign_job_is_answered_as_one_that_does_not_exist,
    no_list_or_count_tells_of_another_tenant,
    what_concerns_all_tenants_is_closed_to_each,
    deeds_reach_only_ones_own,
    a_stream_tells_nothing_of_another_tenant,
);
