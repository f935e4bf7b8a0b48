//! How a list of jobs is searched: along the one index that leads to the fewest, and no further than a bound.
//!
//! Every engine has the same indexes in the order of ids, which is the order of time. A search takes ids from one of them
//! in steps, newest first, and keeps the jobs that match the rest of the filter. It is pure: the engine asks what to look
//! at next, looks, and hands in what it saw.
//!
//! What a filter asks of payloads and errors no index knows, and to read a payload may cost much. Such a search goes on in
//! steps that begin small, and stops for a time that it has taken as well.

use std::time::Duration;

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
/// Ids that the first step takes of a search that reads payloads; each further one takes twice as many, if they fit.
const FIRST_STEP: usize = 50;
/// How long the steps of a search that reads payloads may take together, by its pace so far.
const READING: Duration = Duration::from_millis(30);

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
    /// The jobs that may have an error: those that ended badly, and those under way if they are few; otherwise the next source
    /// is taken.
    Failures,
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
    statuses: Vec<Status>,
    source: Source,
    /// All there are of a source that few jobs are in, newest first.
    few: Option<Vec<JobId>>,
    limit: usize,
    found: Vec<Job>,
    cursor: Option<JobId>,
    step: usize,
    looked_at: usize,
    exhausted: bool,
}

impl<'f> Search<'f> {
    pub(crate) fn new(filter: &'f JobFilter) -> Self {
        let limit = filter.limit.min(MAX_PAGE);
        let statuses = statuses(filter);
        let nothing = statuses.is_empty() && !filter.statuses.is_empty();
        Self {
            filter,
            source: source(filter, &statuses),
            statuses,
            few: None,
            limit,
            found: Vec::new(),
            cursor: filter.before,
            step: if reads(filter) { FIRST_STEP } else { STEP },
            looked_at: 0,
            exhausted: limit == 0 || nothing,
        }
    }

    /// The statuses that the jobs may be in; empty is all.
    pub(crate) fn statuses(&self) -> &[Status] {
        &self.statuses
    }

    pub(crate) fn source(&self) -> Source {
        self.source
    }

    /// One more than the page holds tells whether there is another page.
    pub(crate) fn wanted(&self) -> usize {
        self.limit + 1 - self.found.len()
    }

    /// The source of which all must be known, or taken for too many, before the first step.
    pub(crate) fn few_of(&self) -> Option<Source> {
        let is_so =
            matches!(self.source, Source::Suspects | Source::Waiting | Source::Few | Source::Failures);
        (is_so && self.few.is_none() && !self.exhausted).then_some(self.source)
    }

    /// The statuses of the few.
    pub(crate) fn few_statuses(&self) -> Vec<Status> {
        let under_way = |status: &Status| self.source != Source::Failures || !status.is_terminal();
        self.statuses.iter().copied().filter(under_way).collect()
    }

    /// Takes all that there are, in any order; or learns that they are too many for one look.
    pub(crate) fn know(&mut self, few: Option<Vec<JobId>>) {
        if few.is_none() {
            self.source = match self.source {
                Source::Failures => source_of_kinds(self.filter),
                _ => source_of_many(self.filter, &self.statuses),
            };
        }
        self.few = few.map(|mut ids| {
            ids.sort_unstable_by(|a, b| b.cmp(a));
            ids.dedup();
            ids
        });
    }

    /// The next step, after so long; or nothing when the page is full or its search at an end.
    pub(crate) fn ask(&self, taken: Duration) -> Option<Ask> {
        let fits = self.fits(taken);
        let is_late = reads(self.filter) && self.looked_at > 0 && fits < FIRST_STEP;
        if self.exhausted || self.found.len() > self.limit || self.looked_at >= BOUND || is_late {
            return None;
        }
        let ids = if reads(self.filter) {
            self.step.min(fits.max(FIRST_STEP))
        } else if self.few.is_some() && self.source != Source::Failures {
            FEW + 1
        } else if knows_all(self.source, self.filter) {
            self.wanted()
        } else {
            self.wanted().max(STEP)
        };
        Some(Ask { before: self.cursor, ids })
    }

    /// How many more ids fit into the time that is left, at the pace so far.
    fn fits(&self, taken: Duration) -> usize {
        let left = READING.saturating_sub(taken).as_nanos();
        let fits = left.saturating_mul(self.looked_at as u128) / taken.as_nanos().max(1);
        usize::try_from(fits).unwrap_or(usize::MAX)
    }

    /// The ids of a step that need no further look.
    pub(crate) fn known(&self, ask: Ask) -> Option<Vec<JobId>> {
        let few = self.few.as_ref().filter(|_| self.source != Source::Failures)?;
        Some(few.iter().copied().filter(|id| is_before(*id, ask.before)).take(ask.ids).collect())
    }

    /// The ids of a step, newest first, with the few among them that the walk along the index does not come upon.
    pub(crate) fn with_few(&self, ask: Ask, mut walked: Vec<JobId>) -> Vec<JobId> {
        let last = walked.last().copied().filter(|_| walked.len() >= ask.ids);
        let few = self.few.iter().flatten().copied();
        walked.extend(few.filter(|id| is_before(*id, ask.before) && last.is_none_or(|last| *id > last)));
        walked.sort_unstable_by(|a, b| b.cmp(a));
        walked
    }

    /// Takes note of a step: of how many ids, the last of them, and the jobs among them that match.
    pub(crate) fn saw(&mut self, ask: Ask, ids: usize, last: Option<JobId>, jobs: Vec<Job>) {
        self.looked_at += ids;
        self.exhausted = ids < ask.ids;
        self.cursor = last.or(self.cursor);
        self.step = (self.step * 2).min(STEP);
        self.found.extend(jobs);
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

fn is_before(id: JobId, before: Option<JobId>) -> bool {
    before.is_none_or(|before| id < before)
}

/// Whether what the jobs hold must be read, which no index knows.
fn reads(filter: &JobFilter) -> bool {
    filter.payload.is_some() || filter.error.is_some()
}

/// A job that succeeded has no error.
fn statuses(filter: &JobFilter) -> Vec<Status> {
    match (&filter.error, filter.statuses.as_slice()) {
        (None, statuses) => statuses.to_vec(),
        (Some(_), []) => Status::ALL.into_iter().filter(|status| *status != Status::Succeeded).collect(),
        (Some(_), some) => some.iter().copied().filter(|status| *status != Status::Succeeded).collect(),
    }
}

/// Statuses that go wrong, of which there is an index in the order of ids.
pub(crate) fn fell(status: Status) -> bool {
    matches!(status, Status::Failed | Status::Dead | Status::Canceled)
}

/// Those of the suspects that are what the filter asks for.
pub(crate) fn so_now<'p>(filter: &'p JobFilter, page: &'p SuspectPage) -> impl Iterator<Item = JobId> + 'p {
    let is_so = |suspect: &&Suspect| {
        let Suspect { job, worker, .. } = suspect;
        filter.state.is_some_and(|state| state.holds(job, worker.as_ref(), page.as_of, &filter.rescue))
    };
    page.suspects.iter().filter(is_so).map(|suspect| suspect.job.id)
}

fn source(filter: &JobFilter, statuses: &[Status]) -> Source {
    if matches!(filter.state, Some(JobState::Quiet | JobState::Stuck)) {
        // Whatever else is asked: no statement could tell which are stuck.
        Source::Suspects
    } else if filter.idempotency_key.is_some() {
        Source::Key
    } else if filter.worker.is_some() {
        Source::Worker
    } else if filter.state.is_some() {
        Source::Waiting
    } else if !statuses.is_empty() && !statuses.contains(&Status::Succeeded) {
        Source::Few
    } else {
        source_of_many(filter, statuses)
    }
}

fn source_of_many(filter: &JobFilter, statuses: &[Status]) -> Source {
    if filter.tag.is_some() {
        Source::Tag
    } else if !statuses.is_empty() && statuses.iter().copied().all(fell) {
        Source::Fallen
    } else if filter.error.is_some() && statuses.iter().copied().any(fell) {
        Source::Failures
    } else {
        source_of_kinds(filter)
    }
}

fn source_of_kinds(filter: &JobFilter) -> Source {
    if filter.tenant_id.is_some() || filter.job_type.is_some() || filter.queue.is_some() {
        Source::Kinds
    } else {
        Source::Newest
    }
}

/// Whether the source leaves nothing of the filter to be asked of the jobs themselves.
fn knows_all(source: Source, filter: &JobFilter) -> bool {
    let by_kind = filter.tenant_id.is_none() && filter.job_type.is_none() && filter.queue.is_none();
    let anything = filter.statuses.is_empty() && filter.tag.is_none();
    if filter.state.is_some() || reads(filter) {
        return false;
    }
    match source {
        Source::Key
        | Source::Worker
        | Source::Suspects
        | Source::Waiting
        | Source::Few
        | Source::Failures => false,
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
        source_of_many(&filter, &statuses(&filter))
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
        let source = |filter: &JobFilter| source(filter, &statuses(filter));
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
        while let Some(ask) = search.ask(Duration::ZERO) {
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
        let ask = search.ask(Duration::ZERO).expect("a first step");
        assert_eq!(ask.ids, 51, "nothing is left to be asked of the jobs");
        search.saw(ask, 3, Some(JobId::new()), Vec::new());
        assert_eq!(search.ask(Duration::ZERO), None);
        let page = search.page();
        assert!(page.next.is_none() && !page.stopped_early);
    }

    #[test]
    fn a_search_for_an_error_goes_where_errors_are() {
        let failing = |change: fn(&mut JobFilter)| {
            let mut filter = JobFilter { error: Some("timeout".to_owned()), ..filter() };
            change(&mut filter);
            filter
        };
        let alone = failing(|_| {});
        let mut search = Search::new(&alone);
        assert_eq!(search.few_of(), Some(Source::Few));
        assert!(!search.statuses().contains(&Status::Succeeded));
        search.know(None);
        assert_eq!(search.few_of(), Some(Source::Failures));
        assert_eq!(search.few_statuses(), [Status::Queued, Status::Running]);
        search.know(None);
        assert_eq!((search.few_of(), search.source()), (None, Source::Newest));
        for (filter, source) in [
            (failing(|f| f.job_type = Some("mail".to_owned())), Source::Failures),
            (failing(|f| f.statuses = vec![Status::Dead, Status::Succeeded]), Source::Fallen),
            (failing(|f| f.statuses = vec![Status::Queued]), Source::Newest),
            (failing(|f| f.tag = Some("a".to_owned())), Source::Tag),
        ] {
            let mut search = Search::new(&filter);
            search.know(None);
            assert_eq!(search.source(), source, "{filter:?}");
        }
        let never = failing(|f| f.statuses = vec![Status::Succeeded]);
        assert_eq!(Search::new(&never).ask(Duration::ZERO), None);
    }

    #[test]
    fn what_is_under_way_is_looked_at_between_what_ended_badly() {
        let filter = JobFilter { error: Some("timeout".to_owned()), ..filter() };
        let mut search = Search::new(&filter);
        search.know(None);
        let mut ids: Vec<JobId> = (0..6).map(|_| JobId::new()).collect();
        ids.reverse();
        search.know(Some(vec![ids[5], ids[0], ids[3]]));
        let ask = Ask { before: None, ids: 2 };
        assert_eq!(search.known(ask), None);
        let first = search.with_few(ask, vec![ids[1], ids[2]]);
        assert_eq!(first, ids[..3]);
        let ask = Ask { before: first.last().copied(), ids: 2 };
        assert_eq!(search.with_few(ask, vec![ids[4]]), ids[3..]);
    }

    #[test]
    fn a_search_that_reads_payloads_begins_small_and_stops_for_its_time() {
        let filter = JobFilter { payload: "a:1".parse().ok(), ..filter() };
        let mut search = Search::new(&filter);
        let mut steps = Vec::new();
        while let Some(ask) = search.ask(Duration::ZERO) {
            search.saw(ask, ask.ids, Some(JobId::new()), Vec::new());
            steps.push(ask.ids);
        }
        assert_eq!(steps[..5], [50, 100, 200, 400, STEP]);
        assert!(search.looked_at >= BOUND && search.page().stopped_early);
        let mut late = Search::new(&filter);
        let ask = late.ask(READING).expect("each page gets further");
        late.saw(ask, ask.ids, Some(JobId::new()), Vec::new());
        assert_eq!(late.ask(READING), None);
        assert_eq!(late.ask(READING * 2 / 3), None, "another fifty would take too long");
        assert_eq!(late.ask(READING / 3).map(|ask| ask.ids), Some(100), "no more than fits");
        assert_eq!(late.ask(READING * 2 / 5).map(|ask| ask.ids), Some(75));
        assert!(late.page().stopped_early);
    }
}
