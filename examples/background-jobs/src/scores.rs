//! `hot_score_refresh` and `trending_score_refresh`: scores that sink as time passes, so that they must be reckoned anew
//! although nothing else has changed.

use std::time::Duration;

use jobforge::{JobContext, JobError, JobType};
use serde::{Deserialize, Serialize};

use crate::batches::{Plan, apply_to_each};
use crate::db::{Db, Sql};
use crate::run::{Run, Tally};
use crate::worker::QUEUE;

pub(crate) const CLIPS_UNTIL: Sql =
    Sql { action: "find the last clip", text: include_str!("../sql/clips_until.sql") };

/// What a clip is worth by votes, views and age.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HotScoreRefresh {
    /// Clips of one transaction.
    pub batch: u32,
}

impl Default for HotScoreRefresh {
    fn default() -> Self {
        Self { batch: 500 }
    }
}

impl JobType for HotScoreRefresh {
    const TYPE: &'static str = "hot_score_refresh";
    const QUEUE: &'static str = QUEUE;
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(10 * 60));
    type Output = Tally;
}

/// Handles a job.
///
/// # Errors
/// When the database fails, and as [`Run::end`].
pub async fn hot_score_refresh(job: HotScoreRefresh, ctx: JobContext) -> Result<Tally, JobError> {
    const PICK: Sql = Sql { action: "pick clips to score", text: include_str!("../sql/hot_pick.sql") };
    const APPLY: Sql = Sql { action: "store hot scores", text: include_str!("../sql/hot_apply.sql") };
    let db = ctx.state::<Db>()?;
    let mut run = Run::begin(HotScoreRefresh::TYPE, ctx);
    let plan = Plan { until: CLIPS_UNTIL, pick: PICK, batch: job.batch };
    let outcome = apply_to_each(&mut run, &db, plan, APPLY).await;
    run.end(outcome)
}

/// What a clip is worth by the views that it gained lately.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrendingScoreRefresh {
    /// Clips of one transaction.
    pub batch: u32,
}

impl Default for TrendingScoreRefresh {
    fn default() -> Self {
        Self { batch: 500 }
    }
}

impl JobType for TrendingScoreRefresh {
    const TYPE: &'static str = "trending_score_refresh";
    const QUEUE: &'static str = QUEUE;
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(10 * 60));
    type Output = Tally;
}

/// Handles a job.
///
/// # Errors
/// When the database fails, and as [`Run::end`].
pub async fn trending_score_refresh(job: TrendingScoreRefresh, ctx: JobContext) -> Result<Tally, JobError> {
    const PICK: Sql = Sql { action: "pick clips to score", text: include_str!("../sql/trending_pick.sql") };
    const APPLY: Sql =
        Sql { action: "store trending scores", text: include_str!("../sql/trending_apply.sql") };
    let db = ctx.state::<Db>()?;
    let mut run = Run::begin(TrendingScoreRefresh::TYPE, ctx);
    let plan = Plan { until: CLIPS_UNTIL, pick: PICK, batch: job.batch };
    let outcome = apply_to_each(&mut run, &db, plan, APPLY).await;
    run.end(outcome)
}
