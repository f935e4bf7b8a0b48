//! Payloads that are too large for the database: kept in a directory or in object storage, referred to by the job's row.
//!
//! The object is written, and on disk, before the job is; so there is never a job without its object, and what a crash in
//! between leaves is an object without a job, which [`sweep`] finds. What the reference holds, and why nobody can reach
//! another job's object with one, is in [`jobforge_core::stored_payload`].

mod client;
mod directory;
mod fault;
#[cfg(feature = "s3")]
mod s3;
mod sweep;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use jobforge_core::job::{JobId, NewJob};
use jobforge_core::payload::{MAX_PAYLOAD_BYTES, Payload, PayloadError};
use jobforge_core::settings::Settings;
use jobforge_core::stored_payload::{MAX_STORED_BYTES, StoredPayload};
use jobforge_store::error::BoxError;

pub use fault::PayloadFault;
pub use sweep::{ORPHAN_AGE, Swept};

/// How long one call to the store of payloads may take.
const CALL_TIME: Duration = Duration::from_secs(30);
/// Payloads of one batch that are written at the same time.
const WRITES_AT_ONCE: usize = 8;

/// What is asked of object storage. Names are made by [`StoredPayload::name`] and by nobody else.
#[async_trait]
trait Objects: Send + Sync {
    /// Stores an object, on disk before this returns. Storing it again changes nothing.
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), BoxError>;
    /// The object, of at most so many bytes; `None` if there is none.
    async fn get(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, BoxError>;
    /// Removes an object, if there is one.
    async fn delete(&self, name: &str) -> Result<(), BoxError>;
    /// Objects behind a name, in the order of their names, at most so many.
    async fn list(&self, behind: Option<&str>, most: usize) -> Result<Vec<Listed>, BoxError>;
}

/// An object of a list.
#[derive(Debug, Clone)]
struct Listed {
    name: String,
    /// When it was last written.
    written_at: Timestamp,
}

/// Where large payloads are kept. Cheap to clone.
#[derive(Clone)]
pub struct Payloads {
    objects: Arc<dyn Objects>,
    place: Arc<str>,
    inline: usize,
    most: usize,
}

impl std::fmt::Debug for Payloads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payloads").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Payloads {
    /// What the settings name; `None` if they name nothing.
    ///
    /// # Errors
    /// `Unusable` when the place makes no sense, or is a directory that cannot be made.
    pub fn of_settings(settings: &Settings) -> Result<Option<Self>, PayloadFault> {
        let place = settings.text("payload_store").trim();
        if place.is_empty() {
            return Ok(None);
        }
        let size = |key, least: usize| usize::try_from(settings.integer(key)).unwrap_or(least);
        let payloads = Self::at(place)?;
        let inline = size("payload_inline_max_bytes", payloads.inline);
        let most = size("payload_max_bytes", payloads.most);
        Ok(Some(Self { inline, most, ..payloads }))
    }

    /// A directory (a path, or `file:///…`), or `s3://bucket/prefix`, with the limits that the settings have by default.
    ///
    /// # Errors
    /// `Unusable` when the place makes no sense, or is a directory that cannot be made.
    pub fn at(place: &str) -> Result<Self, PayloadFault> {
        let unusable = |reason: String| PayloadFault::Unusable { place: place.to_owned(), reason };
        let objects: Arc<dyn Objects> = match place.split_once("://") {
            None => Arc::new(directory::Directory::at(Path::new(place)).map_err(unusable)?),
            Some(("file", path)) if path.starts_with('/') => {
                Arc::new(directory::Directory::at(Path::new(path)).map_err(unusable)?)
            }
            #[cfg(feature = "s3")]
            Some(("s3", bucket)) => Arc::new(s3::Bucket::at(bucket).map_err(unusable)?),
            #[cfg(not(feature = "s3"))]
            Some(("s3", _)) => {
                return Err(unusable(
                    "this program was built without S3; build it with --features s3".to_owned(),
                ));
            }
            Some(_) => {
                return Err(unusable(
                    "write a directory, file:///directory or s3://bucket/prefix".to_owned(),
                ));
            }
        };
        let settings = Settings::defaults();
        let size = |key| usize::try_from(settings.integer(key)).unwrap_or(MAX_PAYLOAD_BYTES);
        let (inline, most) = (size("payload_inline_max_bytes"), size("payload_max_bytes"));
        Ok(Self { objects, place: place.into(), inline, most })
    }

    /// Where they are, as it was written.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The largest payload that stays in the database.
    pub fn inline_max_bytes(&self) -> usize {
        self.inline
    }

    /// The largest payload that is taken.
    pub fn max_bytes(&self) -> usize {
        self.most
    }

    /// The same with other limits.
    #[must_use]
    pub fn limits(self, inline: usize, most: usize) -> Self {
        Self { inline: inline.min(MAX_PAYLOAD_BYTES), most: most.min(MAX_STORED_BYTES), ..self }
    }

    /// Stores the payload of a job that will be; answers what its row is to hold instead.
    async fn put(&self, job: &NewJob) -> Result<StoredPayload, PayloadFault> {
        let stored = StoredPayload::describing(&job.payload);
        let bytes = Bytes::copy_from_slice(job.payload.as_str().as_bytes());
        self.in_time("write", self.objects.put(&stored.name(&job.tenant_id, job.id), bytes)).await?;
        Ok(stored)
    }

    /// The payload of a job whose row refers to it, as it was stored.
    ///
    /// # Errors
    /// `Missing`, `Damaged`, or `Unavailable`, which the next attempt may find over.
    pub async fn get(
        &self,
        tenant_id: &str,
        job: JobId,
        stored: &StoredPayload,
    ) -> Result<Payload, PayloadFault> {
        let place = || self.place.to_string();
        if stored.bytes > MAX_STORED_BYTES as u64 {
            return Err(PayloadFault::Damaged { job, place: place() });
        }
        let name = stored.name(tenant_id, job);
        let found = self.in_time("read", self.objects.get(&name, stored.bytes)).await?;
        let Some(text) = found else {
            return Err(PayloadFault::Missing { job, bytes: stored.bytes, place: place() });
        };
        match String::from_utf8(text) {
            Ok(text) if stored.is_of(text.as_bytes()) => Ok(Payload::from_stored(text)),
            Ok(_) | Err(_) => Err(PayloadFault::Damaged { job, place: place() }),
        }
    }

    /// Forgets what was stored for a job that came to nothing. What cannot be removed now is found by the sweep.
    pub(crate) async fn forget(&self, job: &NewJob) {
        if let Some(stored) = StoredPayload::of(&job.payload) {
            let name = stored.name(&job.tenant_id, job.id);
            if let Err(fault) = self.in_time("remove", self.objects.delete(&name)).await {
                tracing::debug!(job.id = %job.id, error = %fault.chain(), "left a payload to the sweep");
            }
        }
    }

    async fn in_time<T>(
        &self,
        doing: &'static str,
        call: impl Future<Output = Result<T, BoxError>>,
    ) -> Result<T, PayloadFault> {
        let failed = |source| PayloadFault::Unavailable { place: self.place.to_string(), doing, source };
        match tokio::time::timeout(CALL_TIME, call).await {
            Ok(answer) => answer.map_err(failed),
            Err(_) => Err(failed(format!("no answer within {} s", CALL_TIME.as_secs()).into())),
        }
    }
}

/// The jobs as their rows are to hold them: large payloads are stored, and referred to.
///
/// # Errors
/// `InvalidPayload` for one that is too large for where it would go, and what the store of payloads refused.
pub(crate) async fn spilled<'a>(
    payloads: Option<&Payloads>,
    jobs: &'a [NewJob],
) -> Result<Cow<'a, [NewJob]>, crate::Error> {
    let inline = payloads.map_or(MAX_PAYLOAD_BYTES, Payloads::inline_max_bytes);
    let is_large = |job: &NewJob| job.payload.as_str().len() > inline;
    if !jobs.iter().any(is_large) {
        return Ok(Cow::Borrowed(jobs));
    }
    let most = payloads.map_or(MAX_PAYLOAD_BYTES, Payloads::max_bytes);
    let sizes = || jobs.iter().map(|job| job.payload.as_str().len());
    if let Some(bytes) = sizes().find(|bytes| *bytes > most) {
        return Err(PayloadError::TooLarge { bytes, most }.into());
    }
    let Some(payloads) = payloads else { return Ok(Cow::Borrowed(jobs)) };
    let mut writes = Vec::new();
    for (index, job) in jobs.iter().enumerate() {
        if is_large(job) {
            writes.push(async move { payloads.put(job).await.map(|stored| (index, stored)) }.boxed());
        }
    }
    let written: Vec<(usize, StoredPayload)> =
        stream::iter(writes).buffer_unordered(WRITES_AT_ONCE).try_collect().await?;
    let mut spilled: Vec<NewJob> = jobs.to_vec();
    for (index, stored) in written {
        spilled[index].payload = stored.reference();
    }
    Ok(Cow::Owned(spilled))
}
