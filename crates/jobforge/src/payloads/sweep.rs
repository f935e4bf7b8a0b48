//! Objects without a job: what a crash, a lost race for a key or a purge has left.

use std::time::Duration;

use jobforge_core::job::JobId;
use jobforge_core::stored_payload::job_of;
use jobforge_core::time::since;
use jobforge_store::traits::Inspect;

use super::{Listed, Payloads};
use crate::error::Error;

/// How old an object must be before it is asked for its job: by far longer than an enqueue takes, and a transaction of a
/// program that has enqueued in it.
pub const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3600);
/// Objects that one step looks at.
const PAGE: usize = 1000;
/// What unfinished files end in; no other object has a full stop in its name.
const UNFINISHED: &str = ".new";

/// What one step of the sweep did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Objects that were looked at.
    pub seen: usize,
    /// Objects that were removed.
    pub removed: usize,
    /// Where the next step goes on; `None` when it begins again.
    pub behind: Option<String>,
}

impl Payloads {
    /// Looks at the next objects behind a name, and removes those that are older than [`ORPHAN_AGE`] and have no job.
    ///
    /// # Errors
    /// When the database or the store of payloads fails; what was removed stays so.
    pub async fn sweep(&self, jobs: &(impl Inspect + ?Sized), behind: Option<&str>) -> Result<Swept, Error> {
        let page = self.in_time("list", self.objects.list(behind, PAGE)).await?;
        let now = jobs.now().await?;
        let old: Vec<&Listed> =
            page.iter().filter(|object| since(now, object.written_at) > ORPHAN_AGE).collect();
        let ids: Vec<JobId> = old.iter().filter_map(|object| job_of(&object.name)).collect();
        let known = jobs.known_jobs(&ids).await?;
        let is_orphan = |object: &Listed| match job_of(&object.name) {
            Some(id) => !known.contains(&id),
            // Other files are somebody else's.
            None => object.name.ends_with(UNFINISHED),
        };
        let orphans: Vec<&Listed> = old.into_iter().filter(|object| is_orphan(object)).collect();
        let mut removed = 0;
        for object in orphans {
            self.in_time("remove", self.objects.delete(&object.name)).await?;
            removed += 1;
        }
        let behind = page.last().filter(|_| page.len() == PAGE).map(|last| last.name.clone());
        Ok(Swept { seen: page.len(), removed, behind })
    }
}
