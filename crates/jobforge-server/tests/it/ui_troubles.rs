//! The dashboard while the database is gone and when it comes back, and while clocks differ.

use std::time::Duration;

use anyhow::Result;
use jobforge::{Client, OpenOptions};
use testkit::postgres::{Cluster, ClusterOptions, TestDatabase, psql};

use crate::harness::{Site, fixed, serve, until, until_status, with_tokens, worker};
use crate::ui::{Browser, PAGES};

async fn open(url: &str) -> Result<Site> {
    OpenOptions::for_url(url).open_unverified().await?.migrate().await?;
    serve(Client::open(url).await?, with_tokens(), fixed()).await
}

#[tokio::test]
async fn a_database_that_stops_is_told_of_on_every_page_and_its_return_is_seen_by_itself() -> Result<()> {
    let cluster = Cluster::start(&ClusterOptions::default())?;
    let mut site = open(&cluster.server().url_of("postgres")).await?;
    site.token = Some("admin-key".to_owned());
    let id = site.job(r#"{"type":"mail.send","queue":"mail"}"#).await?;
    site.token = None;
    let mut browser = Browser::with(&site, "admin-key").await?;
    assert!(browser.get("/ui").await?.body.contains("href=\"/ui/jobs?queue=mail\""));

    // A throw-away server writes late, and would come back without what it has just been given.
    cluster.psql("CHECKPOINT")?;
    cluster.stop_immediate()?;
    // A statement that the stop broke off is told of by a page of its own.
    until("the overview tells of it", async || {
        let overview = browser.get("/ui").await?;
        let tells = overview.body.contains("The database does not answer. Below is how all was");
        Ok(overview.status == 503 && tells)
    })
    .await?;
    let overview = browser.get("/ui").await?;
    assert!(overview.body.contains("href=\"/ui/jobs?queue=mail\""), "the last known queues stay");
    assert!(overview.body.contains("bar action") && overview.body.contains("id=\"fresh\""));
    let more = [format!("/ui/jobs/{id}"), format!("/ui/act/job-cancel/{id}"), "/ui/dead/none".to_owned()];
    for path in PAGES.into_iter().map(str::to_owned).chain(more).filter(|path| path != "/ui") {
        let page = browser.get(&path).await?;
        if path == "/ui/runbooks" {
            // They are files, and needed now.
            assert!(page.status == 200 && page.body.contains("/ui/runbooks/stuck-jobs"), "{page:?}");
            continue;
        }
        assert_eq!(page.status, 503, "{path}: {page:?}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{path}");
        assert!(
            page.body.contains("Last known") && page.body.contains("<dt>queued</dt><dd>1</dd>"),
            "{path}"
        );
        assert!(
            page.body.contains("Try again") && page.body.contains("<script src="),
            "{path}: {}",
            page.body
        );
    }
    // The text of a runbook is a file, with what the address gives filled in and nothing beside it that is not known.
    let path = format!("/ui/runbooks/stuck-jobs?JOB={id}");
    for path in ["/ui/runbooks/stuck-jobs", "/ui/runbooks/workers", &path] {
        let says = "The database does not answer, so nothing stands beside";
        // What was known a moment ago may still stand there.
        until(path, async || {
            let page = browser.get(path).await?;
            assert_eq!(page.status, 200, "{path}: {page:?}");
            Ok(page.body.contains(says))
        })
        .await?;
        let page = browser.get(path).await?.body;
        assert!(page.contains("<code>jobforge ") && !page.contains("There is no such job"), "{page}");
    }
    let deed = browser.get(&format!("/ui/jobs/{id}")).await?;
    assert!(deed.body.contains("database"), "{}", deed.body);

    cluster.start_again()?;
    for path in PAGES {
        until(path, async || Ok(browser.get(path).await?.status == 200)).await?;
    }
    assert!(!browser.get("/ui").await?.body.contains("does not answer"));
    Ok(())
}

/// What a page says of times: whatever stands in its `<time>` elements.
fn times(page: &str) -> Vec<&str> {
    let inner = |rest: &'_ str| {
        rest.split_once('>').map(|(_, text)| text.split('<').next().unwrap_or_default().len())
    };
    let mut found = Vec::new();
    for (at, _) in page.match_indices("<time ") {
        let rest = &page[at..];
        if let (Some(begin), Some(length)) = (rest.find('>'), inner(rest)) {
            found.push(&rest[begin + 1..begin + 1 + length]);
        }
    }
    found
}

#[tokio::test]
async fn ages_and_countdowns_go_by_the_databases_clock_wherever_the_server_runs() -> Result<()> {
    for minutes in ["-5", "5"] {
        let database = TestDatabase::create()?;
        // Whatever asks for the time in this database is told one that the server's machine does not share.
        let name = database.name();
        psql(
            &database.url(),
            &format!(
                "CREATE SCHEMA skewed;
                 CREATE FUNCTION skewed.now() RETURNS timestamptz LANGUAGE sql STABLE
                   AS $$ SELECT pg_catalog.now() + interval '{minutes} min' $$;
                 CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
                   AS $$ SELECT pg_catalog.clock_timestamp() + interval '{minutes} min' $$;
                 ALTER DATABASE \"{name}\" SET search_path = skewed, public, pg_catalog"
            ),
        )?;
        let mut site = open(&database.url()).await?;
        let skew = site.client.store().now().await?.duration_since(jobforge::clock::wall()).as_secs();
        assert!(skew.abs() > 240, "the clocks differ: {skew} s");
        site.token = Some("admin-key".to_owned());
        let waiting = site.job(r#"{"type":"hold","delay_ms":3600000}"#).await?;
        let running = site.job(r#"{"type":"hold"}"#).await?;
        let worker = worker(&site.client).await?;
        until_status(&site, &running, "running").await?;
        site.token = None;
        let mut browser = Browser::with(&site, "admin-key").await?;
        let page = browser.get(&format!("/ui/jobs/{waiting}")).await?.body;
        let told = times(&page);
        assert!(
            told.iter().any(|text| text.starts_with("in 59 min")
                || text.starts_with("in 1 h")
                || *text == "in 60 min"),
            "an hour is an hour, {minutes} min off: {told:?}"
        );
        for path in ["/ui", "/ui/jobs", "/ui/workers", "/ui/audit", &format!("/ui/jobs/{running}")] {
            let page = browser.get(path).await?.body;
            for text in
                times(&page).into_iter().filter(|text| text.contains("ago") || text.starts_with("in "))
            {
                let young = ["s ago", "in 59", "in 60", "in 1 h"].iter().any(|part| text.contains(part));
                assert!(young && !text.contains('-'), "{path}, {minutes} min off: {text:?}");
            }
        }
        let page = browser.get("/ui/workers").await?.body;
        assert!(page.contains(">live<"), "a worker that beats is live: {page}");
        worker.stop_gracefully(Duration::from_secs(5)).await;
    }
    Ok(())
}
