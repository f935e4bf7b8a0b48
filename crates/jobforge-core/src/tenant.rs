//! How the tenants are: what each has waiting and running, what of it fell, and its heartbeats against its budget.
//!
//! Nothing here is counted over a whole table. The store looks at so many jobs of each kind, and says where it stopped.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::settings::Settings;

/// Waiting or running jobs of each kind that are looked at, of all tenants together, the first due first.
pub const LOOK: usize = 7_500;
/// Failed, and dead, jobs of one tenant that are counted, the newest first.
pub const MOST_FALLEN: u64 = 1000;
/// Tenants whose names are looked through; who has more searches by the beginning of a name.
pub const MOST_NAMES: usize = 1000;
/// Types and queues of one tenant that are listed.
pub const MOST_KINDS: usize = 200;

/// What one tenant has of one type in one queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Load {
    /// The tenant.
    pub tenant_id: String,
    /// The type.
    pub job_type: String,
    /// The queue.
    pub queue: String,
    /// Jobs that run.
    pub running: u64,
    /// Jobs that may be claimed now.
    pub ready: u64,
    /// Jobs that wait for their time.
    pub scheduled: u64,
    /// Those of them that wait for another attempt.
    pub retrying: u64,
    /// Since when the oldest claimable job waits.
    pub oldest_ready_at: Option<Timestamp>,
}

/// What all tenants have, as far as it was looked at. A kind may stand here several times, each time with a part of it.
#[derive(Debug, Clone, Default)]
pub struct Loads {
    /// The database's clock.
    pub as_of: Timestamp,
    /// By tenant, type and queue.
    pub rows: Vec<Load>,
    /// Where there was more.
    pub stopped: Stopped,
}

/// What was not looked through to the end. Numbers of it are the least that there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Stopped {
    /// Jobs that run.
    pub running: bool,
    /// Jobs that may be claimed now.
    pub ready: bool,
    /// Jobs that wait for their time.
    pub scheduled: bool,
}

/// What fell of one tenant's jobs. Counts stop at [`MOST_FALLEN`], the newest jobs first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fallen {
    /// The tenant.
    pub tenant_id: String,
    /// Failed jobs that ended within the last hour.
    pub failed_lately: u64,
    /// Dead jobs that ended within the last hour.
    pub dead_lately: u64,
    /// Dead jobs.
    pub dead: u64,
}

/// Heartbeats a minute: what one job causes, and what is allowed. Nothing is refused for it; alerts go by it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Budgets {
    /// Of one job at its first interval, as runbooks reckon, though intervals grow.
    pub per_job: f64,
    /// The budget of all together, if there is one.
    pub of_all: Option<u64>,
    /// The budgets of single tenants.
    pub of_tenant: BTreeMap<String, u64>,
}

impl Budgets {
    /// As they are set.
    pub fn of(settings: &Settings) -> Self {
        let all = settings.integer("heartbeat_budget_per_minute");
        Self {
            per_job: 60.0 / settings.millis("heartbeat_interval_ms").as_secs_f64(),
            of_all: (all > 0).then_some(all),
            of_tenant: settings.named("heartbeat_budgets_per_minute"),
        }
    }

    /// What so many running jobs cause.
    pub fn expected(&self, running: u64) -> f64 {
        running as f64 * self.per_job
    }
}

/// What comes first in a list of tenants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Whose oldest job waits the longest.
    #[default]
    Waits,
    /// Who has the most jobs that may be claimed.
    Ready,
    /// Who has the most that run.
    Running,
    /// By name.
    Name,
}

impl Order {
    /// All of them, as they are asked for.
    pub const WORDS: [(&str, Self); 4] =
        [("waits", Self::Waits), ("ready", Self::Ready), ("running", Self::Running), ("name", Self::Name)];

    /// The order of a word.
    pub fn named(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, order)| *order)
    }
}

/// How one tenant is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Jobs that run.
    pub running: u64,
    /// Jobs that may be claimed now.
    pub ready: u64,
    /// Jobs that wait for their time.
    pub scheduled: u64,
    /// Those of them that wait for another attempt.
    pub retrying: u64,
    /// Since when its oldest claimable job waits.
    pub oldest_ready_at: Option<Timestamp>,
    /// Jobs that failed within the last hour; counting stops at 1,000.
    pub failed_last_hour: u64,
    /// Jobs that died within the last hour; counting stops at 1,000.
    pub dead_last_hour: u64,
    /// Dead jobs; counting stops at 1,000.
    pub dead: u64,
    /// Heartbeats a minute that its running jobs cause at the first interval.
    pub heartbeats_expected_per_minute: f64,
    /// Its budget of them, if it has one of its own.
    pub heartbeat_budget_per_minute: Option<u64>,
}

impl Tenant {
    /// Takes note of what fell.
    pub fn fell(&mut self, fallen: &Fallen) {
        self.failed_last_hour = fallen.failed_lately;
        self.dead_last_hour = fallen.dead_lately;
        self.dead = fallen.dead;
    }

    /// Whether its running jobs cause more heartbeats than it has a budget for.
    pub fn is_over_budget(&self) -> bool {
        self.heartbeat_budget_per_minute
            .is_some_and(|budget| self.heartbeats_expected_per_minute > budget as f64)
    }

    fn rank(&self, order: Order) -> (Timestamp, u64, u64) {
        let waits = self.oldest_ready_at.unwrap_or(Timestamp::MAX);
        let many = |number: u64| u64::MAX - number;
        match order {
            Order::Waits => (waits, many(self.ready), many(self.running)),
            Order::Ready => (Timestamp::MIN, many(self.ready), many(self.running)),
            Order::Running => (Timestamp::MIN, many(self.running), many(self.ready)),
            Order::Name => (Timestamp::MIN, 0, 0),
        }
    }
}

/// A list of tenants.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TenantList {
    /// The database's clock; not told over the wire, as little as with queues.
    #[serde(skip)]
    pub as_of: Timestamp,
    /// The tenants.
    pub tenants: Vec<Tenant>,
    /// How many more there are, as far as names were looked through: 1000.
    pub more: u64,
    /// What was not looked through to the end: numbers of it are the least that there are.
    pub stopped: Stopped,
}

/// How the tenants of these names are, and all others that have something under way and whose name begins like that.
///
/// What fell is not known yet: see [`Tenant::fell`].
pub fn tenants(
    names: Vec<String>,
    prefix: &str,
    loads: &Loads,
    budgets: &Budgets,
    order: Order,
) -> Vec<Tenant> {
    let busy = loads.rows.iter().map(|row| &row.tenant_id).filter(|name| name.starts_with(prefix)).cloned();
    let names: BTreeSet<String> = names.into_iter().chain(busy).collect();
    let empty = |name: String| (name.clone(), Tenant { name, ..Tenant::default() });
    let mut all: BTreeMap<String, Tenant> = names.into_iter().map(empty).collect();
    for row in &loads.rows {
        let Some(tenant) = all.get_mut(&row.tenant_id) else { continue };
        tenant.running += row.running;
        tenant.ready += row.ready;
        tenant.scheduled += row.scheduled;
        tenant.retrying += row.retrying;
        tenant.oldest_ready_at = tenant.oldest_ready_at.into_iter().chain(row.oldest_ready_at).min();
    }
    let mut all: Vec<Tenant> = all.into_values().collect();
    for tenant in &mut all {
        tenant.heartbeats_expected_per_minute = budgets.expected(tenant.running);
        tenant.heartbeat_budget_per_minute = budgets.of_tenant.get(&tenant.name).copied();
    }
    // Equals stay in the order of their names.
    all.sort_by_key(|tenant| tenant.rank(order));
    all
}

/// What one tenant has, by type and queue: what is under way first, then what it ever had.
pub fn kinds(tenant: &str, known: Vec<(String, String)>, loads: &Loads) -> Vec<Load> {
    let empty = |job_type: &str, queue: &str| Load {
        tenant_id: tenant.to_owned(),
        job_type: job_type.to_owned(),
        queue: queue.to_owned(),
        ..Load::default()
    };
    let mut all: BTreeMap<(String, String), Load> =
        known.into_iter().map(|kind| (kind.clone(), empty(&kind.0, &kind.1))).collect();
    for row in loads.rows.iter().filter(|row| row.tenant_id == tenant) {
        let kind = (row.job_type.clone(), row.queue.clone());
        let load = all.entry(kind).or_insert_with(|| empty(&row.job_type, &row.queue));
        load.running += row.running;
        load.ready += row.ready;
        load.scheduled += row.scheduled;
        load.retrying += row.retrying;
        load.oldest_ready_at = load.oldest_ready_at.into_iter().chain(row.oldest_ready_at).min();
    }
    let mut all: Vec<Load> = all.into_values().collect();
    all.sort_by_key(|load| std::cmp::Reverse(load.ready + load.running));
    all.truncate(MOST_KINDS);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(tenant: &str, job_type: &str, ready: u64, running: u64, since: Option<i64>) -> Load {
        Load {
            tenant_id: tenant.to_owned(),
            job_type: job_type.to_owned(),
            queue: "default".to_owned(),
            ready,
            running,
            oldest_ready_at: since.map(|s| Timestamp::from_second(s).expect("in range")),
            ..Load::default()
        }
    }

    fn names(tenants: &[Tenant]) -> Vec<&str> {
        tenants.iter().map(|tenant| tenant.name.as_str()).collect()
    }

    #[test]
    fn the_longest_wait_comes_first_and_other_orders_are_what_they_say() {
        let rows = vec![
            load("b", "x", 1, 0, Some(50)),
            load("b", "y", 2, 1, Some(40)),
            load("a", "x", 9, 0, Some(60)),
            load("c", "x", 0, 7, None),
        ];
        let loads = Loads { rows, ..Loads::default() };
        let budgets =
            Budgets { per_job: 4.0, of_tenant: [("c".to_owned(), 27)].into(), ..Budgets::default() };
        let idle = || vec!["z".to_owned(), "d".to_owned()];
        let of = |order| tenants(idle(), "", &loads, &budgets, order);
        assert_eq!(names(&of(Order::Waits)), ["b", "a", "c", "d", "z"]);
        assert_eq!(names(&of(Order::Ready)), ["a", "b", "c", "d", "z"]);
        assert_eq!(names(&of(Order::Running)), ["c", "b", "a", "d", "z"]);
        assert_eq!(names(&of(Order::Name)), ["a", "b", "c", "d", "z"]);
        let b = &of(Order::Waits)[0];
        assert_eq!((b.ready, b.running, b.oldest_ready_at.map(jiff::Timestamp::as_second)), (3, 1, Some(40)));
        assert!(!b.is_over_budget(), "there is none");
        let c = &of(Order::Running)[0];
        assert!(c.is_over_budget() && (c.heartbeats_expected_per_minute - 28.0).abs() < 1e-9);
    }

    #[test]
    fn who_searches_sees_only_what_begins_like_that() {
        let rows = vec![load("acme", "x", 1, 0, Some(1)), load("globex", "x", 1, 0, Some(1))];
        let loads = Loads { rows, ..Loads::default() };
        let found = tenants(vec!["acme-2".to_owned()], "ac", &loads, &Budgets::default(), Order::Name);
        assert_eq!(names(&found), ["acme", "acme-2"]);
    }

    #[test]
    fn a_tenants_kinds_are_its_own_the_busy_ones_first() {
        let rows = vec![
            load("acme", "b", 1, 0, Some(9)),
            load("acme", "b", 0, 2, None),
            load("other", "b", 5, 0, None),
        ];
        let loads = Loads { rows, ..Loads::default() };
        let known = vec![("a".to_owned(), "default".to_owned()), ("b".to_owned(), "default".to_owned())];
        let told: Vec<_> =
            kinds("acme", known, &loads).into_iter().map(|k| (k.job_type, k.ready, k.running)).collect();
        assert_eq!(told, [("b".to_owned(), 1, 2), ("a".to_owned(), 0, 0)]);
    }
}
