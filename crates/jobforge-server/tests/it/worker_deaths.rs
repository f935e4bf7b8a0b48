//! Reports of how worker processes ended: what is believed, and what it leads to.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::worker_site::{WorkerSite, death, registered, sleeper, worker_site};

async fn refused(site: &WorkerSite, request: &Value, status: u16, code: &str) -> Result<String> {
    Ok(site.call("deaths", request).await?.refused(status, code))
}

#[tokio::test]
async fn a_process_that_lives_is_not_believed_dead() -> Result<()> {
    let site = registered().await?;
    let (mut child, process) = sleeper()?;
    let said = refused(&site, &death(&process), 409, "process_lives").await?;
    assert!(said.contains(&child.id().to_string()), "{said}");
    child.kill()?;
    child.wait()?;
    let answer = site.ok("deaths", &death(&process)).await?;
    assert_eq!(answer, json!({ "workers": [], "jobs": [] }), "it was no worker");
    Ok(())
}

#[tokio::test]
async fn a_process_whose_parent_has_not_taken_note_of_its_end_is_dead_all_the_same() -> Result<()> {
    let site = registered().await?;
    let (mut child, process) = sleeper()?;
    child.kill()?;
    let told = async {
        // The kernel takes a moment to end it.
        loop {
            let answer = site.call("deaths", &death(&process)).await?;
            if answer.status == 200 {
                return anyhow::Ok(());
            }
            answer.refused(409, "process_lives");
        }
    };
    tokio::time::timeout(crate::harness::PATIENCE, told).await??;
    child.wait()?;
    Ok(())
}

#[tokio::test]
async fn an_end_that_the_server_cannot_see_is_not_believed() -> Result<()> {
    let site = registered().await?;
    let (mut child, process) = sleeper()?;
    child.kill()?;
    child.wait()?;
    for (field, value) in [("boot_id", json!("another")), ("pid_namespace", json!(1)), ("pid", json!(0))] {
        let mut elsewhere = process.clone();
        elsewhere[field] = value;
        let said = refused(&site, &death(&elsewhere), 422, "invalid_request").await?;
        assert!(said.contains("cannot see"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_report_that_makes_no_sense_is_refused_by_name() -> Result<()> {
    let site = worker_site().await?;
    let (mut child, process) = sleeper()?;
    child.kill()?;
    child.wait()?;
    for (end, part) in [
        (json!({ "kind": "rebooted" }), "rebooted"),
        (json!({ "kind": "exited" }), "code"),
        (json!({ "kind": "exited", "code": 1, "signal": 9 }), "signal"),
        (json!({ "kind": "signaled", "signal": 9, "name": "a\u{7}b" }), "end.name"),
    ] {
        let mut request = death(&process);
        request["end"] = end;
        let said = refused(&site, &request, 422, "invalid_request").await?;
        assert!(said.contains(part), "{request} does not say {part:?}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn the_jobs_of_the_dead_process_are_given_to_others_with_what_was_seen() -> Result<()> {
    let site = worker_site().await?;
    let (mut child, process) = sleeper()?;
    let (worker, job) = site.hold_as(child.id()).await?;
    child.kill()?;
    child.wait()?;
    let answer = site.ok("deaths", &death(&process)).await?;
    assert_eq!(answer, json!({ "workers": [worker], "jobs": [{ "id": job, "status": "queued" }] }));
    let detail = site.client.job_detail(job.parse()?).await?;
    let error = detail.attempts[0].error.as_ref().context("a reason")?;
    assert!(error.message.ends_with("signal 9 (SIGKILL)"), "{}", error.message);
    let output = &error.details.as_ref().context("details")?["death"]["last_output"];
    assert_eq!(output[1], "writing page 2");
    // Sent again it changes nothing.
    assert_eq!(site.ok("deaths", &death(&process)).await?, json!({ "workers": [worker], "jobs": [] }));
    Ok(())
}
