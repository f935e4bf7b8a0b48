//! Taking back what ran where a copy of the database was made.

use std::collections::HashSet;

use jobforge_core::job::JobId;
use jobforge_core::rescue::{Rescue, RescuePolicy, is_restored, plan};
use jobforge_core::time::Now;

use crate::error::Result;
use crate::traits::Watchdog;

/// Jobs taken back in one step, and steps: what is left then is found by the watchdog.
const PAGE: usize = 500;
const PAGES: usize = 10_000;

/// Takes back every job whose worker held it only where the copy was made ([`crate::traits::Upkeep::begin_anew`] says who).
/// Returns what was decided about each. May be repeated; finds nothing in a database that was not restored.
///
/// # Errors
/// When the database fails; what was taken back stays so.
pub async fn take_back(
    store: &(impl Watchdog + ?Sized),
    policy: &RescuePolicy,
    at: Now,
) -> Result<Vec<Rescue>> {
    let mut taken = Vec::new();
    for _ in 0..PAGES {
        let mut page = store.suspects(&[], PAGE, at).await?;
        page.suspects.retain(is_restored);
        let lines = plan(&page, policy);
        if lines.is_empty() {
            break;
        }
        let moved: HashSet<JobId> = store.apply_rescues(&lines, at).await?.moved.into_iter().collect();
        if moved.is_empty() {
            break;
        }
        taken.extend(lines.into_iter().filter(|line| moved.contains(&line.id)));
    }
    Ok(taken)
}
