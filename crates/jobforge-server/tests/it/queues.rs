//! Queues and workers.

use anyhow::Result;
use jobforge_api::{QueueList, QueuePauseView, WorkerList};

use crate::harness::{site, until, worker};

#[tokio::test]
async fn queues_are_counted_paused_and_resumed() -> Result<()> {
    let site = site().await?;
    let id = site.job(r#"{"type":"a","queue":"mail"}"#).await?;
    site.job(r#"{"type":"a","queue":"mail","delay_ms":60000}"#).await?;
    let queues =
        async || -> Result<QueueList> { Ok(serde_json::from_str(&site.get("/v1/queues").await?.body)?) };
    let mail = queues().await?.queues.into_iter().find(|queue| queue.name == "mail").unwrap();
    assert_eq!((mail.ready, mail.scheduled, mail.running, mail.paused_at), (1, 1, 0, None));
    assert!(mail.oldest_ready_at.is_some());

    let call = async |verb: &str| -> Result<QueuePauseView> {
        Ok(serde_json::from_str(&site.post(&format!("/v1/queues/mail/{verb}")).await?.body)?)
    };
    let said = |paused, changed| QueuePauseView { name: "mail".to_owned(), paused, changed };
    assert_eq!(call("pause").await?, said(true, true));
    assert_eq!(call("pause").await?, said(true, false));
    assert!(queues().await?.queues.iter().any(|queue| queue.name == "mail" && queue.paused_at.is_some()));
    assert_eq!(site.get(&format!("/v1/jobs/{id}/explain")).await?.json()["waiting_for"], "paused_queue");
    assert_eq!(call("resume").await?, said(false, true));
    assert_eq!(call("resume").await?, said(false, false));
    Ok(())
}

#[tokio::test]
async fn a_queue_name_that_no_queue_can_have_is_refused() -> Result<()> {
    let site = site().await?;
    for name in ["a%20b", "%2e%2e", "-a", "a%00b", "%ff", "a%2Fb"] {
        site.post(&format!("/v1/queues/{name}/pause")).await?.refused(400, "bad_name");
        site.post(&format!("/v1/queues/{name}/resume")).await?.refused(400, "bad_name");
    }
    Ok(())
}

#[tokio::test]
async fn a_worker_that_is_told_to_restart_begins_anew_under_another_name() -> Result<()> {
    let site = site().await?;
    let worker = worker(&site.client).await?;
    let before = worker.id();
    let told = site.post(&format!("/v1/workers/{before}/restart")).await?;
    assert_eq!(
        (told.status, &told.json()["answer"], &told.json()["place"]),
        (202, &"told".into(), &"local".into())
    );
    until("it is another", async || Ok(worker.id() != before)).await?;
    until("the one before has left", async || {
        let list: WorkerList = serde_json::from_str(&site.get("/v1/workers").await?.body)?;
        let state = |id: &str| list.workers.iter().find(|row| row.id == id).map(|row| row.state.clone());
        Ok(state(before.as_str()).as_deref() == Some("gone")
            && state(worker.id().as_str()).as_deref() == Some("live"))
    })
    .await?;
    site.post(&format!("/v1/workers/{before}/restart")).await?.refused(409, "worker_ended");
    site.post("/v1/workers/worker-0badbad0/restart").await?.refused(404, "worker_not_found");
    Ok(())
}

#[tokio::test]
async fn workers_are_listed_with_their_leases() -> Result<()> {
    let site = site().await?;
    assert_eq!(site.get("/v1/workers").await?.body, r#"{"workers":[]}"#);
    let worker = worker(&site.client).await?;
    let list: WorkerList = serde_json::from_str(&site.get("/v1/workers").await?.body)?;
    assert_eq!(list.workers.len(), 1);
    assert_eq!((list.workers[0].id.as_str(), list.workers[0].state.as_str()), (worker.id().as_str(), "live"));
    assert!(list.workers[0].lease_expires_at > list.workers[0].last_heartbeat_at);
    Ok(())
}
