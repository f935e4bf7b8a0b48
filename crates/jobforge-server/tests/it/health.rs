//! Health, the front page, and a database in trouble.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use anyhow::Result;
use jobforge::Client;
use jobforge::live::{Live, OwnSettings};
use tokio::net::TcpListener;

use crate::failing_store::{FailingStore, Fault};
use crate::harness::{PATIENCE, database, fixed, options, serve, site, until};

#[tokio::test]
async fn a_healthy_server_is_live_ready_and_started() -> Result<()> {
    let site = site().await?;
    for path in ["/livez", "/readyz", "/startupz"] {
        let answer = site.get(path).await?;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"), "{path}");
    }
    assert_eq!(site.send("HEAD", "/livez", &[], b"").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn the_front_page_lists_every_route() -> Result<()> {
    let site = site().await?;
    let page = site.get("/").await?;
    assert_eq!((page.status, page.header("content-type")), (200, "text/plain; charset=utf-8"));
    for line in page.body.lines() {
        let mut words = line.split_whitespace();
        let (Some(method @ ("GET" | "POST" | "DELETE")), Some(path)) = (words.next(), words.next()) else {
            continue;
        };
        // A stream of events does not end by itself.
        let path = path.trim_end_matches(',');
        if path == "/v1/events" {
            continue;
        }
        let path = path.replace("{id}", "17").replace("{name}", "q");
        let answer = site.send(method, &path, &[], b"").await?;
        assert!(!matches!(answer.status, 404 | 405), "{line}: {answer:?}");
    }
    let description: serde_json::Value = serde_json::from_str(jobforge_server::openapi())?;
    for path in description["paths"].as_object().expect("paths").keys() {
        let family: Vec<&str> = path.split('/').take(3).collect();
        assert!(page.body.contains(&family.join("/")), "{path} belongs on the page:\n{}", page.body);
    }
    Ok(())
}

#[tokio::test]
async fn every_answer_has_its_own_request_id() -> Result<()> {
    let site = site().await?;
    let mut seen = HashSet::new();
    for path in ["/", "/livez", "/v1/jobs", "/v1/jobs", "/nowhere"] {
        let answer = site.get(path).await?;
        assert!(seen.insert(answer.header("x-request-id").to_owned()), "{answer:?}");
        assert_eq!(
            (answer.header("cache-control"), answer.header("x-content-type-options")),
            ("no-store", "nosniff")
        );
    }
    Ok(())
}

#[tokio::test]
async fn livez_never_touches_the_database() -> Result<()> {
    let store = FailingStore::new(Fault::Unreachable);
    let site = serve(Client::new(store.clone()), options("127.0.0.1:0"), fixed()).await?;
    // What the server does in the background asks now and then; probes would ask each time.
    until("probes are answered without the database", async || {
        let before = store.calls();
        assert_eq!(site.get("/livez").await?.status, 200);
        assert_eq!(site.get("/").await?.status, 200);
        Ok(store.calls() == before)
    })
    .await
}

#[tokio::test]
async fn readyz_tells_why_it_is_not_ready_but_not_where_the_database_is() -> Result<()> {
    for (fault, code) in [
        (Fault::Unreachable, "database_unreachable"),
        (Fault::SchemaTooOld, "schema_too_old"),
        (Fault::Failed, "database_failed"),
    ] {
        let store: Arc<FailingStore> = FailingStore::new(fault);
        let site = serve(Client::new(store), options("127.0.0.1:0"), fixed()).await?;
        for path in ["/readyz", "/startupz"] {
            let answer = site.get(path).await?;
            answer.refused(503, code);
            assert!(!answer.body.contains("db.internal"), "{answer:?}");
            assert_eq!(answer.header("retry-after"), "2");
        }
    }
    Ok(())
}

#[tokio::test]
async fn once_started_only_readyz_follows_the_database() -> Result<()> {
    let store = FailingStore::new(Fault::None);
    let site = serve(Client::new(store.clone()), options("127.0.0.1:0"), fixed()).await?;
    assert_eq!(site.get("/startupz").await?.status, 200);
    store.set(Fault::Unreachable);
    assert_eq!(site.get("/startupz").await?.status, 200);
    assert_eq!(site.get("/readyz").await?.status, 503);
    store.set(Fault::None);
    assert_eq!(site.get("/readyz").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn startupz_waits_until_the_schema_is_there() -> Result<()> {
    let store = FailingStore::new(Fault::SchemaTooOld);
    let site = serve(Client::new(store.clone()), options("127.0.0.1:0"), fixed()).await?;
    site.get("/startupz").await?.refused(503, "schema_too_old");
    assert_eq!(site.get("/livez").await?.status, 200);
    store.set(Fault::None);
    assert_eq!(site.get("/startupz").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_dependency_that_never_answers_holds_no_question_about_health_up() -> Result<()> {
    let hangs = TcpListener::bind("127.0.0.1:0").await?;
    let probe = format!("groq_api=http://{}/status", hangs.local_addr()?);
    let env = move |name: &str| (name == "JOBFORGE_HEALTH_PROBES").then(|| probe.clone());
    let own = OwnSettings { env: Arc::new(env), ..OwnSettings::none() };
    let settings = own.above(BTreeMap::new()).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let (client, _directory) = database().await?;
    let site = serve(client, options("127.0.0.1:0"), Live::fixed(settings)).await?;
    // It is asked, and waits for an answer that does not come for as long as this is kept.
    let asked = tokio::time::timeout(PATIENCE, hangs.accept()).await??;
    for path in ["/livez", "/readyz", "/startupz", "/api/health", "/api/health/full"] {
        assert_eq!(site.get(path).await?.status, 200, "{path}");
    }
    let whole: serde_json::Value = serde_json::from_str(&site.get("/api/health/full").await?.body)?;
    assert_eq!(whole["groq_api"]["message"], "not asked yet", "{whole}");
    assert_eq!(whole["database"]["status"], "ok", "{whole}");
    // Once it breaks off, that is told.
    drop((asked, hangs));
    until("its silence is told", async || {
        let whole: serde_json::Value = serde_json::from_str(&site.get("/api/health/full").await?.body)?;
        Ok(whole["groq_api"]["status"] == "error")
    })
    .await
}

#[tokio::test]
async fn a_server_that_is_about_to_stop_is_not_ready_and_answers_everything_else() -> Result<()> {
    let (client, _directory) = database().await?;
    let site = serve(client, options("127.0.0.1:0"), fixed()).await?;
    assert_eq!(site.get("/readyz").await?.status, 200);
    site.draining.cancel();
    site.get("/readyz").await?.refused(503, "draining");
    for path in ["/livez", "/startupz", "/v1/jobs"] {
        assert_eq!(site.get(path).await?.status, 200, "{path}");
    }
    assert_eq!(site.enqueue(r#"{"type":"a"}"#).await?.status, 201);
    Ok(())
}

#[tokio::test]
async fn a_database_in_trouble_is_told_apart_from_a_bad_request() -> Result<()> {
    for (fault, status, code, retry_after) in [
        (Fault::Unreachable, 503, "database_unreachable", "2"),
        (Fault::Interrupted, 503, "database_interrupted", "2"),
        (Fault::ReadOnly, 503, "database_read_only", "2"),
        (Fault::Full, 507, "storage_full", ""),
        (Fault::SchemaTooOld, 500, "internal", ""),
        (Fault::Failed, 500, "internal", ""),
    ] {
        let site = serve(Client::new(FailingStore::new(fault)), options("127.0.0.1:0"), fixed()).await?;
        let job = "/v1/jobs/01890a5d-ac96-774b-bcce-b302099a8057";
        let answers = [
            site.enqueue(r#"{"type":"a"}"#).await?,
            site.get("/v1/jobs").await?,
            site.get(job).await?,
            site.get(&format!("{job}/explain")).await?,
            site.get(&format!("{job}/logs")).await?,
            site.post(&format!("{job}/cancel")).await?,
            site.post(&format!("{job}/retry")).await?,
            site.delete(job).await?,
            site.get("/v1/queues").await?,
            site.post("/v1/queues/q/pause").await?,
            site.post("/v1/queues/q/resume").await?,
            site.get("/v1/workers").await?,
        ];
        for answer in answers {
            answer.refused(status, code);
            assert_eq!(answer.header("retry-after"), retry_after);
            assert!(!answer.body.contains("db.internal") && !answer.body.contains("driver"), "{answer:?}");
        }
    }
    Ok(())
}
