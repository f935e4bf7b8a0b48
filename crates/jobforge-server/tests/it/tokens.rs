//! Tokens: scopes, tenants, the end of their time, and those who guess.

use std::time::Duration;

use anyhow::{Context, Result};
use jobforge::clock;
use jobforge::core::audit::AuditFilter;
use jobforge::core::time::{Now, add};
use jobforge::core::token::{NewToken, Scope};
use jobforge_server::openapi;
use serde_json::Value;

use crate::harness::{Site, guarded};

/// Makes a token and returns its id and its text.
pub(crate) async fn token(site: &Site, scope: Scope, tenant: Option<&str>) -> Result<(String, String)> {
    let new = NewToken {
        name: format!("test {scope}"),
        scopes: vec![scope],
        tenant_id: tenant.map(str::to_owned),
        queues: None,
        expires_at: None,
    };
    let (text, row) = site.client.create_token(new).await?;
    Ok((row.id, text.secret().to_owned()))
}

/// Every route of the description that needs a scope: method, path and scope.
fn routes() -> Vec<(String, String, Scope)> {
    let description: Value = serde_json::from_str(openapi()).expect("JSON");
    let mut routes = Vec::new();
    for (path, methods) in description["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let Some(scope) = operation["security"][0]["bearer"][0].as_str() else { continue };
            let path = path.replace("{id}", "x").replace("{name}", "x").replace("{key}", "x");
            routes.push((method.to_uppercase(), path, scope.parse().expect("a scope")));
        }
    }
    routes
}

#[tokio::test]
async fn every_route_asks_for_its_scope_and_for_no_other() -> Result<()> {
    let mut site = guarded().await?;
    let routes = routes();
    assert!(routes.len() > 40, "{} routes", routes.len());
    for (method, path, _) in &routes {
        site.send(method, path, &[], b"").await?.refused(401, "token_missing");
    }
    for scope in Scope::ALL {
        site.token = Some(token(&site, scope, None).await?.1);
        for (method, path, needed) in routes.iter().filter(|(_, path, _)| path != "/v1/events") {
            let answer = site.send(method, path, &[], b"").await?;
            if scope.covers(*needed) {
                assert!(!matches!(answer.status, 401 | 403), "{scope} on {method} {path}: {answer:?}");
            } else {
                answer.refused(403, "scope_missing");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn no_spelling_of_a_path_gets_around_the_token() -> Result<()> {
    let site = guarded().await?;
    let public = ["/api/health", "/api/health/full", "/api/config", "/livez", "/"];
    for (_, path, _) in routes() {
        for public in public {
            for spelled in
                [format!("{path}{public}"), format!("{path}/..{public}"), format!("{path}%2f..{public}")]
            {
                let answer = site.get(&spelled).await?;
                assert!(matches!(answer.status, 400 | 401 | 404 | 405), "{spelled}: {answer:?}");
            }
        }
    }
    site.get("/v1/jobs?token=operator-key").await?.refused(400, "token_in_url");
    Ok(())
}

#[tokio::test]
async fn a_token_of_one_tenant_sees_and_touches_only_its_own() -> Result<()> {
    let mut site = guarded().await?;
    site.token = Some("admin-key".to_owned());
    let foreign = site.job(r#"{"type":"greet","tenant_id":"globex"}"#).await?;
    site.token = Some(token(&site, Scope::Operate, Some("acme")).await?.1);
    let own = site.job(r#"{"type":"greet"}"#).await?;
    assert_eq!(site.get(&format!("/v1/jobs/{own}")).await?.json()["tenant_id"], "acme");
    site.enqueue(r#"{"type":"greet","tenant_id":"globex"}"#).await?.refused(403, "tenant_mismatch");
    site.get("/v1/jobs?tenant_id=globex").await?.refused(403, "tenant_mismatch");
    let listed = site.get("/v1/jobs").await?.json();
    assert_eq!(listed["jobs"].as_array().context("jobs")?.len(), 1);
    let unknown = uuid::Uuid::now_v7().to_string();
    for (method, end) in [
        ("GET", ""),
        ("GET", "/explain"),
        ("GET", "/logs"),
        ("GET", "/timeline"),
        ("POST", "/cancel"),
        ("POST", "/retry"),
        ("DELETE", ""),
    ] {
        let told = site
            .send(method, &format!("/v1/jobs/{foreign}{end}"), &[], b"")
            .await?
            .refused(404, "job_not_found");
        let nothing = site
            .send(method, &format!("/v1/jobs/{unknown}{end}"), &[], b"")
            .await?
            .refused(404, "job_not_found");
        assert_eq!(told.replace(&foreign, ""), nothing.replace(&unknown, ""), "{method} {end}");
    }
    let retry = format!(r#"{{"action":"retry_specific","jobId":"{foreign}"}}"#);
    site.send("POST", "/api/qc/debug", &[], retry.as_bytes()).await?.refused(404, "job_not_found");
    let reprocess = format!(r#"{{"jobIds":["{own}","{foreign}"]}}"#);
    site.send("POST", "/api/qc/reprocess", &[], reprocess.as_bytes()).await?.refused(404, "job_not_found");
    for path in ["/v1/queues", "/v1/workers", "/v1/settings", "/v1/watchdog/runs"] {
        site.get(path).await?.refused(403, "tenant_bound");
    }
    let sweep = br#"{"action":"trigger_watchdog"}"#;
    site.send("POST", "/api/qc/debug", &[], sweep).await?.refused(403, "tenant_bound");
    let debug = site.get("/api/qc/debug").await?.json();
    assert_eq!(debug["jobs"]["counts"]["queued"], 1, "{debug}");
    assert_eq!(debug["watchdogMetrics"], Value::Null);
    let audit = site.get("/v1/audit").await?.json();
    assert!(
        audit["entries"].as_array().context("entries")?.iter().all(|e| e["tenant_id"] == "acme"),
        "{audit}"
    );
    let health = site.get("/api/health/full").await?.json();
    assert!(health["watchdog"]["details"].get("watchdogs").is_none(), "{health}");
    Ok(())
}

#[tokio::test]
async fn a_token_that_was_revoked_or_expired_opens_nothing_any_more() -> Result<()> {
    let mut site = guarded().await?;
    let (id, text) = token(&site, Scope::Read, None).await?;
    site.token = Some(text.clone());
    assert_eq!(site.get("/v1/jobs").await?.status, 200);
    let used = async || {
        let (row, _) = site.client.store().token(&id, Now::Database).await?.context("the token")?;
        anyhow::Ok(row.last_used_at.is_some())
    };
    crate::harness::until("its use is noted", used).await?;
    let admin = [("Authorization", "Bearer admin-key")];
    site.token = None;
    assert_eq!(site.send("DELETE", &format!("/v1/tokens/{id}"), &admin, b"").await?.status, 204);
    site.send("DELETE", &format!("/v1/tokens/{id}"), &admin, b"").await?.refused(404, "token_not_found");
    let bearer = format!("Bearer {text}");
    let header = [("Authorization", bearer.as_str())];
    crate::harness::until("it opens nothing any more", async || {
        Ok(site.send("GET", "/v1/jobs", &header, b"").await?.status == 401)
    })
    .await?;
    site.send("GET", "/v1/jobs", &header, b"").await?.refused(401, "token_revoked");

    let now = site.client.store().now().await?;
    let new = NewToken {
        name: "short".to_owned(),
        scopes: vec![Scope::Read],
        tenant_id: None,
        queues: None,
        expires_at: Some(add(now, Duration::from_millis(700))),
    };
    let (text, _) = site.client.create_token(new).await?;
    let bearer = format!("Bearer {}", text.secret());
    let header = [("Authorization", bearer.as_str())];
    assert_eq!(site.send("GET", "/v1/jobs", &header, b"").await?.status, 200);
    crate::harness::until("its time is over", async || {
        Ok(site.send("GET", "/v1/jobs", &header, b"").await?.status == 401)
    })
    .await?;
    site.send("GET", "/v1/jobs", &header, b"").await?.refused(401, "token_expired");
    Ok(())
}

#[tokio::test]
async fn who_guesses_has_to_wait_and_is_told_of_while_who_knows_goes_on() -> Result<()> {
    let site = guarded().await?;
    let send = async |token: &str| {
        let bearer = format!("Bearer {token}");
        site.send("GET", "/v1/jobs", &[("Authorization", bearer.as_str())], b"").await
    };
    assert_eq!(send("operator-key").await?.status, 200);
    for guess in 0..10 {
        send(&format!("guess-{guess}")).await?.refused(401, "token_unknown");
    }
    let blocked = send("guess-10").await?;
    blocked.refused(429, "too_many_failures");
    assert!(blocked.header("retry-after").parse::<u64>().is_ok_and(|s| (1..=60).contains(&s)), "{blocked:?}");
    send("admin-key").await?.refused(429, "too_many_failures");
    assert_eq!(send("operator-key").await?.status, 200, "what opened before still does");
    let told = async || {
        let filter = AuditFilter { action: Some("auth.".to_owned()), ..AuditFilter::default() };
        let entries = site.client.store().audit(&filter, 10).await?;
        Ok(entries.len() == 2 && entries.iter().all(|e| e.by.address.as_deref() == Some("127.0.0.1")))
    };
    crate::harness::until("the first and the blocking failure are in the audit log", told).await
}

#[tokio::test]
async fn the_first_token_closes_a_server_that_had_none() -> Result<()> {
    let mut site = crate::harness::site().await?;
    assert_eq!(site.get("/v1/jobs").await?.status, 200);
    let made = site
        .send(
            "POST",
            "/v1/tokens",
            &[("Content-Type", "application/json")],
            br#"{"name":"ops","scopes":["admin"]}"#,
        )
        .await?;
    assert_eq!(made.status, 201, "{made:?}");
    let text = made.json()["token"].as_str().context("a token")?.to_owned();
    crate::harness::until("it asks for a token", async || Ok(site.get("/v1/jobs").await?.status == 401))
        .await?;
    site.token = Some(text.clone());
    let listed = site.get("/v1/tokens").await?;
    assert_eq!(listed.json()["tokens"][0]["name"], "ops");
    assert!(!listed.body.contains(&text) && !listed.body.contains("hash"), "{listed:?}");
    Ok(())
}

#[tokio::test]
async fn every_deed_says_who_did_it_and_why() -> Result<()> {
    let mut site = guarded().await?;
    site.token = Some("operator-key".to_owned());
    let id = site.job(r#"{"type":"greet"}"#).await?;
    let canceled =
        site.send("POST", &format!("/v1/jobs/{id}/cancel"), &[("X-Reason", "a mistake")], b"").await?;
    assert_eq!(canceled.status, 200);
    let audit = site.get(&format!("/v1/audit?target={id}")).await?.json();
    let entry = &audit["entries"][0];
    assert_eq!(entry["action"], "job.cancel");
    assert_eq!((&entry["actor"], &entry["reason"]), (&"token:AUTH_TOKEN".into(), &"a mistake".into()));
    assert_eq!(entry["request_id"], canceled.header("x-request-id"));
    assert_eq!(entry["before"], r#"{"status":"queued"}"#);
    assert_eq!(site.get("/v1/audit/verify").await?.json()["whole"], true);
    let timeline = site.get(&format!("/v1/jobs/{id}/timeline")).await?.json();
    let events: Vec<&str> =
        timeline["events"].as_array().context("events")?.iter().filter_map(|e| e["event"].as_str()).collect();
    assert_eq!(events, ["enqueued", "job.cancel"]);
    Ok(())
}

#[tokio::test]
async fn a_server_whose_last_token_was_taken_back_stays_closed() -> Result<()> {
    let site = crate::harness::site().await?;
    let (id, _) = token(&site, Scope::Admin, None).await?;
    crate::harness::until("it is closed", async || Ok(site.get("/v1/jobs").await?.status == 401)).await?;
    assert!(site.client.store().revoke_token(&id, site.client.by(), Now::Database).await?);
    // Longer than between two looks for tokens: an open server would be open to whoever reaches it by now.
    let begun = clock::monotonic();
    while clock::monotonic().duration_since(begun) < Duration::from_secs(5) {
        site.get("/v1/jobs").await?.refused(401, "token_missing");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
