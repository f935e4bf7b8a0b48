//! The pools of this process, to be looked at when somebody asks for numbers.

use std::sync::{Mutex, PoisonError};

use deadpool_postgres::{Pool, Status};
use jobforge_core::metric::{process, table};

/// How a pool is, for as long as there is one.
type Look = Box<dyn Fn() -> Option<Status> + Send>;

static POOLS: Mutex<Vec<Look>> = Mutex::new(Vec::new());

/// Looks at this pool for as long as it lives.
pub(super) fn watch(pool: &Pool) {
    let weak = pool.weak();
    let look = move || weak.upgrade().map(|pool| pool.status());
    POOLS.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(look));
}

/// Takes note of how many connections there are and who waits, in all pools together.
pub fn sample_pools() {
    let (mut idle, mut busy, mut waiting) = (0, 0, 0);
    POOLS.lock().unwrap_or_else(PoisonError::into_inner).retain(|look| {
        let Some(status) = look() else { return false };
        idle += status.available;
        busy += status.size.saturating_sub(status.available);
        waiting += status.waiting;
        true
    });
    for (state, number) in [("idle", idle), ("busy", busy), ("waiting", waiting)] {
        process().set(&table::POOL, &[state], number as f64);
    }
}
