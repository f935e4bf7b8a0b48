//! Enqueuing in the caller's own PostgreSQL transaction.

use std::time::Duration;

use jobforge::core::state::Status;
use jobforge::store::StoreError;
use jobforge::{Error, JobContext, Worker};
use tokio_postgres::NoTls;

use crate::common::{Db, SELDOM, Task, ended, postgres, task};

/// A connection of the application's own, with a table of its own.
async fn application(db: &Db) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(db.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("CREATE TABLE IF NOT EXISTS orders (name text)").await.unwrap();
    client
}

async fn orders(application: &tokio_postgres::Client) -> i64 {
    application.query_one("SELECT count(*) FROM orders", &[]).await.unwrap().get(0)
}

async fn succeed(_job: Task, _ctx: JobContext) -> Result<(), jobforge::JobError> {
    Ok(())
}

#[tokio::test]
async fn a_rollback_leaves_no_job() {
    let db = postgres().await;
    let mut application = application(&db).await;
    let transaction = application.transaction().await.unwrap();
    transaction.execute("INSERT INTO orders VALUES ('a')", &[]).await.unwrap();
    let receipt = db.client.enqueue(task("a")).in_transaction(&transaction).await.unwrap();
    assert!(receipt.created);
    transaction.rollback().await.unwrap();
    assert!(matches!(db.client.job(receipt.id).await, Err(Error::NotFound(_))));
    assert_eq!(orders(&application).await, 0);
}

#[tokio::test]
async fn a_commit_makes_the_job_visible_and_wakes_a_worker() {
    let db = postgres().await;
    let mut application = application(&db).await;
    let worker = Worker::builder(&db.client).register(succeed).poll(SELDOM).start().await.unwrap();
    let transaction = application.transaction().await.unwrap();
    transaction.execute("INSERT INTO orders VALUES ('a')", &[]).await.unwrap();
    let id = db.client.enqueue(task("a")).in_transaction(&transaction).await.unwrap().id;
    // Long enough for a worker that could see it to take it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(worker.stats().claimed, 0);
    assert!(matches!(db.client.job(id).await, Err(Error::NotFound(_))));
    transaction.commit().await.unwrap();
    assert_eq!(ended(&db.client, id).await.status, Status::Succeeded);
    assert_eq!(orders(&application).await, 1);
}

#[tokio::test]
async fn a_known_key_gives_the_existing_job_and_another_payload_is_refused() {
    let db = postgres().await;
    let mut application = application(&db).await;
    let existing = db.client.enqueue(task("a")).idempotency_key("k").await.unwrap().id;
    let transaction = application.transaction().await.unwrap();
    let again = db.client.enqueue(task("a")).idempotency_key("k").in_transaction(&transaction).await.unwrap();
    assert_eq!((again.id, again.created), (existing, false));
    let other =
        db.client.enqueue(task("b")).idempotency_key("k").in_transaction(&transaction).await.unwrap_err();
    assert!(matches!(other, Error::Store(StoreError::IdempotencyConflict { .. })), "{other}");
    // A refusal is no database error: the transaction can go on.
    transaction.execute("INSERT INTO orders VALUES ('b')", &[]).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(orders(&application).await, 1);
}

#[tokio::test]
async fn an_invalid_job_is_refused_before_the_transaction_is_touched() {
    let db = postgres().await;
    let mut application = application(&db).await;
    let transaction = application.transaction().await.unwrap();
    let refused = db.client.enqueue(task("a")).queue("a b").in_transaction(&transaction).await;
    assert!(matches!(refused, Err(Error::InvalidJob(_))));
    transaction.execute("INSERT INTO orders VALUES ('a')", &[]).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(orders(&application).await, 1);
}
