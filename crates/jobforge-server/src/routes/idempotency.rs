//! The header `Idempotency-Key`: who repeats a call whose answer was lost gets what the call made before.
//!
//! For one job the header is the job's `idempotency_key`. Of many jobs each gets the key with its place, `KEY/0`, `KEY/1`
//! and so on, unless it has one of its own. An operation's id is made from the key.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use jobforge::core::enqueue::{JobRequest, check_key};
use jobforge::core::job::{Job, NewJob};
use jobforge::core::operation::{NewOperation, Operation};
use jobforge::store::StoreError;
use jobforge::store::rows::JobFilter;
use jobforge::{Client, Error};
use jobforge_api::FieldProblem;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::api_error::ApiError;
use crate::query::{IDEMPOTENCY_KEY, MAX_HEADER_KEY};

/// Differing places of a payload that are named.
const MOST_NAMED: usize = 20;

/// The key that the request names, if it does: looked at before its body.
pub(super) struct Key(pub(super) Option<String>);

impl<S: Sync> FromRequestParts<S> for Key {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        key(&parts.headers).map(Self)
    }
}

/// Reads it, bare or in quotes as structured headers (RFC 9651) have it.
fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY.name).iter();
    let Some(first) = given.next() else { return Ok(None) };
    let bad = |why: &str| Err(ApiError::bad_request("bad_idempotency_key", format!("Idempotency-Key {why}")));
    if given.next().is_some() {
        return bad("is given twice; give it once");
    }
    let Ok(text) = std::str::from_utf8(first.as_bytes()) else { return bad("is not UTF-8") };
    let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    if bare.chars().count() > MAX_HEADER_KEY {
        return bad(&format!("is longer than {MAX_HEADER_KEY} characters"));
    }
    match check_key(bare) {
        Ok(()) => Ok(Some(bare.to_owned())),
        Err(fault) => bad(&fault),
    }
}

/// The job under the key of the request.
pub(super) fn with_key(request: JobRequest, key: Option<&str>) -> Result<JobRequest, ApiError> {
    match (key, &request.idempotency_key) {
        (Some(key), Some(own)) if key != own => {
            let detail = "the header Idempotency-Key and the field idempotency_key differ; give one of them";
            let fault = FieldProblem::new("/idempotency_key", "conflict", detail);
            Err(ApiError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_mismatch",
                "two keys for one job",
                detail,
            )
            .errors(vec![fault]))
        }
        (Some(key), None) => Ok(JobRequest { idempotency_key: Some(key.to_owned()), ..request }),
        (None, _) | (Some(_), Some(_)) => Ok(request),
    }
}

/// The key of one of many jobs.
fn placed(key: &str, index: usize) -> String {
    format!("{key}/{index}")
}

/// The jobs, each without a key of its own under the key of the request and its place.
pub(super) fn with_places(requests: Vec<JobRequest>, key: Option<&str>) -> Vec<JobRequest> {
    let Some(key) = key else { return requests };
    let with = |(index, request): (usize, JobRequest)| {
        let own = request.idempotency_key.clone();
        JobRequest { idempotency_key: own.or_else(|| Some(placed(key, index))), ..request }
    };
    requests.into_iter().enumerate().map(with).collect()
}

/// Refuses a batch that is not the one that came with this key before: of another length, or of other types.
///
/// Of two such batches at the same moment both may pass; each of their jobs still exists once.
pub(super) async fn check_batch(client: &Client, jobs: &[NewJob], key: Option<&str>) -> Result<(), ApiError> {
    let Some(key) = key else { return Ok(()) };
    let ours: Vec<(usize, &NewJob)> = jobs
        .iter()
        .enumerate()
        .filter(|(index, job)| job.idempotency_key.as_deref() == Some(&placed(key, *index)))
        .collect();
    let (Some((first, head)), Some((last, tail))) = (ours.first(), ours.last()) else { return Ok(()) };
    let find = async |index: usize| {
        let filter = JobFilter {
            tenant_id: Some(head.tenant_id.clone()),
            idempotency_key: Some(placed(key, index)),
            limit: 1,
            ..JobFilter::default()
        };
        Ok::<Option<Job>, ApiError>(client.jobs(&filter).await?.pop())
    };
    let conflict = |job: &Job, why: &str| {
        let detail = format!("key {key:?} came with another batch before, whose job {} {why}", job.id);
        Err(conflict(&job.id.to_string(), detail, Vec::new()))
    };
    if let Some(longer) = find(jobs.len()).await? {
        return conflict(&longer, "has no counterpart in this one");
    }
    let Some(found) = find(*first).await? else { return Ok(()) };
    if found.job_type != head.job_type {
        return conflict(&found, "is of another type");
    }
    match find(*last).await? {
        Some(found) if found.job_type != tail.job_type => conflict(&found, "is of another type"),
        Some(_) => Ok(()),
        None => conflict(&found, "was in a shorter one"),
    }
}

/// The same refusal, with the job that is there and the fields that differ.
pub(super) async fn explain(client: &Client, jobs: &[NewJob], error: Error) -> ApiError {
    let Error::Store(StoreError::IdempotencyConflict { key, job_type, existing }) = &error else {
        return error.into();
    };
    let is_it = |job: &NewJob| job.idempotency_key.as_ref() == Some(key) && job.job_type == *job_type;
    // One batch may hold the key twice; the last one differs then.
    let sent = jobs.iter().enumerate().rfind(|(_, job)| is_it(job));
    let found = client.job(*existing).await.ok();
    let mut differing = Vec::new();
    if let (Some((index, sent)), Some(found)) = (sent, &found) {
        let place = if jobs.len() == 1 { String::new() } else { format!("/jobs/{index}") };
        differing = differences(sent, found).into_iter().map(|field| format!("{place}{field}")).collect();
    }
    conflict(&existing.to_string(), error.to_string(), differing)
}

/// Pointers to what differs, the payload first.
fn differences(sent: &NewJob, found: &Job) -> Vec<String> {
    let payload = sent.payload.differences(&found.payload, MOST_NAMED);
    let mut all: Vec<String> = payload.into_iter().map(|place| format!("/payload{place}")).collect();
    let fields = [
        ("/queue", sent.queue != found.queue),
        ("/priority", sent.priority != found.priority),
        ("/max_attempts", sent.max_attempts != found.max_attempts),
        ("/timeout_ms", sent.timeout != found.timeout),
        ("/progress_timeout_ms", sent.progress_timeout != found.progress_timeout),
        ("/tags", sent.tags != found.tags),
    ];
    all.extend(fields.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field.to_owned()));
    all
}

fn conflict(existing: &str, detail: String, differing: Vec<String>) -> ApiError {
    let told = |pointer: String| FieldProblem::new(pointer, "differs", format!("differs from {existing}"));
    ApiError::conflict("idempotency_conflict", "the idempotency key was used for something else", detail)
        .existing(existing)
        .errors(differing.into_iter().map(told).collect())
}

/// The id of the operation that a key stands for: the same for the same key of the same tenant.
pub(super) fn operation_id(tenant: Option<&str>, key: &str) -> Uuid {
    let mut hash = Sha256::new();
    for part in ["jobforge-operation", tenant.unwrap_or_default(), key] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    Builder::from_custom_bytes(id).into_uuid()
}

/// Refuses an operation that is not the one that came with its key before.
pub(super) fn check_operation(asked: &NewOperation, found: &Operation) -> Result<(), ApiError> {
    let fields = [
        ("/action", asked.action != found.action),
        ("/filter", asked.filter != found.filter),
        ("/dry_run", asked.dry_run != found.dry_run),
    ];
    let differing: Vec<String> =
        fields.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field.to_owned()).collect();
    if differing.is_empty() {
        return Ok(());
    }
    let detail = format!("the key began operation {} before, which differs; use another key", found.id);
    Err(conflict(&found.id.to_string(), detail, differing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_for_one_operation_of_one_tenant() {
        let id = operation_id(Some("acme"), "k");
        assert_eq!(id, operation_id(Some("acme"), "k"));
        assert_ne!(id, operation_id(None, "k"));
        assert_ne!(operation_id(Some("a"), "bk"), operation_id(Some("ab"), "k"));
    }

    #[test]
    fn a_key_is_read_bare_and_in_quotes() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("idempotency-key", text.parse().expect("a header"));
            key(&headers).map_err(|refusal| refusal.code().to_owned())
        };
        assert_eq!(read("k-1"), Ok(Some("k-1".to_owned())));
        assert_eq!(read("\"k-1\""), Ok(Some("k-1".to_owned())));
        for bad in ["", "\"\"", &"k".repeat(201)] {
            assert_eq!(read(bad), Err("bad_idempotency_key".to_owned()), "{bad:?}");
        }
    }
}
