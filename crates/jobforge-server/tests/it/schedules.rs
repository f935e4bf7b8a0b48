//! Schedules over HTTP.

use std::time::Duration;

use anyhow::{Context, Result};
use jobforge::core::audit::By;
use jobforge::core::schedule::{Definition, Source, check};
use jobforge::core::time::{Now, add as add_to, sub};
use serde_json::{Value, json};

use crate::engines::{Engine, guarded_on, on_both_engines};
use crate::harness::{Answer, Site, site, until};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const REASON: (&str, &str) = ("X-Reason", "the deploy");

async fn send(site: &Site, method: &str, path: &str, body: &Value) -> Result<Answer> {
    site.send(method, path, &[JSON, REASON], body.to_string().as_bytes()).await
}

async fn add(site: &Site, body: Value) -> Result<Answer> {
    send(site, "POST", "/v1/schedules", &body).await
}

#[tokio::test]
async fn a_schedule_lives_from_its_making_to_its_removal() -> Result<()> {
    let site = site().await?;
    let body = json!({ "name": "hot_score_refresh", "type": "refresh", "every": "5m", "payload": { "top": 12345678901234567890_u64 } });
    let made = add(&site, body.clone()).await?;
    assert_eq!((made.status, made.header("etag")), (201, "\"v1\""), "{made:?}");
    let made = made.json();
    assert_eq!(
        (&made["when"], &made["state"], &made["source"]),
        (&"every 5 minutes".into(), &"new".into(), &"api".into())
    );
    assert_eq!((&made["interval_ms"], &made["stale_after_ms"]), (&300_000.into(), &600_000.into()));
    assert_eq!(made["next"].as_array().context("next")?.len(), 5, "{made}");
    add(&site, body).await?.refused(409, "schedule_exists");

    let path = "/v1/schedules/hot_score_refresh";
    let changed = send(&site, "PATCH", path, &json!({ "every": null, "cron": "0 * * * *" })).await?;
    assert_eq!(
        (changed.status, &changed.json()["when"]),
        (200, &"every hour, on the hour".into()),
        "{changed:?}"
    );
    assert_eq!(changed.json()["definition"]["payload"]["top"], json!(12345678901234567890_u64));
    let stale = [JSON, ("If-Match", "\"v1\"")];
    site.send("PATCH", path, &stale, b"{\"priority\": 3}").await?.refused(409, "schedule_changed");
    send(&site, "PATCH", path, &json!({ "paused": true })).await?.refused(422, "invalid_request");

    let run = site.post("/v1/schedules/hot_score_refresh/run").await?;
    assert_eq!(run.status, 202, "{run:?}");
    let job = run.json()["job_id"].as_str().context("a job")?.to_owned();
    assert_eq!(site.get(&format!("/v1/jobs/{job}")).await?.json()["type"], "refresh");
    site.post("/v1/schedules/hot_score_refresh/run").await?.refused(409, "schedule_busy");
    let forced =
        send(&site, "POST", "/v1/schedules/hot_score_refresh/run", &json!({ "force": true })).await?;
    assert_eq!(forced.status, 202, "{forced:?}");
    let history = site.get("/v1/schedules/hot_score_refresh/history").await?.json();
    assert_eq!(history["runs"].as_array().context("runs")?.len(), 2, "{history}");

    let paused =
        send(&site, "POST", "/v1/schedules/hot_score_refresh/pause", &json!({ "for_ms": 60_000 })).await?;
    assert_eq!(paused.json()["changed"], true, "{paused:?}");
    let shown = site.get(path).await?.json();
    assert_eq!(
        (&shown["state"], &shown["paused"]["reason"]),
        (&"paused".into(), &"the deploy".into()),
        "{shown}"
    );
    assert_eq!(site.post("/v1/schedules/hot_score_refresh/resume").await?.json()["changed"], true);
    let listed = site.get("/v1/schedules?limit=10").await?.json();
    assert_eq!(listed["schedules"][0]["name"], "hot_score_refresh", "{listed}");
    let next = site.get("/v1/schedules/hot_score_refresh/next?limit=3").await?.json();
    assert_eq!(next["next"].as_array().context("next")?.len(), 3);
    assert_eq!(site.delete(path).await?.status, 200);
    site.get(path).await?.refused(404, "schedule_not_found");
    Ok(())
}

#[tokio::test]
async fn a_bad_schedule_is_refused_with_what_is_wrong_and_where() -> Result<()> {
    let site = site().await?;
    let when = |cron: &str| json!({ "name": "x", "type": "x", "cron": cron });
    for (body, code) in [
        (when("* * * *"), "bad_cron"),
        (when("60 * * * *"), "bad_cron"),
        (when("@reboot"), "bad_cron"),
        (when(&"*".repeat(10_000)), "bad_cron"),
        (when("0 0 30 2 *"), "cron_never_fires"),
        (
            json!({ "name": "x", "type": "x", "cron": "* * * * *", "time_zone": "../etc/passwd" }),
            "bad_timezone",
        ),
        (json!({ "name": "x", "type": "x", "cron": "* * * * *", "every": "1m" }), "conflict"),
        (json!({ "name": "x y", "type": "x", "cron": "* * * *" }), "invalid_schedule"),
        (json!({ "name": "x", "type": "x", "evry": "1m" }), "invalid_request"),
    ] {
        add(&site, body).await?.refused(422, code);
    }
    let told = add(&site, when("30 25 * * *")).await?.refused(422, "bad_cron");
    assert!(told.contains("\"25\" at character 4") && told.contains("write for example"), "{told}");
    assert!(site.client.store().schedule("x").await?.is_none());
    site.get("/v1/schedules/none/history").await?.refused(404, "schedule_not_found");
    Ok(())
}

#[tokio::test]
async fn health_tells_whether_anybody_fires_and_what_is_late() -> Result<()> {
    let site = site().await?;
    let scheduler = async || anyhow::Ok(site.get("/api/health/full").await?.json()["scheduler"].clone());
    assert_eq!(scheduler().await?["status"], "not_configured");
    add(&site, json!({ "name": "tick", "type": "tick", "every": "1h" })).await?;
    until("nobody fires, and that is told", async || Ok(scheduler().await?["status"] == "error")).await?;
    site.client.store().lead_schedules("me", Duration::from_secs(5), Now::Database).await?;
    until("somebody does", async || Ok(scheduler().await?["status"] == "ok")).await?;
    let told = scheduler().await?;
    assert_eq!((&told["details"]["schedules"], &told["details"]["late"]), (&1.into(), &0.into()), "{told}");
    assert!(told["details"]["last_tick"].is_string(), "{told}");
    Ok(())
}

on_both_engines!(health_degrades_when_nobody_fires_and_when_a_schedule_is_stale);

async fn health_degrades_when_nobody_fires_and_when_a_schedule_is_stale(engine: Engine) -> Result<()> {
    let (site, _database) = guarded_on(engine).await?;
    let store = site.client.store();
    let now = store.now().await?;
    let (turn, me) = (Duration::from_secs(5), By::named("me"));
    let five_minutes_ago = Now::Fixed(sub(now, Duration::from_secs(300)));
    let definition = |name: &str, stale_after_ms: Option<i64>| {
        let every = Some("1h".to_owned());
        let anchor = Some(add_to(now, Duration::from_secs(1800)).to_string());
        check(Definition { every, anchor, stale_after_ms, ..Definition::new(name, "tick") }, now)
    };
    store.create_schedule(&definition("patient", None)?, Source::Api, &me, five_minutes_ago).await?;
    store.lead_schedules("me", turn, five_minutes_ago).await?;
    let is = async |wanted: &str| Ok(site.get("/api/health").await?.json()["status"] == wanted);
    until("silence is told", async || is("degraded").await).await?;
    let whole = site.get("/api/health/full").await?.json();
    assert!(whole["missing_roles"].as_array().context("roles")?.contains(&"scheduler".into()), "{whole}");
    let message = whole["scheduler"]["message"].as_str().context("a message")?;
    assert!(message.contains("no scheduler has looked for 5 min"), "{message}");
    assert!(message.contains("jobforge serve --roles scheduler"), "{message}");
    store.lead_schedules("me", turn, Now::Database).await?;
    until("somebody looks again", async || is("healthy").await).await?;
    // Who may not see everything is told that something is wrong, but not what it is called.
    store.create_schedule(&definition("secret", Some(60_000))?, Source::Api, &me, five_minutes_ago).await?;
    until("a stale schedule is told of", async || is("degraded").await).await?;
    for path in ["/api/health", "/api/health/full"] {
        let told = site.get(path).await?;
        assert!(
            told.body.contains("1 schedule without a success") && !told.body.contains("secret"),
            "{told:?}"
        );
    }
    store.pause_schedule("secret", None, &me, Now::Database).await?;
    until("whoever paused it knows", async || is("healthy").await).await
}
