//! Payloads as objects of a bucket that speaks S3.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use jiff::Timestamp;
use jobforge_store::error::BoxError;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ClientConfigKey, ObjectStore, ObjectStoreExt, RetryConfig};

use super::{Listed, Objects};

/// How long a connection, and one try of a call, may take.
const CONNECT_TIME: &str = "5s";
const TRY_TIME: &str = "20s";
/// How long a call may take with all of its tries.
const CALL_TIME: Duration = Duration::from_secs(20);
/// Tries after the first; whoever asks tries again by its own rules.
const RETRIES: usize = 2;

/// A bucket, or what lies below a prefix of it.
pub(super) struct Bucket {
    objects: PrefixStore<AmazonS3>,
}

impl Bucket {
    /// `bucket` or `bucket/prefix`. Credentials, region and endpoint are those of the environment (`AWS_…`), or of the machine.
    pub(super) fn at(place: &str) -> Result<Self, String> {
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.is_empty() {
            return Err("it names no bucket; write s3://bucket/prefix".to_owned());
        }
        let prefix = Path::parse(prefix.trim_matches('/')).map_err(|error| error.to_string())?;
        // The first of all who speak TLS says how; the same as everywhere in this program.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let retry = RetryConfig { max_retries: RETRIES, retry_timeout: CALL_TIME, ..RetryConfig::default() };
        let objects = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_retry(retry)
            // One by one: all of them at once would undo what the environment says, such as AWS_ALLOW_HTTP.
            .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::ConnectTimeout), CONNECT_TIME)
            .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), TRY_TIME)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { objects: PrefixStore::new(objects, prefix) })
    }
}

#[async_trait]
impl Objects for Bucket {
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), BoxError> {
        self.objects.put(&Path::from(name), bytes.into()).await?;
        Ok(())
    }

    async fn get(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, BoxError> {
        let found = match self.objects.get(&Path::from(name)).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            found => found?,
        };
        // What is longer than it should be is not read to its end.
        let mut bytes = Vec::new();
        let mut stream = found.into_stream();
        while let Some(part) = stream.next().await {
            bytes.extend_from_slice(&part?);
            if bytes.len() as u64 > most {
                break;
            }
        }
        Ok(Some(bytes))
    }

    async fn delete(&self, name: &str) -> Result<(), BoxError> {
        match self.objects.delete(&Path::from(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn list(&self, behind: Option<&str>, most: usize) -> Result<Vec<Listed>, BoxError> {
        let mut found = match behind {
            Some(behind) => self.objects.list_with_offset(None, &Path::from(behind)),
            None => self.objects.list(None),
        };
        let mut listed = Vec::new();
        while listed.len() < most
            && let Some(object) = found.next().await
        {
            let object = object?;
            let written_at = Timestamp::from_second(object.last_modified.timestamp())?;
            listed.push(Listed { name: object.location.to_string(), written_at });
        }
        Ok(listed)
    }
}
