//! Putting jobs in and asking about them.

use std::time::Duration;

use jobforge::core::enqueue::JobRequest;
use jobforge::core::job::JobId;
use jobforge::core::payload::MAX_PAYLOAD_BYTES;
use jobforge::core::standing::Rules;
use jobforge::core::standing::{Kind, WaitingFor};
use jobforge::core::state::Status;
use jobforge::store::StoreError;
use jobforge::store::rows::JobFilter;
use jobforge::{Client, Error, JobContext, clock};

use crate::common::{Db, HANG, Sum, Task, ended, enqueue, job_when, task};

async fn count(db: &Db) -> usize {
    db.client.jobs(&JobFilter { limit: 1000, ..JobFilter::default() }).await.unwrap().len()
}

async fn everything_set_on_an_enqueue_is_stored(db: Db) {
    let moment = "2027-01-31T08:00:00Z".parse().unwrap();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let client = db.client.clone().author("billing");
    let enqueue =
        client.enqueue(task("all")).tenant("acme").queue("slow").priority(-7).run_at(moment).max_attempts(9);
    let enqueue =
        enqueue.timeout(Duration::from_secs(90)).idempotency_key("k-1").tag("a").tag("b").traceparent(trace);
    let receipt = enqueue.await.unwrap();
    assert!(receipt.created);
    let job = db.client.job(receipt.id).await.unwrap();
    assert_eq!((job.tenant_id.as_str(), job.queue.as_str(), job.priority), ("acme", "slow", -7));
    assert_eq!((job.run_at, job.max_attempts, job.timeout), (moment, 9, Some(Duration::from_secs(90))));
    assert_eq!((job.idempotency_key.as_deref(), job.tags.join(",").as_str()), (Some("k-1"), "a,b"));
    assert_eq!((job.traceparent.as_deref(), job.created_by.as_deref()), (Some(trace), Some("billing")));
    assert_eq!(job.payload.decode::<Task>().unwrap().name, "all");
}

async fn the_same_key_gives_the_same_job_and_another_payload_is_refused(db: Db) {
    let first = db.client.enqueue(task("a")).idempotency_key("k").await.unwrap();
    let again = db.client.enqueue(task("a")).idempotency_key("k").await.unwrap();
    assert_eq!((again.id, first.created, again.created), (first.id, true, false));
    let other = db.client.enqueue(task("b")).idempotency_key("k").await.unwrap_err();
    assert!(
        matches!(&other, Error::Store(StoreError::IdempotencyConflict { existing, .. }) if *existing == first.id),
        "{other}"
    );
    assert_eq!(count(&db).await, 1);
}

async fn a_batch_is_enqueued_whole_or_not_at_all(db: Db) {
    enqueue(&db.client, "before").await;
    db.client.enqueue(task("taken")).idempotency_key("k").await.unwrap();
    let conflicting = vec![
        db.client.enqueue(task("fine")),
        db.client.enqueue(task("another payload")).idempotency_key("k"),
        db.client.enqueue(task("fine too")),
    ];
    let error = db.client.enqueue_many(conflicting).await.unwrap_err();
    assert!(matches!(error, Error::Store(StoreError::IdempotencyConflict { .. })), "{error}");
    let invalid = vec![db.client.enqueue(task("fine")), db.client.enqueue(task("bad")).queue("no such name")];
    assert!(matches!(db.client.enqueue_many(invalid).await, Err(Error::InvalidJob(_))));
    assert_eq!(count(&db).await, 2);
    let whole = (0..3).map(|n| db.client.enqueue(task(n.to_string()))).collect();
    assert_eq!(db.client.enqueue_many(whole).await.unwrap().len(), 3);
    assert_eq!(count(&db).await, 5);
}

async fn a_job_that_cannot_be_stored_is_refused_with_every_fault(db: Db) {
    let enqueue = db.client.enqueue(task("x")).queue("a b").timeout(Duration::ZERO).tag("");
    let Err(Error::InvalidJob(invalid)) = enqueue.await else { panic!("it was enqueued") };
    let fields: Vec<_> = invalid.errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["queue", "timeout_ms", "tags"]);
    for name in ["x".repeat(MAX_PAYLOAD_BYTES), "a\0b".to_owned()] {
        assert!(matches!(db.client.enqueue(task(name)).await, Err(Error::InvalidPayload(_))));
    }
    let request = JobRequest { job_type: "no such name".to_owned(), ..JobRequest::default() };
    assert!(matches!(db.client.enqueue_untyped(request).await, Err(Error::InvalidJob(_))));
    assert_eq!(count(&db).await, 0);
}

async fn waiting_ends_with_the_job_or_with_its_time(db: Db) {
    let short = Duration::from_millis(100);
    let id = db.client.enqueue(Sum { of: vec![1] }).await.unwrap().id;
    let began = clock::monotonic();
    let error = db.client.wait(id, short).await.unwrap_err();
    assert!(matches!(error, Error::NotEnded { status: Status::Queued, .. }), "{error}");
    let took = clock::monotonic().duration_since(began);
    assert!(took >= short && took < short + HANG / 4, "{took:?}");
    let waiting = tokio::spawn({
        let client = db.client.clone();
        async move { client.wait(id, Duration::from_secs(10)).await }
    });
    let add = |job: Sum, _: JobContext| async move { Ok(job.of.iter().sum()) };
    let _worker = db.worker().register(add).start().await.unwrap();
    let ended = ended(&db.client, id).await;
    assert_eq!(waiting.await.unwrap().unwrap().status, Status::Succeeded);
    assert_eq!(ended.status, Status::Succeeded);
}

async fn a_job_that_is_not_there_is_not_found(db: Db) {
    let id = JobId::new();
    let rules = Rules::default();
    assert!(matches!(db.client.job(id).await, Err(Error::NotFound(_))));
    assert!(matches!(db.client.job_detail(id).await, Err(Error::NotFound(_))));
    assert!(matches!(db.client.explain(id, &rules).await, Err(Error::NotFound(_))));
    assert!(matches!(db.client.cancel(id).await, Err(Error::NotFound(_))));
    assert!(matches!(db.client.retry(id).await, Err(Error::NotFound(_))));
    assert!(matches!(db.client.delete(id).await, Err(Error::NotFound(_))));
    assert!(matches!(db.client.wait(id, Duration::ZERO).await, Err(Error::NotFound(_))));
}

async fn jobs_are_canceled_retried_and_deleted_as_their_status_allows(db: Db) {
    let id = enqueue(&db.client, "x").await;
    db.client.cancel(id).await.unwrap();
    db.client.cancel(id).await.unwrap();
    assert_eq!(db.client.job(id).await.unwrap().status, Status::Canceled);
    db.client.retry(id).await.unwrap();
    let succeed = |_: Task, _: JobContext| async { Ok(()) };
    let worker = db.worker().register(succeed).start().await.unwrap();
    assert_eq!(ended(&db.client, id).await.status, Status::Succeeded);
    let error = db.client.cancel(id).await.unwrap_err();
    assert!(matches!(error, Error::NotAllowed { status: Status::Succeeded, .. }), "{error}");
    db.client.delete(id).await.unwrap();
    assert!(matches!(db.client.job(id).await, Err(Error::NotFound(_))));
    drop(worker);
    let hang = |_: Task, ctx: JobContext| async move {
        ctx.stopped().await;
        Ok(())
    };
    let _worker = db.worker().register(hang).start().await.unwrap();
    let id = enqueue(&db.client, "y").await;
    job_when(&db.client, id, "it runs", |job| job.status == Status::Running).await;
    let error = db.client.delete(id).await.unwrap_err();
    assert!(matches!(error, Error::NotAllowed { status: Status::Running, .. }), "{error}");
}

async fn an_explanation_follows_the_job_through_its_life(db: Db) {
    let rules = Rules::default();
    let id = enqueue(&db.client, "x").await;
    let standing = db.client.explain(id, &rules).await.unwrap();
    assert_eq!((standing.kind, standing.waiting_for), (Kind::Waiting, Some(WaitingFor::Worker)));
    let succeed = |_: Task, _: JobContext| async { Ok(()) };
    let _worker = db.worker().register(succeed).start().await.unwrap();
    ended(&db.client, id).await;
    let standing = db.client.explain(id, &rules).await.unwrap();
    assert_eq!((standing.kind, standing.waiting_for), (Kind::Finished, None));
    assert!(standing.headline.starts_with("succeeded"), "{}", standing.headline);
}

on_each_engine_and_pooler!(
    everything_set_on_an_enqueue_is_stored,
    the_same_key_gives_the_same_job_and_another_payload_is_refused,
    a_batch_is_enqueued_whole_or_not_at_all,
    a_job_that_cannot_be_stored_is_refused_with_every_fault,
    waiting_ends_with_the_job_or_with_its_time,
    a_job_that_is_not_there_is_not_found,
    jobs_are_canceled_retried_and_deleted_as_their_status_allows,
    an_explanation_follows_the_job_through_its_life,
);

#[tokio::test]
async fn a_second_owner_of_a_sqlite_file_is_refused_with_the_firsts_pid() {
    let db = crate::common::sqlite().await;
    let error = Client::open(db.url()).await.unwrap_err();
    let pid = std::process::id().to_string();
    assert!(
        matches!(&error, Error::Store(StoreError::InUse { pid: holder, .. }) if *holder == pid),
        "{error}"
    );
    assert!(error.to_string().contains(&pid), "{error}");
    let id = enqueue(&db.visit().await, "beside the owner").await;
    assert_eq!(db.client.job(id).await.unwrap().status, Status::Queued);
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_refused_in_words() {
    for url in ["mysql://host/db", "jobs.db", "sqlite:", "postgres://"] {
        let error = Client::open(url).await.unwrap_err();
        assert!(matches!(error, Error::Store(StoreError::BadUrl { .. })), "{url}: {error}");
    }
}
