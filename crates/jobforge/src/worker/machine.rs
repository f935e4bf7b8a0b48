//! What a simulation puts in the place of the machine that a worker runs on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jobforge_core::job::WorkerId;
use tokio::runtime::Handle;

/// The parts of a machine that no paused runtime can stand for.
///
/// Everything else that a worker does runs by tokio's own clock, which a simulation pauses and moves.
#[doc(hidden)]
#[derive(Clone)]
pub struct SimulatedMachine {
    /// In place of [`crate::clock::boot`]: goes on while the machine is suspended.
    pub boot: Arc<dyn Fn() -> Duration + Send + Sync>,
    /// Where the renewals run, in place of a thread of their own.
    pub renewals: Handle,
    /// In place of [`WorkerId::random`]: names the next incarnation.
    pub identity: Arc<dyn Fn() -> WorkerId + Send + Sync>,
}

impl fmt::Debug for SimulatedMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedMachine").finish_non_exhaustive()
    }
}
