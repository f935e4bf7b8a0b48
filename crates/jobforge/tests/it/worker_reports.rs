//! What a handler reports, as others see it.

use std::sync::Arc;
use std::time::Duration;

use jobforge::core::job::{Items, Job};
use jobforge::core::state::Status;
use jobforge::{JobContext, JobError};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::common::{Db, Task, check_consistent, ended_detail, enqueue, job_when, until};

/// Reports are seen by others after at most this time.
const VISIBLE_WITHIN: Duration = Duration::from_secs(2);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Place {
    row: u64,
}

fn told(job: &Job) -> (Option<u8>, Option<&str>, Option<&str>) {
    (job.progress.percent, job.progress.message.as_deref(), job.progress.phase.as_deref())
}

async fn reports_are_seen_while_the_job_runs_and_after_it(db: Db) {
    let gate = Arc::new(Semaphore::new(0));
    let open = Arc::clone(&gate);
    let report = move |_: Task, ctx: JobContext| {
        let gate = Arc::clone(&gate);
        async move {
            ctx.phase("downloading");
            ctx.progress(40, "page 4 of 10");
            ctx.items(3, 1, 0);
            ctx.items(1, 0, 2);
            ctx.log("first line");
            ctx.set_checkpoint(&Place { row: 7 })?;
            gate.acquire().await?.forget();
            ctx.log("last line");
            ctx.progress(100, "done");
            Ok(())
        }
    };
    let _worker = db.worker().register(report).start().await.unwrap();
    let id = enqueue(&db.client, "talkative").await;
    job_when(&db.client, id, "it runs", |job| job.status == Status::Running).await;
    let seen = job_when(&db.client, id, "its reports", |job| job.progress.percent.is_some());
    let job = tokio::time::timeout(VISIBLE_WITHIN, seen).await.expect("reports in time");
    assert_eq!(told(&job), (Some(40), Some("page 4 of 10"), Some("downloading")));
    assert_eq!(job.items, Items { processed: 4, failed: 1, skipped: 2 });
    assert_eq!(job.checkpoint, Some(serde_json::json!({ "row": 7 })));
    assert_eq!(job.status, Status::Running);
    let detail = db.client.job_detail(id).await.unwrap();
    assert_eq!((detail.logs[0].attempt, detail.logs[0].text.as_str()), (1, "first line\n"));
    open.add_permits(1);
    let detail = ended_detail(&db.client, id).await;
    assert_eq!(told(&detail.job), (Some(100), Some("done"), Some("downloading")));
    assert_eq!(detail.job.items, Items { processed: 4, failed: 1, skipped: 2 });
    assert_eq!(detail.logs[0].text, "first line\nlast line\n");
}

async fn a_checkpoint_reaches_the_next_attempt(db: Db) {
    let resume = |_: Task, ctx: JobContext| async move {
        let place = ctx.checkpoint::<Place>()?;
        match ctx.attempt() {
            1 => {
                assert_eq!(place, None);
                ctx.set_checkpoint(&Place { row: 41 })?;
                assert_eq!(ctx.checkpoint::<Place>()?, Some(Place { row: 41 }));
                Err(JobError::retry("broken", "the connection broke at row 41"))
            }
            2 => {
                // An attempt that saves nothing keeps what was saved before.
                assert_eq!(place, Some(Place { row: 41 }));
                Err(JobError::retry("broken", "and again"))
            }
            _ => {
                assert_eq!(place, Some(Place { row: 41 }));
                Ok(())
            }
        }
    };
    let _worker = db.worker().register(resume).start().await.unwrap();
    let id = enqueue(&db.client, "import").await;
    let detail = ended_detail(&db.client, id).await;
    assert_eq!((detail.job.status, detail.job.attempts), (Status::Succeeded, 3), "{:?}", detail.job.error);
}

async fn a_checkpoint_of_another_shape_fails_the_job_with_a_word(db: Db) {
    let handler = |_: Task, ctx: JobContext| async move {
        ctx.set_checkpoint(&"row 41")?;
        ctx.checkpoint::<Place>().map(drop)
    };
    let _worker = db.worker().register(handler).start().await.unwrap();
    let id = enqueue(&db.client, "import").await;
    let job = ended_detail(&db.client, id).await.job;
    assert_eq!((job.status, job.error.unwrap().kind.as_str()), (Status::Failed, "bad_checkpoint"));
}

async fn a_log_keeps_its_newest_lines_and_every_attempt_its_own(db: Db) {
    let chatty = |_: Task, ctx: JobContext| async move {
        for line in 0..2000 {
            ctx.log(format!("attempt {} line {line} {}", ctx.attempt(), "x".repeat(50)));
        }
        if ctx.attempt() == 1 { Err(JobError::retry("again", "once more")) } else { Ok(()) }
    };
    let _worker = db.worker().register(chatty).start().await.unwrap();
    let id = enqueue(&db.client, "chatty").await;
    let logs = ended_detail(&db.client, id).await.logs;
    assert_eq!(logs.iter().map(|log| log.attempt).collect::<Vec<_>>(), [1, 2]);
    for log in logs {
        assert!(log.text.len() <= 65 * 1024, "{} bytes", log.text.len());
        assert!(log.text.starts_with("… (older lines were dropped)\n"));
        assert!(log.text.trim_end().contains(&format!("attempt {} line 1999 ", log.attempt)));
    }
}

async fn what_is_said_in_a_failed_attempt_is_kept_with_it(db: Db) {
    let fail = |_: Task, ctx: JobContext| async move {
        ctx.progress(250, "more than all");
        ctx.log("about to fail");
        Err::<(), _>(JobError::fatal("broken", "no"))
    };
    let _worker = db.worker().register(fail).start().await.unwrap();
    let id = enqueue(&db.client, "doomed").await;
    let detail = ended_detail(&db.client, id).await;
    assert_eq!((detail.job.progress.percent, detail.logs[0].text.as_str()), (Some(100), "about to fail\n"));
}

on_each_engine!(
    reports_are_seen_while_the_job_runs_and_after_it,
    a_checkpoint_reaches_the_next_attempt,
    a_checkpoint_of_another_shape_fails_the_job_with_a_word,
    a_log_keeps_its_newest_lines_and_every_attempt_its_own,
    what_is_said_in_a_failed_attempt_is_kept_with_it,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_whose_heartbeat_failed_is_sent_again() {
    let db = crate::common::postgres().await;
    let gate = Arc::new(Semaphore::new(0));
    let open = Arc::clone(&gate);
    let report = move |_: Task, ctx: JobContext| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await?.forget();
            ctx.progress(40, "said during the disturbance");
            ctx.log("a line of the disturbance");
            gate.acquire().await?.forget();
            Ok(())
        }
    };
    let _worker = db.worker().register(report).start().await.unwrap();
    let id = enqueue(&db.client, "talkative").await;
    job_when(&db.client, id, "it runs", |job| job.status == Status::Running).await;
    // Heartbeats with log lines fail as long as their table is away.
    let psql = |sql: &str| testkit::postgres::psql(db.url(), sql).expect("an answer");
    psql("ALTER TABLE jobforge_job_logs RENAME TO elsewhere");
    open.add_permits(1);
    tokio::time::sleep(VISIBLE_WITHIN).await;
    assert_eq!(db.client.job(id).await.unwrap().progress.percent, None);
    psql("ALTER TABLE elsewhere RENAME TO jobforge_job_logs");
    let job = job_when(&db.client, id, "its progress", |job| job.progress.percent.is_some()).await;
    assert_eq!(job.progress.message.as_deref(), Some("said during the disturbance"));
    until("its log", || async {
        let logs = db.client.job_detail(id).await.unwrap().logs;
        logs.first().map(|log| assert_eq!(log.text, "a line of the disturbance\n"))
    })
    .await;
    open.add_permits(1);
    ended_detail(&db.client, id).await;
    check_consistent(&db.client).await;
}
