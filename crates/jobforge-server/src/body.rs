//! Reading a request's body: bounded, strict about its type, and with faults that name their place.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use axum::http::{HeaderMap, StatusCode};
use futures_util::StreamExt;
use jobforge::core::enqueue::JobRequest;
use jobforge::core::json::{self, MAX_DEPTH};
use jobforge::core::payload::Payload;
use jobforge_api::FieldProblem;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use crate::api_error::ApiError;
use crate::misfits::misfits;
use jobforge::core::nearest::advice;

/// The longest body: a payload of the largest size and ample room for the rest.
pub(crate) const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;
/// The longest body of many jobs.
const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Room for the rest of a job beside a payload that goes to object storage.
const AROUND_PAYLOAD: usize = 64 * 1024;
/// How much more is read and thrown away, so that a client that is still sending gets to read the refusal.
const DRAIN_BYTES: usize = 4 * 1024 * 1024;
/// How long a body may take to arrive, and one that is large.
const BODY_TIME: Duration = Duration::from_secs(30);
const LARGE_BODY_TIME: Duration = Duration::from_secs(120);
/// Characters of a parser's message or a user's word that are repeated in an answer.
const SHOWN: usize = 300;

/// Whether a body is said to be longer than one that holds a payload for the database.
pub(crate) fn is_large(headers: &HeaderMap) -> bool {
    declared(headers).is_some_and(|length| length > MAX_BODY_BYTES as u64)
}

/// Reads a job, given as strict JSON, with a payload of at most so many bytes. Only a body that says how long it is may be
/// longer than others.
pub(crate) async fn job_request(
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<JobRequest, ApiError> {
    require_json(headers)?;
    let limit = if is_large(headers) {
        most.saturating_add(AROUND_PAYLOAD).max(MAX_BODY_BYTES)
    } else {
        MAX_BODY_BYTES
    };
    let bytes = read(headers, body, limit).await?;
    checked(parse(text(&bytes)?)?, most)
}

/// The wire type takes any JSON as payload; what cannot be stored faithfully is refused here.
fn checked(request: JobRequest, most: usize) -> Result<JobRequest, ApiError> {
    let parsed = request.payload.map(|payload| Payload::parse_within(payload.as_str(), most));
    Ok(JobRequest { payload: parsed.transpose()?, ..request })
}

/// The body of a request, of at most so many bytes, given as strict JSON: the last argument of a handler.
pub(crate) struct Sent<T, const MOST: usize = SMALL>(pub(crate) T);

/// Bytes of a body that needs no more.
const SMALL: usize = 64 * 1024;

impl<T: DeserializeOwned, S: Sync, const MOST: usize> FromRequest<S> for Sent<T, MOST> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        json(&parts.headers, body, MOST).await.map(Self)
    }
}

/// Reads a request of at most `limit` bytes, given as strict JSON.
pub(crate) async fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<T, ApiError> {
    require_json(headers)?;
    let bytes = read(headers, body, limit).await?;
    let text = text(&bytes)?;
    strict(text)?;
    typed(text)
}

/// Reads a worker's report, in which U+0000 is kept as another character: a report of failure must never be refused.
pub(crate) async fn report<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<T, ApiError> {
    require_json(headers)?;
    let bytes = read(headers, body, limit).await?;
    typed(text(&bytes)?)
}

/// Reads many jobs, given as strict JSON: `{"jobs": [{…}, …]}`. All that is wrong with them is told, up to a bound.
pub(crate) async fn job_requests(
    headers: &HeaderMap,
    body: Body,
    most: usize,
    most_payload: usize,
) -> Result<Vec<JobRequest>, ApiError> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Many {
        jobs: Vec<Box<RawValue>>,
    }
    require_json(headers)?;
    let bytes = read(headers, body, MAX_BATCH_BYTES).await?;
    let Many { jobs } = typed(text(&bytes)?)?;
    if jobs.is_empty() || jobs.len() > most {
        let told = format!("jobs has {} entries; 1 to {most} are taken at once", jobs.len());
        return Err(ApiError::invalid_job(vec![FieldProblem::new("/jobs", "batch_size", told)]));
    }
    let (mut requests, mut refusals) = (Vec::with_capacity(jobs.len()), Vec::new());
    for (index, job) in jobs.iter().enumerate() {
        let read = parse(job.get()).and_then(|request| checked(request, most_payload));
        match read {
            Ok(request) => requests.push(request),
            Err(refusal) => refusals.push(refusal.under(&format!("/jobs/{index}"))),
        }
    }
    ApiError::first_with_all(refusals).map_or(Ok(requests), Err)
}

/// Reads a JSON object whatever the content type says: `curl -d` says that it is a form.
///
/// Only for routes that take bearer tokens and never a browser's own credentials, so that no foreign page gains by it.
/// With fields that are known, null says what leaving a field out says; without, it is handed on, to take a setting back.
pub(crate) async fn object(
    headers: &HeaderMap,
    body: Body,
    known: &[&str],
) -> Result<Map<String, Value>, ApiError> {
    require_unpacked(headers)?;
    let bytes = read(headers, body, MAX_BODY_BYTES).await?;
    let text = text(&bytes)?;
    strict(text)?;
    let mut object: Map<String, Value> = typed(text)?;
    if known.is_empty() {
        return Ok(object);
    }
    if let Some(name) = object.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(unknown_field("", name, known));
    }
    object.retain(|_, value| !value.is_null());
    Ok(object)
}

/// Refuses JSON that the engines would not keep as it is.
fn strict(text: &str) -> Result<(), ApiError> {
    json::check(text, MAX_DEPTH).map(|_| ()).map_err(ApiError::from)
}

/// Reads an object of this shape, or says which of its fields does not fit.
fn typed<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    if !text.trim_start().starts_with('{') {
        // What is no JSON at all is to be told first.
        serde_json::from_str::<&RawValue>(text).map_err(|fault| syntax(text, &fault))?;
        let told = "the body is not a JSON object";
        return Err(ApiError::invalid_request(told).errors(vec![FieldProblem::new("", "wrong_type", told)]));
    }
    serde_json::from_str(text).map_err(|fault| {
        if fault.classify() != Category::Data {
            return syntax(text, &fault);
        }
        // Read once more with a note of the way; what fits needs none.
        let mut parser = serde_json::Deserializer::from_str(text);
        match serde_path_to_error::deserialize::<_, T>(&mut parser) {
            Err(fault) => misfit_at(&fault),
            Ok(_) => syntax(text, &fault),
        }
    })
}

/// Says which field does not fit, and how.
fn misfit_at(fault: &serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let said = fault.inner().to_string();
    let quoted: Vec<&str> = said.split('`').skip(1).step_by(2).collect();
    let mut place = String::new();
    for segment in fault.path() {
        match segment {
            Segment::Seq { index } => place.push_str(&format!("/{index}")),
            Segment::Map { key } => place.push_str(&pointer(key)),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    let code = match said.split_once(' ') {
        Some(("unknown", rest)) if rest.starts_with("field") => {
            let (name, known) = quoted.split_first().map_or(("", &[][..]), |(name, known)| (*name, known));
            // The reader's path ends in the field itself or in the object around it.
            let around = place.strip_suffix(&pointer(name)).unwrap_or(&place);
            return unknown_field(around, name, known);
        }
        Some(("missing", _)) => {
            place.push_str(&pointer(quoted.first().unwrap_or(&"")));
            "required"
        }
        Some(("duplicate", _)) => "duplicate_key",
        Some(("unknown", _)) => "bad_value",
        Some(_) if said.starts_with("invalid value") => "out_of_range",
        Some(_) if said.starts_with("invalid type") => "wrong_type",
        Some(_) | None => "bad_value",
    };
    let told = shown(said.split(" at line ").next().unwrap_or(&said));
    let field = if place.is_empty() { "the body" } else { &place };
    ApiError::invalid_request(format!("{field}: {told}")).errors(vec![FieldProblem::new(place, code, told)])
}

fn unknown_field(around: &str, name: &str, known: &[&str]) -> ApiError {
    let told = format!("{:?} is not a field of this call; {}", shown(name), advice(name, known));
    let place = format!("{around}{}", pointer(&shown(name)));
    ApiError::invalid_request(told.clone()).errors(vec![FieldProblem::new(place, "unknown_field", told)])
}

/// The step to a key, as in a JSON pointer (RFC 6901).
pub(crate) fn pointer(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Reads the fields as what the call takes.
pub(crate) fn fits<T: DeserializeOwned>(fields: &Map<String, Value>) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(Value::Object(fields.clone())).map_err(|fault| misfit_at(&fault))
}

/// The same where all fields may be left out, and with them the body.
pub(crate) async fn maybe_object(
    headers: &HeaderMap,
    body: Body,
    known: &[&str],
) -> Result<Map<String, Value>, ApiError> {
    let bytes = read(headers, body, MAX_BODY_BYTES).await?;
    if bytes.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    object(headers, Body::from(bytes), known).await
}

/// Makes sure that there is no body, or an empty object, where none has a meaning.
pub(crate) async fn none(headers: &HeaderMap, body: Body) -> Result<(), ApiError> {
    require_unpacked(headers)?;
    let bytes = read(headers, body, MAX_BODY_BYTES).await?;
    match bytes.trim_ascii() {
        b"" | b"{}" => Ok(()),
        _ => Err(ApiError::bad_request("unexpected_body", "this call takes no body; leave it out")),
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = given.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.all(|part| {
        let part = part.to_ascii_lowercase();
        part.is_empty() || part == "charset=utf-8" || part == "charset=\"utf-8\""
    });
    if !is_json || !is_utf8 || headers.get_all(CONTENT_TYPE).iter().count() != 1 {
        let advice = "send the body as JSON, with the header `Content-Type: application/json`";
        return Err(unsupported("content_type", advice));
    }
    require_unpacked(headers)
}

fn require_unpacked(headers: &HeaderMap) -> Result<(), ApiError> {
    let plain = headers.get_all(CONTENT_ENCODING).iter().all(|coding| coding.as_bytes() == b"identity");
    if plain {
        Ok(())
    } else {
        Err(unsupported("encoding_not_supported", "send the body as it is, without Content-Encoding"))
    }
}

fn unsupported(code: &str, detail: &str) -> ApiError {
    ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code, "the body is not of a type read here", detail)
}

/// How long the body is said to be.
fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok())
}

async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let declared = declared(headers);
    let too_long = declared.is_some_and(|length| length > limit as u64);
    // Whoever asks before sending is told at once; so is whoever would send more than we care to throw away.
    let hopeless = declared.is_some_and(|length| length > (limit + DRAIN_BYTES) as u64);
    if hopeless || (too_long && headers.contains_key(EXPECT)) {
        return Err(too_large(limit));
    }
    let patience = if limit > MAX_BATCH_BYTES { LARGE_BODY_TIME } else { BODY_TIME };
    match tokio::time::timeout(patience, collect(body, limit)).await {
        Ok(read) => read,
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            "the body did not arrive",
            format!(
                "the body did not arrive within {} s; nothing was changed, so try again",
                patience.as_secs()
            ),
        )),
    }
}

async fn collect(body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut stream = body.into_data_stream();
    let (mut bytes, mut seen) = (Vec::new(), 0_usize);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk
            .map_err(|_| ApiError::bad_request("body_cut_off", "the body ended before it was complete"))?;
        seen += chunk.len();
        if seen <= limit {
            bytes.extend_from_slice(&chunk);
        } else if seen > limit + DRAIN_BYTES {
            break;
        }
    }
    if seen > limit { Err(too_large(limit)) } else { Ok(bytes) }
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        "the body is too large",
        format!(
            "at most {limit} bytes are read; store the data elsewhere and pass a reference in the payload"
        ),
    )
}

fn text(bytes: &[u8]) -> Result<&str, ApiError> {
    let text = std::str::from_utf8(bytes).map_err(|fault| {
        let offset = fault.valid_up_to();
        ApiError::bad_request(
            "not_utf8",
            format!("the body is not UTF-8 at byte {offset}; send JSON as UTF-8"),
        )
    })?;
    if text.starts_with('\u{feff}') {
        return Err(ApiError::bad_request("json_bom", "the body begins with a byte order mark; remove it"));
    }
    if text.trim().is_empty() {
        let detail = "the body is empty; send a JSON object";
        return Err(ApiError::bad_request("body_empty", detail));
    }
    Ok(text)
}

fn parse(text: &str) -> Result<JobRequest, ApiError> {
    // A JSON array would be taken for the fields in their order of declaration, which is nobody's intention.
    let is_object = text.trim_start().starts_with('{');
    match serde_json::from_str::<JobRequest>(text) {
        Ok(request) if is_object => Ok(request),
        // A text that is too deep may also not be complete; what is told is what was met first.
        Err(fault) if fault.classify() != Category::Data => {
            Err(json::check(text, MAX_DEPTH + 1).err().map_or_else(|| syntax(text, &fault), ApiError::from))
        }
        Ok(_) | Err(_) if !is_object => {
            let detail = "a job is a JSON object such as {\"type\": \"email.send\", \"payload\": {}}";
            Err(ApiError::invalid_job(vec![FieldProblem::new("", "wrong_type", detail)]))
        }
        Ok(request) => Ok(request),
        Err(fault) => Err(misfits(text, &fault)),
    }
}

/// What is wrong with a text that is no JSON.
pub(crate) fn syntax(text: &str, fault: &serde_json::Error) -> ApiError {
    json::syntax(text, fault).into()
}

/// The beginning of a text, for an answer.
pub(crate) fn shown(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        text.to_owned()
    } else {
        text.chars().take(SHOWN).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_arrive_is_given_up_however_slowly_it_drips() {
        let drip = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, std::io::Error>(bytes::Bytes::from_static(b" ")), ()))
        });
        let begun = tokio::time::Instant::now();
        let refusal = read(&HeaderMap::new(), Body::from_stream(drip), MAX_BODY_BYTES).await;
        assert_eq!(refusal.err().as_ref().map(ApiError::code), Some("body_timeout"));
        assert_eq!(begun.elapsed(), BODY_TIME);
    }
}
