//! How attempts end, and what becomes of their jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jobforge::core::enqueue::JobRequest;
use jobforge::core::payload::Payload;
use jobforge::core::settle::RetryPolicy;
use jobforge::core::state::Status;
use jobforge::{JobContext, JobError, JobType, clock};
use serde::{Deserialize, Serialize};

use crate::common::{Db, Sum, Task, ended, ended_detail, enqueue, job_when, task};

async fn add(job: Sum, _ctx: JobContext) -> Result<u64, JobError> {
    Ok(job.of.iter().sum())
}

async fn succeed(_job: Task, _ctx: JobContext) -> Result<(), JobError> {
    Ok(())
}

async fn a_handlers_output_becomes_the_result(db: Db) {
    let _worker = db.worker().register(add).start().await.unwrap();
    let id = db.client.enqueue(Sum { of: vec![19, 23] }).await.unwrap().id;
    let detail = ended_detail(&db.client, id).await;
    assert_eq!(detail.job.status, Status::Succeeded);
    assert_eq!(detail.result.unwrap().decode::<u64>().unwrap(), 42);
    assert_eq!((detail.job.attempts, detail.attempts.len()), (1, 1));
    assert_eq!(detail.attempts[0].outcome, "succeeded");
}

async fn a_handler_without_output_stores_no_result(db: Db) {
    let _worker = db.worker().register(succeed).start().await.unwrap();
    let id = enqueue(&db.client, "quiet").await;
    let detail = ended_detail(&db.client, id).await;
    assert_eq!(detail.job.status, Status::Succeeded);
    assert!(detail.result.is_none() && detail.job.result_id.is_none());
}

async fn a_payload_that_does_not_fit_its_type_fails_for_good(db: Db) {
    let _worker = db.worker().register(succeed).start().await.unwrap();
    let payload = Some(Payload::parse(r#"{"nom": 1}"#).unwrap());
    let request = JobRequest { job_type: Task::TYPE.to_owned(), payload, ..JobRequest::default() };
    let id = db.client.enqueue_untyped(request).await.unwrap().id;
    let job = ended(&db.client, id).await;
    let error = job.error.unwrap();
    assert_eq!((job.status, error.kind.as_str(), job.attempts), (Status::Failed, "invalid_payload", 1));
    assert!(error.message.contains("test.task") && error.message.contains("name"), "{}", error.message);
    assert!(!error.retryable);
}

async fn any_error_is_retried_until_the_attempts_are_used_up(db: Db) {
    let fail = |_: Task, ctx: JobContext| async move {
        let number: Result<u8, _> = format!("attempt {}", ctx.attempt()).parse();
        number?;
        Ok(())
    };
    let _worker = db.worker().register(fail).start().await.unwrap();
    let id = enqueue(&db.client, "hopeless").await;
    let detail = ended_detail(&db.client, id).await;
    assert_eq!((detail.job.status, detail.job.attempts), (Status::Dead, 3));
    let told: Vec<_> = detail.attempts.iter().map(|a| (a.attempt, a.outcome.as_str())).collect();
    assert_eq!(told, [(1, "retry"), (2, "retry"), (3, "dead")]);
    for attempt in &detail.attempts {
        let error = attempt.error.as_ref().unwrap();
        assert_eq!((error.kind.as_str(), error.message.as_str()), ("error", "invalid digit found in string"));
    }
}

async fn a_job_that_succeeds_at_a_later_attempt_keeps_the_history(db: Db) {
    let fail_once = |_: Task, ctx: JobContext| async move {
        if ctx.attempt() == 1 { Err(JobError::retry("busy", "not now")) } else { Ok(()) }
    };
    let _worker = db.worker().register(fail_once).start().await.unwrap();
    let id = enqueue(&db.client, "second time lucky").await;
    let detail = ended_detail(&db.client, id).await;
    assert_eq!((detail.job.status, detail.job.attempts, detail.job.error), (Status::Succeeded, 2, None));
    let told: Vec<_> = detail.attempts.iter().map(|a| (a.attempt, a.outcome.as_str())).collect();
    assert_eq!(told, [(1, "retry"), (2, "succeeded")]);
}

async fn a_fatal_error_ends_the_job_at_once(db: Db) {
    let refuse = |_: Task, _: JobContext| async {
        let details = serde_json::json!({ "cents": -5 });
        Err::<(), _>(JobError::fatal("invalid_amount", "cannot charge -5 cents").with_details(details))
    };
    let _worker = db.worker().register(refuse).start().await.unwrap();
    let id = enqueue(&db.client, "charge").await;
    let job = ended(&db.client, id).await;
    let error = job.error.unwrap();
    assert_eq!((job.status, job.attempts, error.kind.as_str()), (Status::Failed, 1, "invalid_amount"));
    assert_eq!(error.details.unwrap()["cents"], -5);
}

async fn a_snooze_uses_no_attempt(db: Db) {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let snooze_four_times = move |_: Task, ctx: JobContext| {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            assert_eq!(ctx.attempt(), 1);
            if run < 4 { Err(JobError::snooze(Duration::from_millis(10))) } else { Ok(()) }
        }
    };
    let _worker = db.worker().register(snooze_four_times).start().await.unwrap();
    // With one attempt allowed, a snooze that used one would end the job.
    let id = db.client.enqueue(task("sleepy")).max_attempts(1).await.unwrap().id;
    let job = ended(&db.client, id).await;
    assert_eq!((job.status, job.attempts, job.error), (Status::Succeeded, 1, None));
    assert_eq!(runs.load(Ordering::SeqCst), 5);
}

async fn a_panic_is_a_failure_and_the_worker_goes_on(db: Db) {
    let handler = |job: Task, _: JobContext| async move {
        assert!(job.name != "bomb", "the bomb went off");
        Ok(())
    };
    let _worker = db.worker().register(handler).queue("default", 1).start().await.unwrap();
    let bomb = db.client.enqueue(task("bomb")).max_attempts(2).await.unwrap().id;
    let job = ended(&db.client, bomb).await;
    let error = job.error.unwrap();
    assert_eq!((job.status, job.attempts, error.kind.as_str()), (Status::Dead, 2, "panic"));
    assert!(error.message.ends_with("the bomb went off"), "{}", error.message);
    let next = enqueue(&db.client, "harmless").await;
    assert_eq!(ended(&db.client, next).await.status, Status::Succeeded);
}

async fn a_handlers_own_wait_replaces_the_back_off(db: Db) {
    let busy = |_: Task, _: JobContext| async {
        Err::<(), _>(JobError::retry("busy", "come back in an hour").after(Duration::from_secs(3600)))
    };
    let _worker = db.worker().register(busy).start().await.unwrap();
    let id = enqueue(&db.client, "patient").await;
    let job =
        job_when(&db.client, id, "it waits", |job| job.status == Status::Queued && job.attempts == 1).await;
    let wait = job.run_at.duration_since(clock::wall()).as_secs();
    assert!((3500..=3600).contains(&wait), "{wait} s");
}

async fn the_types_back_off_governs_the_wait(db: Db) {
    #[derive(Serialize, Deserialize)]
    struct Slow {}
    impl JobType for Slow {
        const TYPE: &'static str = "test.slow";
        const RETRY: Option<RetryPolicy> =
            Some(RetryPolicy { base_ms: 600_000, factor: 1.0, max_ms: 600_000, jitter: 0.0 });
        type Output = ();
    }
    let fail = |_: Slow, _: JobContext| async { Err::<(), _>(JobError::retry("busy", "later")) };
    let _worker = db.worker().register(fail).start().await.unwrap();
    let id = db.client.enqueue(Slow {}).await.unwrap().id;
    let job =
        job_when(&db.client, id, "it waits", |job| job.status == Status::Queued && job.attempts == 1).await;
    let wait = job.run_at.duration_since(clock::wall()).as_secs();
    assert!((500..=600).contains(&wait), "{wait} s");
}

async fn a_handler_finds_the_applications_state(db: Db) {
    struct Greeting(&'static str);
    let read = |_: Task, ctx: JobContext| async move {
        ctx.log(ctx.state::<Greeting>()?.0);
        ctx.state::<String>().map(drop)
    };
    let _worker = db.worker().register(read).state(Greeting("hello")).start().await.unwrap();
    let id = enqueue(&db.client, "polite").await;
    let detail = ended_detail(&db.client, id).await;
    assert_eq!(detail.logs[0].text, "hello\n");
    // What nobody gave cannot appear by trying again.
    assert_eq!(
        (detail.job.status, detail.job.error.unwrap().kind.as_str()),
        (Status::Failed, "missing_state")
    );
}

async fn a_type_that_the_worker_does_not_know_stays_queued(db: Db) {
    let unknown = db.client.enqueue(Sum { of: vec![1] }).priority(-5).await.unwrap().id;
    let worker = db.worker().register(succeed).queue("default", 1).start().await.unwrap();
    let known = enqueue(&db.client, "known").await;
    ended(&db.client, known).await;
    let job = db.client.job(unknown).await.unwrap();
    assert_eq!((job.status, job.attempts, worker.stats().claimed), (Status::Queued, 0, 1));
}

async fn a_worker_that_cannot_work_is_refused(db: Db) {
    let builder = || db.worker();
    for (builder, word) in [
        (builder(), "no handler"),
        (builder().register(succeed).queue("a b", 1), "queue"),
        (builder().register(succeed).queue("a", 0), "no slot"),
        (builder().register(succeed).queue("a", 1).queue("a", 2), "twice"),
    ] {
        let error = builder.start().await.expect_err(word).to_string();
        assert!(error.contains(word), "{error}");
    }
}

on_each_engine_and_pooler!(
    a_handlers_output_becomes_the_result,
    a_handler_without_output_stores_no_result,
    a_payload_that_does_not_fit_its_type_fails_for_good,
    any_error_is_retried_until_the_attempts_are_used_up,
    a_job_that_succeeds_at_a_later_attempt_keeps_the_history,
    a_fatal_error_ends_the_job_at_once,
    a_snooze_uses_no_attempt,
    a_panic_is_a_failure_and_the_worker_goes_on,
    a_handlers_own_wait_replaces_the_back_off,
    the_types_back_off_governs_the_wait,
    a_handler_finds_the_applications_state,
    a_type_that_the_worker_does_not_know_stays_queued,
    a_worker_that_cannot_work_is_refused,
);
