//! Whose a worker is: only who registered it over the network may speak as it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jobforge::core::job::WorkerId;
use jobforge::store::{Store, StoreError};

use crate::caller::Caller;

/// Workers that are remembered.
const REMEMBERED: usize = 10_000;

/// Who registered which worker. That never changes, so it is looked up once.
#[derive(Debug, Default)]
pub(super) struct Owners {
    known: Mutex<HashMap<WorkerId, String>>,
}

impl Owners {
    fn known(&self) -> MutexGuard<'_, HashMap<WorkerId, String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker that a caller speaks as under this name: the one of that name if it is theirs, and else one that never
    /// registered and never will. So whatever is asked in another's name is answered as for an unknown worker.
    pub(super) async fn speaker(
        &self,
        store: &dyn Store,
        caller: &Caller,
        named: WorkerId,
    ) -> Result<WorkerId, StoreError> {
        let Some(registrar) = caller.registrar() else { return Ok(named) };
        if self.known().get(&named).is_some_and(|owner| owner == registrar) {
            return Ok(named);
        }
        let owner = store.worker(&named).await?.and_then(|row| row.registered_by);
        if owner.as_deref() != Some(registrar) {
            return Ok(WorkerId(format!("{named} of {registrar}")));
        }
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(named.clone(), registrar.to_owned());
        Ok(named)
    }
}
