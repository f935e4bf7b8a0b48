//! Reading a request's body: bounded, strict about its type, and with faults that name their place.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use axum::http::{HeaderMap, StatusCode};
use futures_util::StreamExt;
use jobforge::core::enqueue::JobRequest;
use jobforge::core::payload::Payload;
use jobforge_api::FieldProblem;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::api_error::ApiError;
use crate::nearest::advice;

/// The longest body: a payload of the largest size and ample room for the rest.
pub(crate) const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;
/// The longest body of many jobs.
const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;
/// How much more is read and thrown away, so that a client that is still sending gets to read the refusal.
const DRAIN_BYTES: usize = 4 * 1024 * 1024;
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);
/// Characters of a parser's message or a user's word that are repeated in an answer.
const SHOWN: usize = 300;

/// Reads a job, given as strict JSON.
pub(crate) async fn job_request(headers: &HeaderMap, body: Body) -> Result<JobRequest, ApiError> {
    require_json(headers)?;
    let bytes = read(headers, body, MAX_BODY_BYTES).await?;
    let request = parse(text(&bytes)?)?;
    // The wire type takes any JSON as payload; what cannot be stored faithfully is refused here.
    let payload = request.payload.map(|payload| Payload::parse(payload.as_str())).transpose()?;
    Ok(JobRequest { payload, ..request })
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
    if !text.trim_start().starts_with('{') {
        return Err(ApiError::invalid_request("the body is not a JSON object"));
    }
    serde_json::from_str(text).map_err(|fault| match fault.classify() {
        Category::Data => ApiError::invalid_request(shown(&fault.to_string())),
        Category::Io | Category::Syntax | Category::Eof => syntax(&fault),
    })
}

/// Reads many jobs, given as strict JSON: `{"jobs": [{…}, …]}`.
pub(crate) async fn job_requests(
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<Vec<JobRequest>, ApiError> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Many {
        jobs: Vec<Box<RawValue>>,
    }
    let Many { jobs } = json(headers, body, MAX_BATCH_BYTES).await?;
    if jobs.is_empty() || jobs.len() > most {
        let told = format!("jobs has {} entries; 1 to {most} are taken at once", jobs.len());
        return Err(ApiError::invalid_job(vec![FieldProblem::new("/jobs", "batch_size", told)]));
    }
    let mut requests = Vec::with_capacity(jobs.len());
    for (index, job) in jobs.iter().enumerate() {
        let request = parse(job.get()).map_err(|refusal| refusal.under(&format!("/jobs/{index}")))?;
        let payload = request.payload.map(|payload| Payload::parse(payload.as_str())).transpose();
        let payload = payload.map_err(|fault| ApiError::from(fault).under(&format!("/jobs/{index}")))?;
        requests.push(JobRequest { payload, ..request });
    }
    Ok(requests)
}

/// Reads a JSON object whatever the content type says: `curl -d` says that it is a form.
///
/// Only for routes that take bearer tokens and never a browser's own credentials, so that no foreign page gains by it.
pub(crate) async fn object(
    headers: &HeaderMap,
    body: Body,
    known: &[&str],
) -> Result<Map<String, Value>, ApiError> {
    let bytes = read(headers, body, MAX_BODY_BYTES).await?;
    let object = match serde_json::from_str::<Value>(text(&bytes)?) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return Err(ApiError::invalid_request("the body is not a JSON object")),
        Err(fault) => return Err(syntax(&fault)),
    };
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) if !known.is_empty() => {
            let told = format!("{:?} is not a field of this call; {}", shown(name), advice(name, known));
            let pointer = format!("/{}", shown(name));
            Err(ApiError::invalid_request(told.clone()).errors(vec![FieldProblem::new(
                pointer,
                "unknown_field",
                told,
            )]))
        }
        Some(_) | None => Ok(object),
    }
}

/// Reads the fields as what the call takes.
pub(crate) fn fits<T: DeserializeOwned>(fields: &Map<String, Value>) -> Result<T, ApiError> {
    let fits = serde_json::from_value(Value::Object(fields.clone()));
    fits.map_err(|fault| ApiError::invalid_request(shown(&fault.to_string())))
}

/// Makes sure that there is no body, or an empty object, where none has a meaning.
pub(crate) async fn none(headers: &HeaderMap, body: Body) -> Result<(), ApiError> {
    let bytes = read(headers, body, MAX_BODY_BYTES).await?;
    match bytes.trim_ascii() {
        b"" | b"{}" => Ok(()),
        _ => Err(ApiError::bad_request("unexpected_body", "this call takes no body; leave it out")),
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let refuse = |code: &str, detail: &str| {
        Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            code,
            "the body is not of a type read here",
            detail,
        ))
    };
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = given.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.all(|part| {
        let part = part.to_ascii_lowercase();
        part.is_empty() || part == "charset=utf-8" || part == "charset=\"utf-8\""
    });
    if !is_json || !is_utf8 || headers.get_all(CONTENT_TYPE).iter().count() != 1 {
        return refuse(
            "content_type",
            "send the body as JSON, with the header `Content-Type: application/json`",
        );
    }
    if headers.get(CONTENT_ENCODING).is_some_and(|coding| coding.as_bytes() != b"identity") {
        return refuse("encoding_not_supported", "send the body as it is, without Content-Encoding");
    }
    Ok(())
}

async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let too_long = declared.is_some_and(|length| length > limit as u64);
    // Whoever asks before sending is told at once; so is whoever would send more than we care to throw away.
    let hopeless = declared.is_some_and(|length| length > (limit + DRAIN_BYTES) as u64);
    if hopeless || (too_long && headers.contains_key(EXPECT)) {
        return Err(too_large(limit));
    }
    match tokio::time::timeout(BODY_TIME, collect(body, limit)).await {
        Ok(read) => read,
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            "the body did not arrive",
            format!(
                "the body did not arrive within {} s; nothing was changed, so try again",
                BODY_TIME.as_secs()
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
        Err(fault) if fault.classify() != Category::Data => Err(syntax(&fault)),
        Ok(_) | Err(_) if !is_object => {
            let detail = "a job is a JSON object such as {\"type\": \"email.send\", \"payload\": {}}";
            Err(ApiError::invalid_job(vec![FieldProblem::new("", "wrong_type", detail)]))
        }
        Ok(request) => Ok(request),
        Err(fault) => Err(misfits(text, &fault)),
    }
}

fn syntax(fault: &serde_json::Error) -> ApiError {
    ApiError::bad_request("json_syntax", format!("the body is not valid JSON: {}", shown(&fault.to_string())))
}

/// Says of well-formed JSON, field by field, why it is not a job.
fn misfits(text: &str, fault: &serde_json::Error) -> ApiError {
    let fields = match serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
        Ok(fields) => fields,
        Err(fault) => return syntax(&fault),
    };
    let known = known_fields();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let mut errors = Vec::new();
    for (name, value) in &fields {
        let (word, pointer) =
            (shown(name), format!("/{}", shown(name).replace('~', "~0").replace('/', "~1")));
        if !known.contains(&name.as_str()) {
            let detail = format!("{word:?} is not a field of a job; {}", advice(name, &known));
            errors.push(FieldProblem::new(pointer, "unknown_field", detail));
        } else if let Some(detail) = misfit(name, value) {
            errors.push(FieldProblem::new(pointer, "wrong_type", detail));
        }
    }
    if !fields.contains_key("type") {
        let detail = "is missing; name the type of the job, such as \"email.send\"";
        errors.push(FieldProblem::new("/type", "required", detail));
    }
    if errors.is_empty() {
        // Every field is fine by itself, so one is there twice: the parser says which, and where.
        return ApiError::bad_request("duplicate_key", shown(&fault.to_string()));
    }
    ApiError::invalid_job(errors)
}

/// What is wrong with one field, told by reading a job that has nothing else.
fn misfit(name: &str, value: &RawValue) -> Option<String> {
    let placeholder = RawValue::from_string("\"x\"".to_owned()).ok()?;
    let mut alone: BTreeMap<&str, &RawValue> = BTreeMap::from([("type", &*placeholder)]);
    alone.insert(name, value);
    let alone = serde_json::to_string(&alone).ok()?;
    let fault = serde_json::from_str::<JobRequest>(&alone).err()?.to_string();
    // The place is one in our own small text.
    Some(shown(fault.split(" at line ").next().unwrap_or(&fault)))
}

fn known_fields() -> Vec<String> {
    match serde_json::to_value(JobRequest::default()) {
        Ok(serde_json::Value::Object(fields)) => fields.into_iter().map(|(name, _)| name).collect(),
        _ => Vec::new(),
    }
}

fn shown(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        text.to_owned()
    } else {
        text.chars().take(SHOWN).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_job_is_known() {
        let known = known_fields();
        for field in [
            "type",
            "payload",
            "tenant_id",
            "queue",
            "run_at",
            "delay_ms",
            "idempotency_key",
            "tags",
            "retry",
        ] {
            assert!(known.iter().any(|name| name == field), "{field} of {known:?}");
        }
    }
}
