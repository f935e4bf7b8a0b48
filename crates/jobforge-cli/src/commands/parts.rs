//! The parts of a server, which all run until it is told to stop: one that ends by itself takes the server down, so that
//! whoever started it starts it again. A server that goes on without its watchdog looks healthy and saves nobody.

use std::collections::HashMap;

use tokio::task::{Id, JoinError, JoinSet};

use crate::failure::{self, Failure};

#[derive(Default)]
pub(crate) struct Parts {
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Parts {
    pub(crate) fn spawn(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        self.names.insert(self.tasks.spawn(part).id(), name);
    }

    /// Waits until one of them ends, and tells which and how.
    pub(crate) async fn broken(&mut self) -> Failure {
        let Some(ended) = self.tasks.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let (id, why) = match &ended {
            Ok((id, ())) => (*id, "ended"),
            Err(error) => (error.id(), if error.is_panic() { "panicked" } else { "was stopped" }),
        };
        let name = self.names.get(&id).copied().unwrap_or("a part");
        Failure::new(
            failure::FAILED,
            format!("{name} of this server {why} by itself; the server has stopped"),
        )
        .hint("start it again; the log tells what came before")
    }

    /// Waits until all have ended after they were told to stop.
    ///
    /// # Errors
    /// When one of them panicked meanwhile.
    pub(crate) async fn ended(mut self) -> Result<(), Failure> {
        let mut panicked = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            if ended.is_err_and(|error: JoinError| error.is_panic()) {
                panicked =
                    Err(Failure::new(failure::FAILED, "a part of this server panicked while it stopped"));
            }
        }
        panicked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_panics_or_ends_by_itself_is_named() {
        let mut parts = Parts::default();
        parts.spawn("the patient one", std::future::pending());
        parts.spawn("the watchdog", async { panic!("a test") });
        let told = format!("{:?}", parts.broken().await);
        assert!(told.contains("the watchdog of this server panicked"), "{told}");
        parts.spawn("the scheduler", std::future::ready(()));
        let told = format!("{:?}", parts.broken().await);
        assert!(told.contains("the scheduler of this server ended"), "{told}");
    }
}
