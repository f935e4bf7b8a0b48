//! `embedding_generation`: turns the titles of new clips into vectors.

use std::time::Duration;

use jobforge::{JobContext, JobError, JobType};
use serde::{Deserialize, Serialize};

use crate::batches::{Batches, Plan};
use crate::db::{self, Db, Sql};
use crate::run::{Run, Tally};
use crate::scores::CLIPS_UNTIL;
use crate::trouble::Trouble;
use crate::vector;
use crate::worker::QUEUE;

const PICK: Sql =
    Sql { action: "pick clips without a vector", text: include_str!("../sql/embedding_pick.sql") };
const TITLES: Sql = Sql { action: "read titles", text: include_str!("../sql/embedding_titles.sql") };
const STORE: Sql = Sql { action: "store vectors", text: include_str!("../sql/embedding_store.sql") };

/// Goes through the clips of the last week that have no vector of their title.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddingGeneration {
    /// Clips of one transaction.
    pub batch: u32,
}

impl Default for EmbeddingGeneration {
    fn default() -> Self {
        Self { batch: 100 }
    }
}

impl JobType for EmbeddingGeneration {
    const TYPE: &'static str = "embedding_generation";
    const QUEUE: &'static str = QUEUE;
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(60 * 60));
    type Output = Tally;
}

/// A clip's vector, as it is stored.
#[derive(Serialize)]
struct Embedded<'a> {
    id: i64,
    /// None for a title without words.
    embedding: Option<Vec<f32>>,
    embedded: &'a str,
}

/// Handles a job.
///
/// # Errors
/// When the database fails, and as [`Run::end`].
pub async fn embedding_generation(job: EmbeddingGeneration, ctx: JobContext) -> Result<Tally, JobError> {
    let db = ctx.state::<Db>()?;
    let mut run = Run::begin(EmbeddingGeneration::TYPE, ctx);
    let outcome = generate(&mut run, &db, job.batch).await;
    run.end(outcome)
}

async fn generate(run: &mut Run, db: &Db, batch: u32) -> Result<(), Trouble> {
    let plan = Plan { until: CLIPS_UNTIL, pick: PICK, batch };
    let mut batches = Batches::begin(run, db, plan).await?;
    while let Some(ids) = batches.next(run, db).await? {
        let mut client = db.client().await?;
        let transaction = db::begin(&mut client).await?;
        let titles = db::must(&transaction, TITLES, &[&ids]).await?;
        let embedded: Vec<Embedded<'_>> = titles
            .iter()
            .map(|row| Embedded { id: row.get(0), embedding: vector::of(row.get(1)), embedded: row.get(2) })
            .collect();
        let value = serde_json::json!(embedded);
        db::must(&transaction, STORE, &[&value]).await?;
        db::commit(transaction).await?;
        let made = embedded.iter().filter(|one| one.embedding.is_some()).count();
        run.count(to_i64(made), to_i64(ids.len() - made));
    }
    Ok(())
}

fn to_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
