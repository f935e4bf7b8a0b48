//! How a list of jobs is searched: along the one index that leads to the fewest, and no further than a bound.
//!
//! Every engine has the same indexes in the order of ids, which is the order of time. A search takes ids from one of them
//! in steps, newest first, and keeps the jobs that match the rest of the filter. It is pure: the engine asks what to look
//! at next, looks, and hands in what it saw.

use jobforge_core::job::{Job, JobId};
use jobforge_core::job_state::JobState;
use jobforge_core::rescue::{Suspect, SuspectPage};
use jobforge_core::state::Status;

use crate::rows::{JobFilter, JobPage, MAX_PAGE};

/// Statuses that few jobs are in fit into one look.
pub(crate) const FEW: usize = 2_000;
/// Ids that one step takes when the filter asks for more than the index knows.
const STEP: usize = 500;
/// Jobs that one page looks at; where it stops, the next one goes on.
const BOUND: usize = 3_000;

/// Where a search takes its ids from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The jobs that have an idempotency key.
    Key,
    /// The jobs that a worker holds.
    Worker,
    /// The running jobs that may be in trouble; the core says which are so.
    Suspects,
    /// The queued jobs whose time has come, or has not, if they are few: otherwise the next source is taken.
    Waiting,
    /// The jobs in statuses that few are in, if they are few: otherwise the next source is taken.
    Few,
    /// The jobs with a tag.
    Tag,
    /// The jobs that ended badly.
    Fallen,
    /// The jobs of a tenant, type or queue, or of several of these.
    Kinds,
    /// All.
    Newest,
}

/// What to look at next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) before: Option<JobId>,
    pub(crate) ids: usize,
}

/// One page under way.
#[derive(Debug)]
pub(crate) struct Search<'f> {
    pub(crate) filter: &'f JobFilter,
    source: Source,
    limit: usize,
    found: Vec<Job>,
    cursor: Option<JobId>,
    looked_at: usize,
    exhausted: bool,
}

impl<'f> Search<'f> {
    pub(crate) fn new(filter: &'f JobFilter) -> Self {
        let limit = filter.limit.min(MAX_PAGE);
        let source = source(filter);
        Self {
            filter,
            source,
            limit,
            found: Vec::new(),
            cursor: filter.before,
            looked_at: 0,
            exhausted: limit == 0,
        }
    }

    pub(crate) fn source(&self) -> Source {
        self.source
    }

    /// One more than the page holds tells whether there is another page.
    pub(crate) fn wanted(&self) -> usize {
        self.limit + 1 - self.found.len()
    }

    /// The jobs in these statuses are too many for one look.
    pub(crate) fn not_few(&mut self) {
        self.source = source_of_many(self.filter);
    }

    /// The next step, or nothing when the page is full or its search at an end.
    pub(crate) fn ask(&self) -> Option<Ask> {
        if self.exhausted || self.found.len() > self.limit || self.looked_at >= BOUND {
            return None;
        }
        let ids = if knows_all(self.source, self.filter) { self.wanted() } else { self.wanted().max(STEP) };
        Some(Ask { before: self.cursor, ids })
    }

    /// Takes note of a step: of how many ids, the last of them, and the jobs among them that match.
    pub(crate) fn saw(&mut self, ask: Ask, ids: usize, last: Option<JobId>, jobs: Vec<Job>) {
        self.looked_at += ids;
        self.exhausted = ids < ask.ids;
        self.cursor = last.or(self.cursor);
        self.found.extend(jobs);
    }

    /// Takes all that there is at once.
    pub(crate) fn saw_all(&mut self, jobs: Vec<Job>) {
        self.exhausted = true;
        self.found = jobs;
    }

    pub(crate) fn page(mut self) -> JobPage {
        if self.found.len() > self.limit {
            self.found.truncate(self.limit);
            let next = self.found.last().map(|job| job.id);
            return JobPage { jobs: self.found, next, stopped_early: false };
        }
        let next = self.cursor.filter(|_| !self.exhausted);
        JobPage { stopped_early: next.is_some() && self.found.len() < self.limit, jobs: self.found, next }
    }
}

/// Those of the suspects that are what the filter asks for.
pub(crate) fn so_now<'p>(filter: &'p JobFilter, page: &'p SuspectPage) -> impl Iterator<Item = JobId> + 'p {
    let is_so = |suspect: &&Suspect| {
        let Suspect { job, worker, .. } = suspect;
        filter.state.is_some_and(|state| state.holds(job, worker.as_ref(), page.as_of, &filter.rescue))
    };
    page.suspects.iter().filter(is_so).map(|suspect| suspect.job.id)
}

fn source(filter: &JobFilter) -> Source {
    if matches!(filter.state, Some(JobState::Quiet | JobState::Stuck)) {
        // Whatever else is asked: no statement could tell which are stuck.
        Source::Suspects
    } else if filter.idempotency_key.is_some() {
        Source::Key
    } else if filter.worker.is_some() {
        Source::Worker
    } else if filter.state.is_some() {
        Source::Waiting
    } else if !filter.statuses.is_empty() && !filter.statuses.contains(&Status::Succeeded) {
        Source::Few
    } else {
        source_of_many(filter)
    }
}

fn source_of_many(filter: &JobFilter) -> Source {
    let fell = |status: &Status| matches!(status, Status::Failed | Status::Dead | Status::Canceled);
    if filter.tag.is_some() {
        Source::Tag
    } else if !filter.statuses.is_empty() && filter.statuses.iter().all(fell) {
        Source::Fallen
    } else if filter.tenant_id.is_some() || filter.job_type.is_some() || filter.queue.is_some() {
        Source::Kinds
    } else {
        Source::Newest
    }
}

/// Whether the source leaves nothing of the filter to be asked of the jobs themselves.
fn knows_all(source: Source, filter: &JobFilter) -> bool {
    let by_kind = filter.tenant_id.is_none() && filter.job_type.is_none() && filter.queue.is_none();
    let anything = filter.statuses.is_empty() && filter.tag.is_none();
    if filter.state.is_some() {
        return false;
    }
    match source {
        Source::Key | Source::Worker | Source::Suspects | Source::Waiting | Source::Few => false,
        Source::Tag => by_kind && filter.statuses.is_empty(),
        Source::Fallen => filter.job_type.is_none() && filter.queue.is_none(),
        Source::Kinds | Source::Newest => anything,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter() -> JobFilter {
        JobFilter { limit: 50, ..JobFilter::default() }
    }

    fn source_for(change: impl FnOnce(&mut JobFilter)) -> Source {
        let mut filter = filter();
        change(&mut filter);
        source_of_many(&filter)
    }

    #[test]
    fn the_source_is_the_index_that_leads_to_the_fewest() {
        assert_eq!(source_for(|_| {}), Source::Newest);
        assert_eq!(source_for(|f| f.statuses = vec![Status::Succeeded]), Source::Newest);
        assert_eq!(source_for(|f| f.queue = Some("mail".to_owned())), Source::Kinds);
        assert_eq!(source_for(|f| f.statuses = vec![Status::Dead, Status::Failed]), Source::Fallen);
        assert_eq!(source_for(|f| f.statuses = vec![Status::Dead, Status::Queued]), Source::Newest);
        assert_eq!(
            source_for(|f| (f.tag, f.queue) = (Some("a".to_owned()), Some("mail".to_owned()))),
            Source::Tag
        );
        let open = JobFilter { statuses: vec![Status::Queued, Status::Running], ..filter() };
        assert_eq!(source(&open), Source::Few);
        let keyed = JobFilter { idempotency_key: Some("k".to_owned()), ..open };
        assert_eq!(source(&keyed), Source::Key);
        assert_eq!(source(&JobFilter { state: Some(JobState::Ready), ..filter() }), Source::Waiting);
        assert_eq!(source(&JobFilter { state: Some(JobState::Ready), ..keyed.clone() }), Source::Key);
        assert_eq!(source(&JobFilter { state: Some(JobState::Stuck), ..keyed }), Source::Suspects);
    }

    #[test]
    fn a_search_that_finds_nothing_stops_at_its_bound_and_says_where() {
        let filter = JobFilter { statuses: vec![Status::Succeeded], ..filter() };
        let mut search = Search::new(&filter);
        let mut steps = 0;
        let mut last = None;
        while let Some(ask) = search.ask() {
            assert_eq!(ask.before, last);
            last = Some(JobId::new());
            search.saw(ask, ask.ids, last, Vec::new());
            steps += 1;
        }
        assert_eq!(steps, BOUND / STEP);
        let page = search.page();
        assert!(page.stopped_early && page.jobs.is_empty());
        assert_eq!(page.next, last);
    }

    #[test]
    fn a_search_at_the_end_of_its_source_has_no_next_page() {
        let filter = filter();
        let mut search = Search::new(&filter);
        let ask = search.ask().expect("a first step");
        assert_eq!(ask.ids, 51, "nothing is left to be asked of the jobs");
        search.saw(ask, 3, Some(JobId::new()), Vec::new());
        assert_eq!(search.ask(), None);
        let page = search.page();
        assert!(page.next.is_none() && !page.stopped_early);
    }
}
