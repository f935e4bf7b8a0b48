//! Going through a table in batches, so that a run holds locks only for moments, can stop between two of them, and goes
//! on where an earlier attempt was stopped.
//!
//! Rows are taken in the order of their ids, up to the last one that there was at the beginning: so a run ends, however
//! fast the table grows.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::db::{self, Db, Sql};
use crate::run::Run;
use crate::trouble::{Trouble, chain};

/// The largest batch that a payload may ask for.
const LARGEST: u32 = 10_000;

/// How a table is gone through, and how large each batch is.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How far it goes: `until`, `as_of`.
    pub until: Sql,
    /// Gives the next ids of `(behind, until, how many, as_of)`.
    pub pick: Sql,
    /// Rows of one batch.
    pub batch: u32,
}

/// How far a run has come; kept as the job's checkpoint.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Place {
    behind: i64,
    until: i64,
    as_of: Timestamp,
}

/// The way through a table.
#[derive(Debug)]
pub struct Batches {
    plan: Plan,
    place: Place,
}

impl Batches {
    /// Begins at the beginning, or where an earlier attempt of the same job got to.
    ///
    /// # Errors
    /// For a batch of no size, and when the database fails.
    pub async fn begin(run: &Run, db: &Db, plan: Plan) -> Result<Self, Trouble> {
        if !(1..=LARGEST).contains(&plan.batch) {
            return Err(Trouble::payload("batch", format_args!("{} is not from 1 to {LARGEST}", plan.batch)));
        }
        // A checkpoint of another shape is that of an older release: then everything is done again, which harms nothing.
        if let Ok(Some(place)) = run.ctx().checkpoint::<Place>() {
            run.say(&format!("going on behind id {}", place.behind));
            return Ok(Self { plan, place });
        }
        let mut client = db.client().await?;
        let transaction = db::begin(&mut client).await?;
        let rows = db::must(&transaction, plan.until, &[]).await?;
        let (until, as_of) = rows.first().map_or((0, Timestamp::UNIX_EPOCH), |row| (row.get(0), row.get(1)));
        Ok(Self { plan, place: Place { behind: 0, until, as_of } })
    }

    /// The moment that the whole run is about, also in later attempts.
    pub fn as_of(&self) -> Timestamp {
        self.place.as_of
    }

    /// Takes the next ids; `None` at the end. Asking for them says that the batch before is stored.
    ///
    /// # Errors
    /// When the job was asked to stop or the database fails.
    pub async fn next(&mut self, run: &Run, db: &Db) -> Result<Option<Vec<i64>>, Trouble> {
        run.check()?;
        if self.place.behind > 0 {
            // Stored with the next heartbeat; what is done twice after a crash comes out the same.
            let _unstorable = run.ctx().set_checkpoint(&self.place);
            let percent = self.place.behind.saturating_mul(100) / self.place.until.max(1);
            let message = format!("id {} of {}", self.place.behind, self.place.until);
            run.ctx().progress(u8::try_from(percent).unwrap_or(100), message);
        }
        let Place { behind, until, as_of } = self.place;
        let mut client = db.client().await?;
        let transaction = db::begin(&mut client).await?;
        let rows =
            db::must(&transaction, self.plan.pick, &[&behind, &until, &i64::from(self.plan.batch), &as_of])
                .await?;
        let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        let Some(&last) = ids.last() else { return Ok(None) };
        self.place.behind = last;
        Ok(Some(ids))
    }
}

/// Goes through a table with one statement, which gets `(ids, as_of)` and returns the ids that it changed: those are
/// counted as processed, the others as skipped.
///
/// Where the data of a batch is refused, its rows are done one by one, so that a bad one holds nobody else back.
///
/// # Errors
/// When the job was asked to stop or the database fails.
pub async fn apply_to_each(run: &mut Run, db: &Db, plan: Plan, apply: Sql) -> Result<(), Trouble> {
    let mut batches = Batches::begin(run, db, plan).await?;
    while let Some(ids) = batches.next(run, db).await? {
        match apply_once(db, apply, &ids, batches.as_of()).await? {
            Ok(changed) => count(run, &ids, changed),
            Err(_) => {
                for id in ids {
                    run.check()?;
                    match apply_once(db, apply, &[id], batches.as_of()).await? {
                        Ok(changed) => count(run, &[id], changed),
                        Err(why) => run.count_failed(&format!("id {id}"), &why),
                    }
                }
            }
        }
    }
    Ok(())
}

fn count(run: &mut Run, ids: &[i64], changed: usize) {
    let (changed, all) =
        (i64::try_from(changed).unwrap_or(i64::MAX), i64::try_from(ids.len()).unwrap_or(i64::MAX));
    run.count(changed, all - changed);
}

/// Applies a statement in a transaction of its own: how many rows it changed, or why their data was refused.
async fn apply_once(
    db: &Db,
    apply: Sql,
    ids: &[i64],
    as_of: Timestamp,
) -> Result<Result<usize, String>, Trouble> {
    let mut client = db.client().await?;
    let transaction = db::begin(&mut client).await?;
    match db::query(&transaction, apply, &[&ids, &as_of]).await {
        Ok(rows) => {
            db::commit(transaction).await?;
            Ok(Ok(rows.len()))
        }
        Err(error) if db::is_about_the_data(&error) => Ok(Err(chain(&error))),
        Err(error) => Err(Trouble::database(apply.action, &error)),
    }
}
