//! Who is told of alerts: each channel with its last message and what became of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jobforge::core::alert::notice::{NOTIFY, Notice};
use jobforge::core::job::Job;
use jobforge::core::state::Status;
use jobforge::store::rows::JobFilter;

use super::visit::Visit;
use super::words::{Badge, When, cut};
use crate::api_error::ApiError;

/// Messages that are looked through for the last one of each channel, the newest first.
const LOOKED: usize = 100;

/// One channel.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    /// What it is told of, where this server knows.
    pub(super) told_of: String,
    pub(super) last: Option<Last>,
}

/// Its last message.
#[derive(Debug)]
pub(super) struct Last {
    pub(super) badge: Badge,
    pub(super) about: String,
    /// Why the receiver did not take it.
    pub(super) why: String,
    pub(super) at: When,
    pub(super) job: String,
}

impl Last {
    fn of(job: &Job, notice: &Notice, now: Timestamp) -> Self {
        let of = |word, tone| Badge { word, tone };
        let badge = match job.status {
            Status::Succeeded => of("taken", "running"),
            Status::Queued if job.attempts > 0 => of("tried again soon", "recovering"),
            Status::Queued => of("waits", "queued"),
            Status::Running => of("is sent", "queued"),
            Status::Failed | Status::Dead => of("not taken", "dead"),
            Status::Canceled => of("canceled", "canceled"),
        };
        let rule = if notice.rule.is_empty() { String::new() } else { format!(" {}", notice.rule) };
        Self {
            badge,
            about: cut(&format!("{}{rule}", notice.says.word()), 120),
            why: job.error.as_ref().map(|error| cut(&error.message, 300)).unwrap_or_default(),
            at: When::of(job.finished_at.unwrap_or(job.created_at), now),
            job: job.id.to_string(),
        }
    }
}

/// The channels that this server has, and those that were told something lately.
pub(super) async fn lines(visit: &Visit, now: Timestamp) -> Result<Vec<Line>, ApiError> {
    let filter = JobFilter { job_type: Some(NOTIFY.to_owned()), limit: LOOKED, ..JobFilter::default() };
    let page = visit.app.client.store().job_page(&filter).await?;
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for view in visit.app.channels.get().into_iter().flatten() {
        let told_of = format!("{} and worse", view.least);
        lines.insert(view.name.clone(), Line { name: view.name.clone(), told_of, last: None });
    }
    for job in &page.jobs {
        let Ok(notice) = job.payload.decode::<Notice>() else { continue };
        let line = lines.entry(notice.channel.clone()).or_insert_with(|| Line {
            name: notice.channel.clone(),
            told_of: String::new(),
            last: None,
        });
        if line.last.is_none() {
            line.last = Some(Last::of(job, &notice, now));
        }
    }
    Ok(lines.into_values().collect())
}
