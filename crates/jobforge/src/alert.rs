//! Alerts by hand: silences, and trying a channel.

use std::time::Duration;

use jobforge_core::alert::history::Labels;
use jobforge_core::alert::kept::SilenceRow;
use jobforge_core::alert::notice::test;
use jobforge_core::alert::silence;
use jobforge_core::audit::Deed;
use jobforge_core::enqueue::check_name;
use jobforge_core::job::JobId;
use jobforge_core::time::Now;
use jobforge_store::StoreError;
use uuid::Uuid;

use crate::client::Client;
use crate::notify::test_job;

/// Why something about alerts was refused.
#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// There is no such silence, or it has ended.
    #[error("there is no silence {0} that goes on; `jobforge alert list` shows them")]
    NoSilence(Uuid),
    /// The database failed or refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Client {
    /// Silences a rule, or all with `*`, where labels have these values, for a while.
    ///
    /// # Errors
    /// `Invalid` names what is wrong; otherwise when the database fails.
    pub async fn silence(
        &self,
        rule: &str,
        labels: &Labels,
        lasts: Duration,
    ) -> Result<SilenceRow, AlertError> {
        silence::check(rule, labels, lasts).map_err(AlertError::Invalid)?;
        let put =
            self.store().put_silence(Uuid::now_v7(), rule, labels, lasts, self.by(), Now::Database).await?;
        put.ok_or_else(|| AlertError::Invalid("the silence was not kept".to_owned()))
    }

    /// Ends a silence.
    ///
    /// # Errors
    /// `NoSilence` if it does not go on; otherwise when the database fails.
    pub async fn unsilence(&self, id: Uuid) -> Result<(), AlertError> {
        match self.store().end_silence(id, self.by(), Now::Database).await? {
            true => Ok(()),
            false => Err(AlertError::NoSilence(id)),
        }
    }

    /// Enqueues a message that tries a channel; a server that has the channel sends it.
    ///
    /// # Errors
    /// When the name cannot be one, or the database fails.
    pub async fn test_channel(&self, channel: &str) -> Result<JobId, AlertError> {
        check_name(channel).map_err(|fault| AlertError::Invalid(format!("channel: {fault}")))?;
        let store = self.store();
        let notice = test(channel, &store.alert_bench().await?.fleet, &self.by().actor, store.now().await?);
        let job = test_job(&notice).map_err(|error| AlertError::Invalid(error.to_string()))?;
        let id = job.id;
        store.enqueue(&[job], Now::Database).await?;
        store.note(self.by(), &[Deed::new("alert.test", channel)], Now::Database).await?;
        Ok(id)
    }
}
