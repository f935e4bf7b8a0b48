//! Who must run alone does: while a handler of such a job runs, nothing else runs in its process.

use std::collections::BTreeSet;

use jobforge_core::job::{JobId, Lease};

use super::{Board, Checker};
use crate::sim::event::{Event, ProcessId, What, name};

#[derive(Debug, Default)]
pub(super) struct AloneIsAlone {
    must: BTreeSet<(JobId, Lease)>,
    running: BTreeSet<(ProcessId, JobId, Lease)>,
}

impl Checker for AloneIsAlone {
    fn name(&self) -> &'static str {
        "alone is alone"
    }

    fn event(&mut self, event: &Event, _: &Board) -> Result<(), String> {
        match &event.what {
            What::Claimed { job, lease, alone: true, .. } => {
                self.must.insert((*job, *lease));
            }
            What::Began { process, job, lease, .. } => {
                let beside = self.running.iter().find(|(of, ..)| of == process);
                let must = |job, lease| self.must.contains(&(job, lease));
                if let Some((_, other, under)) =
                    beside.filter(|(_, other, under)| must(*job, *lease) || must(*other, *under))
                {
                    let (job, other) = (name(*job), name(*other));
                    return Err(format!(
                        "{process} began {job} under {lease} beside {other} under {under}, and one of them must run alone"
                    ));
                }
                self.running.insert((*process, *job, *lease));
            }
            What::Over { process, job, lease } => {
                self.running.remove(&(*process, *job, *lease));
            }
            What::Ended { process, .. } => self.running.retain(|(of, ..)| of != process),
            _ => {}
        }
        Ok(())
    }
}
