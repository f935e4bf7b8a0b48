//! Objects without a job: what a crash, a lost race for a key or a purge has left.

use std::time::Duration;

use jobforge_core::job::JobId;
use jobforge_core::stored_payload::job_of;
use jobforge_core::time::since;
use jobforge_store::Store;

use super::{Listed, PayloadFault, Payloads};
use crate::error::Error;

/// How old an object must be before it is asked for its job: by far longer than an enqueue takes, and a transaction of a
/// program that has enqueued in it.
pub const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3600);
/// Objects that one step looks at.
const PAGE: usize = 1000;
/// What unfinished files end in; no other object has a full stop in its name.
const UNFINISHED: &str = ".new";
/// The object that names the database whose payloads these are.
const OWNER: &str = "owner";
/// The longest name of a database.
const MAX_OWNER: u64 = 200;

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
    /// When the database or the store of payloads fails; what was removed stays so. `Foreign` where another database was
    /// here first: its payloads have no jobs in this one.
    pub async fn sweep(&self, jobs: &dyn Store, behind: Option<&str>) -> Result<Swept, Error> {
        self.belong_to(&jobs.alert_bench().await?.fleet).await?;
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

    /// Makes sure that the place is this database's. Where it was nobody's it is from now on.
    async fn belong_to(&self, database: &str) -> Result<(), PayloadFault> {
        let owner = || self.in_time("read", self.objects.get(OWNER, MAX_OWNER));
        if owner().await?.is_none() {
            self.in_time("write", self.objects.put(OWNER, database.as_bytes().to_vec().into())).await?;
        }
        // Read again: another may have come at the same moment, and one of both is the last.
        let owner = owner().await?.unwrap_or_default();
        if owner == database.as_bytes() {
            return Ok(());
        }
        let (place, owner) = (self.place().to_owned(), String::from_utf8_lossy(&owner).into_owned());
        Err(PayloadFault::Foreign { place, owner, database: database.to_owned() })
    }
}
