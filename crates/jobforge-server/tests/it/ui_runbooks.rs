//! Runbooks in the dashboard: shown as text whoever wrote them, with what is known beside each step.

use anyhow::Result;
use jobforge::core::token::Scope;

use crate::harness::{Site, database, serve, with_tokens};
use crate::tokens::token;
use crate::ui::{Browser, live_with};

/// One that an operator wrote, or somebody who wishes them ill.
const OWN: &str = "# Mail <script>alert(1)</script>\n<!-- alert: QueueBacklog -->\n\n## Look\n\n<img src=x onerror=alert(2)> \
[a](javascript:alert(3)) [b](queue.md#the-backlog-grows) http://127.0.0.1:8080\n\n```console jobforge:read\n$ jobforge queue list\n\
$ jobforge job explain \"$JOB\"\n$ jobforge queue list | wc -l\n```\n\n## Mend\n\n```sh jobforge:mend\njobforge queue pause mail\n\
jobforge job retry \"$JOB\"\njobforge db vacuum\n```\n\n```sh jobforge:shell\ncurl -s http://127.0.0.1:8080/ | sh\n```\n";

/// A server with that runbook; the directory and the database live as long as what is returned.
async fn with_own() -> Result<(Site, tempfile::TempDir)> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("mail.md"), OWN)?;
    let (client, kept) = database().await?;
    let own = dir.path().to_str().unwrap_or_default().to_owned();
    let mut site = serve(client, with_tokens(), live_with(&[("runbooks_dir", &own)])).await?;
    std::mem::forget(kept);
    site.token = Some("admin-key".to_owned());
    site.job(r#"{"type":"a","queue":"mail"}"#).await?;
    site.token = None;
    Ok((site, dir))
}

#[tokio::test]
async fn a_runbook_is_shown_as_text_with_what_is_known_beside_its_steps() -> Result<()> {
    let (site, _dir) = with_own().await?;
    let mut browser = Browser::with(&site, "operator-key").await?;
    let list = browser.get("/ui/runbooks").await?.body;
    assert!(list.contains("href=\"/ui/runbooks/mail\"") && list.contains("href=\"/ui/runbooks/stuck-jobs\""));
    assert!(!list.contains("<script>alert"), "{list}");
    let page = browser.get("/ui/runbooks/mail").await?.body;
    for hostile in ["<script>alert", "<img src=x", "javascript:", "http://127.0.0.1:8080"] {
        assert!(!page.contains(hostile), "{hostile}: {page}");
    }
    assert!(page.contains(&format!("http://{}", site.address)), "the address of this server: {page}");
    assert!(page.contains("href=\"/ui/runbooks/queue#the-backlog-grows\""), "{page}");
    assert!(page.contains("mail: 1 ready, 0 running"), "the answer stands beside the step: {page}");
    assert!(page.contains("href=\"/ui/act/queue-pause/mail?back=%2Fui%2Frunbooks%2Fmail\""), "{page}");
    assert!(page.contains("needs JOB") && page.contains("name=\"JOB\""), "{page}");
    let stuck = browser.get("/ui/runbooks/stuck-jobs").await?.body;
    assert!(!stuck.contains("name=\"AUTH_TOKEN\""), "no secret is asked for: {stuck}");
    assert!(page.matches("for a shell: copy it").count() >= 3, "{page}");
    // Whoever wrote a page about an alert wants it shown.
    assert!(browser.get("/ui/runbooks/QueueBacklog").await?.body.contains("Mail &#60;script&#62;"));
    Ok(())
}

#[tokio::test]
async fn with_the_id_of_a_job_its_steps_are_filled_in_for_who_may() -> Result<()> {
    let (mut site, _dir) = with_own().await?;
    site.token = Some("admin-key".to_owned());
    let id = site.job(r#"{"type":"hold","queue":"mail","delay_ms":3600000}"#).await?;
    site.token = None;
    let path = format!("/ui/runbooks/mail?JOB={id}");
    let mut browser = Browser::with(&site, "operator-key").await?;
    let page = browser.get(&path).await?.body;
    assert!(page.contains("hold: scheduled") && page.contains(&format!("href=\"/ui/jobs/{id}\"")), "{page}");
    assert!(page.contains(&format!("/ui/act/job-retry/{id}?back=")), "{page}");
    let viewer = token(&site, Scope::Read, None).await?.1;
    let mut browser = Browser::with(&site, &viewer).await?;
    let page = browser.get(&path).await?.body;
    assert!(page.contains("hold: scheduled") && !page.contains("/ui/act/"), "{page}");
    let hostile = browser.get("/ui/runbooks/mail?JOB=%22%3E%3Cscript%3Ealert(9)").await?;
    assert!(hostile.status == 200 && !hostile.body.contains("<script>alert"), "{hostile:?}");
    let bound = token(&site, Scope::Operate, Some("acme")).await?.1;
    let mut browser = Browser::with(&site, &bound).await?;
    for path in ["/ui/runbooks", "/ui/runbooks/mail"] {
        assert_eq!(browser.get(path).await?.status, 403, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn every_runbook_of_ours_is_shown_and_a_name_that_is_none_is_told_of() -> Result<()> {
    let (site, _dir) = with_own().await?;
    let mut browser = Browser::with(&site, "admin-key").await?;
    for page in jobforge::runbook::shelf::all(None)? {
        let answer = browser.get(&format!("/ui/runbooks/{}", page.name)).await?;
        assert_eq!(answer.status, 200, "{}", page.name);
        for broken in ["```", "**", "<!--"] {
            assert!(!answer.body.contains(broken), "{} shows {broken}", page.name);
        }
    }
    let missing = browser.get("/ui/runbooks/stuck-job").await?;
    assert!(missing.status == 404 && missing.body.contains("stuck-jobs"), "{missing:?}");
    Ok(())
}

#[tokio::test]
async fn runbooks_of_ones_own_that_cannot_be_read_do_not_take_ours_away() -> Result<()> {
    let (client, _kept) = database().await?;
    let site = serve(client, with_tokens(), live_with(&[("runbooks_dir", "/nowhere/at/all")])).await?;
    let mut browser = Browser::with(&site, "admin-key").await?;
    let page = browser.get("/ui/runbooks").await?;
    assert!(page.status == 200 && page.body.contains("/nowhere/at/all"), "{page:?}");
    assert!(page.body.contains("href=\"/ui/runbooks/stuck-jobs\""));
    Ok(())
}
