//! `webhook_retry`: has what could not be delivered delivered by `connector.webhook.deliver`, and notes how that ended.
//!
//! A run does not wait for the deliveries: each is a job with attempts and back-off of its own, and the next run notes its
//! end. A delivery and its job come to be in one transaction, under a key that says which round it is, so that a crash
//! leaves neither without the other; the receiver gets the same `webhook-id` in every attempt of every round.

use std::time::Duration;

use jobforge::builtin::webhook::WebhookPayload;
use jobforge::core::enqueue::JobRequest;
use jobforge::core::job::NewJob;
use jobforge::core::payload::Payload;
use jobforge::store::postgres::enqueue_in;
use jobforge::{Client, JobContext, JobError, JobType};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::db::{self, Db, Sql};
use crate::run::{Run, Tally};
use crate::trouble::{Trouble, chain};
use crate::worker::{QUEUE, WEBHOOK_QUEUE};

const SETTLE: Sql =
    Sql { action: "note how deliveries have ended", text: include_str!("../sql/webhooks_settle.sql") };
const PICK: Sql = Sql { action: "pick deliveries", text: include_str!("../sql/webhooks_pick.sql") };
const HAND_OVER: Sql =
    Sql { action: "hand deliveries over", text: include_str!("../sql/webhooks_hand_over.sql") };
const UNDER_WAY: Sql =
    Sql { action: "count deliveries under way", text: include_str!("../sql/webhooks_under_way.sql") };

/// The largest batch that a payload may ask for: what one call enqueues.
const LARGEST: u32 = 1000;
/// Batches of a run; what is left is for the next, a minute later.
const BATCHES: u32 = 100;

/// Hands failed deliveries over, and notes how those before have ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookRetry {
    /// Deliveries of one transaction.
    pub batch: u32,
    /// Attempts of each delivery.
    pub attempts: u32,
}

impl Default for WebhookRetry {
    fn default() -> Self {
        Self { batch: 100, attempts: 5 }
    }
}

impl JobType for WebhookRetry {
    const TYPE: &'static str = "webhook_retry";
    const QUEUE: &'static str = QUEUE;
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(5 * 60));
    type Output = Tally;
}

/// Handles a job.
///
/// # Errors
/// When the database fails, and as [`Run::end`].
pub async fn webhook_retry(job: WebhookRetry, ctx: JobContext) -> Result<Tally, JobError> {
    let (db, client) = (ctx.state::<Db>()?, ctx.state::<Client>()?);
    let mut run = Run::begin(WebhookRetry::TYPE, ctx);
    let outcome = retry(&job, &mut run, &db, &client).await;
    run.end(outcome)
}

async fn retry(job: &WebhookRetry, run: &mut Run, db: &Db, client: &Client) -> Result<(), Trouble> {
    if !(1..=LARGEST).contains(&job.batch) {
        return Err(Trouble::payload("batch", format_args!("{} is not from 1 to {LARGEST}", job.batch)));
    }
    run.ctx().phase("noting");
    for _ in 0..BATCHES {
        run.check()?;
        if settle(job, run, db).await? < job.batch as usize {
            break;
        }
    }
    run.ctx().phase("handing over");
    for _ in 0..BATCHES {
        run.check()?;
        if hand_over(job, run, db, client).await? < job.batch as usize {
            break;
        }
    }
    let mut connection = db.client().await?;
    let transaction = db::begin(&mut connection).await?;
    let under_way = db::must(&transaction, UNDER_WAY, &[]).await?.first().map_or(0, |row| row.get(0));
    run.count(0, under_way);
    Ok(())
}

/// Notes how one batch of jobs has ended; returns how many there were.
async fn settle(job: &WebhookRetry, run: &mut Run, db: &Db) -> Result<usize, Trouble> {
    let mut connection = db.client().await?;
    let transaction = db::begin(&mut connection).await?;
    let ended = db::must(&transaction, SETTLE, &[&i64::from(job.batch)]).await?;
    db::commit(transaction).await?;
    for row in &ended {
        let (id, status, by): (i64, &str, Uuid) = (row.get(0), row.get(1), row.get(2));
        if status == "delivered" {
            run.count(1, 0);
        } else {
            let why: Option<&str> = row.get(3);
            let why = why.unwrap_or("it is not known why");
            let advice = format!("mend the receiver, then `jobforge job retry {by}`");
            run.count_failed(&format!("webhook delivery {id}"), &format!("{why}; {advice}"));
        }
    }
    Ok(ended.len())
}

/// Hands one batch over; returns how many there were.
async fn hand_over(job: &WebhookRetry, run: &Run, db: &Db, client: &Client) -> Result<usize, Trouble> {
    let mut connection = db.client().await?;
    let transaction = db::begin(&mut connection).await?;
    let picked = db::must(&transaction, PICK, &[&i64::from(job.batch)]).await?;
    if picked.is_empty() {
        return Ok(0);
    }
    let jobs = picked.iter().map(|row| delivery(row, job, client)).collect::<Result<Vec<_>, _>>()?;
    let enqueued = enqueue_in(&transaction, &jobs)
        .await
        .map_err(|error| Trouble::database("enqueue deliveries", &error))?;
    let deliveries: Vec<i64> = picked.iter().map(|row| row.get(0)).collect();
    let by: Vec<Uuid> = enqueued.iter().map(|enqueued| enqueued.id.0).collect();
    db::must(&transaction, HAND_OVER, &[&deliveries, &by]).await?;
    db::commit(transaction).await?;
    run.say(&format!("{} handed over", picked.len()));
    Ok(picked.len())
}

/// The job that makes one delivery.
fn delivery(row: &Row, job: &WebhookRetry, client: &Client) -> Result<NewJob, Trouble> {
    let (id, round): (i64, i32) = (row.get("id"), row.get("round"));
    let payload = WebhookPayload {
        url: row.get("url"),
        event_type: row.get("event_type"),
        event_id: Some(format!("delivery-{id}")),
        data: row.get("data"),
        secret_ref: row.get("secret_ref"),
        timeout_ms: None,
    };
    let refused = |error: &(dyn std::error::Error + 'static)| Trouble::Never {
        kind: "bad_delivery",
        message: format!(
            "webhook delivery {id} cannot become a job: {}; correct or delete its row",
            chain(error)
        ),
    };
    let payload = Payload::from_value(&payload).map_err(|error| refused(&error))?;
    let request = JobRequest {
        job_type: "connector.webhook.deliver".to_owned(),
        payload: Some(payload),
        queue: Some(WEBHOOK_QUEUE.to_owned()),
        max_attempts: Some(i64::from(job.attempts)),
        tags: vec![WebhookRetry::TYPE.to_owned()],
        ..JobRequest::default()
    };
    let request = client.enqueue_untyped(request).idempotency_key(format!("delivery-{id}-round-{round}"));
    request.into_job().map_err(|error| refused(&error))
}
