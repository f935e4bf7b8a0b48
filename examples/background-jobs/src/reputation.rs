//! `reputation_tasks`: adds up what users have earned, and awards badges.

use std::time::Duration;

use jobforge::{JobContext, JobError, JobType};
use serde::{Deserialize, Serialize};

use crate::batches::{Plan, apply_to_each};
use crate::db::{Db, Sql};
use crate::run::{Run, Tally};
use crate::worker::QUEUE;

const UNTIL: Sql = Sql { action: "find the last user", text: include_str!("../sql/users_until.sql") };
const PICK: Sql = Sql { action: "pick users", text: include_str!("../sql/reputation_pick.sql") };
const APPLY: Sql =
    Sql { action: "store reputations and badges", text: include_str!("../sql/reputation_apply.sql") };

/// Goes through all users.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReputationTasks {
    /// Users of one transaction.
    pub batch: u32,
}

impl Default for ReputationTasks {
    fn default() -> Self {
        Self { batch: 200 }
    }
}

impl JobType for ReputationTasks {
    const TYPE: &'static str = "reputation_tasks";
    const QUEUE: &'static str = QUEUE;
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(60 * 60));
    type Output = Tally;
}

/// Handles a job.
///
/// # Errors
/// When the database fails, and as [`Run::end`].
pub async fn reputation_tasks(job: ReputationTasks, ctx: JobContext) -> Result<Tally, JobError> {
    let db = ctx.state::<Db>()?;
    let mut run = Run::begin(ReputationTasks::TYPE, ctx);
    let plan = Plan { until: UNTIL, pick: PICK, batch: job.batch };
    let outcome = apply_to_each(&mut run, &db, plan, APPLY).await;
    run.end(outcome)
}
