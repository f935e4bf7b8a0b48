//! What a client does with large payloads.

use std::borrow::Cow;

use jobforge_core::job::{Job, NewJob};
use jobforge_core::payload::{MAX_PAYLOAD_BYTES, Payload};
use jobforge_core::stored_payload::StoredPayload;

use super::{PayloadFault, Payloads, spilled};
use crate::client::{Client, refused};
use crate::error::Error;

impl Client {
    /// Keeps payloads there that are too large for the database. Workers of the same database need the same; those that are
    /// built on this client have it.
    #[must_use]
    pub fn payloads(mut self, payloads: impl Into<Option<Payloads>>) -> Self {
        self.payloads = payloads.into();
        self
    }

    /// Where large payloads are kept, if anywhere.
    pub fn payload_store(&self) -> Option<&Payloads> {
        self.payloads.as_ref()
    }

    /// The largest payload that is taken.
    pub fn max_payload_bytes(&self) -> usize {
        self.payloads.as_ref().map_or(MAX_PAYLOAD_BYTES, Payloads::max_bytes)
    }

    /// The jobs as their rows are to hold them: payloads that are too large for the database are kept elsewhere, from now on,
    /// and referred to.
    ///
    /// # Errors
    /// When a payload is too large for where it would go, or cannot be kept there.
    pub async fn spilled<'a>(&self, jobs: &'a [NewJob]) -> Result<Cow<'a, [NewJob]>, Error> {
        let spilled = spilled(self.payloads.as_ref(), jobs).await;
        spilled.inspect_err(|_| jobs.iter().for_each(|job| refused(&job.queue)))
    }

    /// The payload of a job: as its row holds it, or from where it is kept.
    ///
    /// # Errors
    /// When it is kept elsewhere and cannot be had.
    pub async fn payload_of(&self, job: &Job) -> Result<Payload, Error> {
        let Some(stored) = StoredPayload::of(&job.payload) else { return Ok(job.payload.clone()) };
        let payloads =
            self.payloads.as_ref().ok_or(PayloadFault::NoStore { job: job.id, bytes: stored.bytes })?;
        Ok(payloads.get(&job.tenant_id, job.id, &stored).await?)
    }
}
