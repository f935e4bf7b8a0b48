//! `clip_sync`: takes over what has changed at the source of clips.
//!
//! The source is a feed of changes, read page by page from a position. A page and the position behind it are stored in one
//! transaction, and only if the position has not moved meanwhile: so a page is stored exactly once, whatever crashes and
//! whoever believes to hold the job, and the next run asks only for what has changed since.

mod clip;
mod source;
mod store;

use std::time::Duration;

use jobforge::{JobContext, JobError, JobType};
use serde::{Deserialize, Serialize};

pub use clip::{Clip, Refused};
pub use source::{Answer, Page, Source};

use crate::db::Db;
use crate::run::{Run, Tally};
use crate::trouble::Trouble;
use crate::worker::QUEUE;

/// The name of the source in the application's tables.
pub const SOURCE: &str = "clips";

/// The most clips of a page.
const LARGEST: u32 = 1000;
/// Pages of a run; what is left is for the next.
const PAGES: u32 = 10_000;
/// A shorter pause is waited for; for a longer one the job leaves its slot to others.
const WAITED_FOR: Duration = Duration::from_secs(10);

/// Reads on from where the last run ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClipSync {
    /// Clips of one page.
    pub page: u32,
}

impl Default for ClipSync {
    fn default() -> Self {
        Self { page: 100 }
    }
}

impl JobType for ClipSync {
    const TYPE: &'static str = "clip_sync";
    const QUEUE: &'static str = QUEUE;
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(60 * 60));
    type Output = Tally;
}

/// Handles a job.
///
/// # Errors
/// When the source or the database fails, and as [`Run::end`].
pub async fn clip_sync(job: ClipSync, ctx: JobContext) -> Result<Tally, JobError> {
    let (db, source) = (ctx.state::<Db>()?, ctx.state::<Source>()?);
    let mut run = Run::begin(ClipSync::TYPE, ctx);
    let outcome = sync(&job, &mut run, &db, &source).await;
    run.end(outcome)
}

async fn sync(job: &ClipSync, run: &mut Run, db: &Db, source: &Source) -> Result<(), Trouble> {
    if !(1..=LARGEST).contains(&job.page) {
        return Err(Trouble::payload("page", format_args!("{} is not from 1 to {LARGEST}", job.page)));
    }
    let mut position = store::position(db).await?;
    for number in 1..=PAGES {
        run.check()?;
        let page = next_page(job, run, source, &position).await?;
        let taken = store::page(db, &position, &page).await?;
        run.count(taken.created + taken.updated, taken.unchanged);
        for (id, why) in &taken.refused {
            run.count_failed(&format!("clip {id}"), &why.to_string());
        }
        // How much is to come is not known, so this tells how far it is and not what part of the way.
        run.ctx().progress(0, format!("{number} pages, position {}", page.next));
        if !page.more {
            return Ok(());
        }
        position = page.next;
    }
    run.say(&format!("{PAGES} pages read and the source has more; the next run goes on"));
    Ok(())
}

/// Asks for a page until the source gives one, in its own time.
async fn next_page(job: &ClipSync, run: &Run, source: &Source, position: &str) -> Result<Page, Trouble> {
    loop {
        match run.unless_stopped(source.page(position, job.page)).await?? {
            Answer::Page(page) => return Ok(page),
            Answer::Wait(wait) if wait <= WAITED_FOR => {
                run.ctx().progress(0, format!("the source asks to wait {} ms", wait.as_millis()));
                run.wait(wait).await?;
            }
            Answer::Wait(wait) => {
                let why = format!("{} asks to wait, at position {position:?}", source.name());
                return Err(Trouble::Later { why, wait });
            }
        }
    }
}
