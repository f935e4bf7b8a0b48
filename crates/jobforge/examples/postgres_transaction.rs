//! A job that exists if and only if the application's own change does:
//! `cargo run --example postgres_transaction -- postgres://user@host/database`.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::time::Duration;

use jobforge::store::postgres::{PostgresOptions, PostgresStore};
use jobforge::store::traits::Admin;
use jobforge::{Client, JobContext, JobError, JobType, Worker};
use serde::{Deserialize, Serialize};
use tokio_postgres::NoTls;

#[derive(Serialize, Deserialize)]
struct Confirm {
    order: String,
}

impl JobType for Confirm {
    const TYPE: &'static str = "order.confirm";
    // A queue of its own, so that the example leaves other jobs of the database alone.
    const QUEUE: &'static str = "example";
    type Output = ();
}

async fn confirm(job: Confirm, _ctx: JobContext) -> Result<(), JobError> {
    println!("  order {} is confirmed", job.order);
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some(url) = std::env::args().nth(1) else {
        println!(
            "This example needs a PostgreSQL database to try things in. Pass its URL as the first argument:"
        );
        println!("  cargo run --example postgres_transaction -- postgres://user@host/database");
        return Ok(());
    };
    // PostgreSQL is migrated only when somebody says so, for other programs may be using it.
    PostgresStore::connect(PostgresOptions::new(url.as_str())).await?.migrate().await?;
    let client = Client::open(&url).await?;
    let worker = Worker::builder(&client).register(confirm).queue("example", 5).start().await?;

    let (mut application, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    application.batch_execute("CREATE TEMP TABLE orders (name text PRIMARY KEY)").await?;

    let mut committed = None;
    for (order, enough_in_stock) in [("1001", false), ("1002", true)] {
        let transaction = application.transaction().await?;
        transaction.execute("INSERT INTO orders VALUES ($1)", &[&order]).await?;
        let receipt =
            client.enqueue(Confirm { order: order.to_owned() }).in_transaction(&transaction).await?;
        if enough_in_stock {
            transaction.commit().await?;
            println!("order {order}: committed together with job {}", receipt.id);
            committed = Some(receipt.id);
        } else {
            transaction.rollback().await?;
            println!(
                "order {order}: rolled back, and so there is no job: {:?}",
                client.job(receipt.id).await.err()
            );
        }
    }
    if let Some(id) = committed {
        // The commit has woken the worker.
        println!("job {id} {}", client.wait(id, Duration::from_secs(10)).await?.status);
    }
    worker.stop_gracefully(Duration::from_secs(5)).await;
    Ok(())
}
