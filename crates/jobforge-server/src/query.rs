//! Reading a query string: every parameter is known, given once where one is meant, and of a sensible value.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::extract::Query;
use axum::http::Uri;
use jobforge::core::job::WorkerId;
use jobforge::store::rows::JobFilter;

use crate::api_error::ApiError;
use jobforge::core::nearest::advice;

/// Jobs of a page when the request does not say.
pub(crate) const DEFAULT_LIMIT: usize = 50;
/// Jobs of the longest page.
pub(crate) const MAX_LIMIT: usize = 500;
/// Longest value of a parameter, in bytes; no name, key or tag is longer.
const MAX_VALUE_BYTES: usize = 255;

const PARAMETERS: [&str; 9] =
    ["tenant_id", "status", "type", "queue", "tag", "idempotency_key", "worker", "before", "limit"];

/// Reads the filter of a list of jobs.
pub(crate) fn job_filter(uri: &Uri) -> Result<JobFilter, ApiError> {
    let mut filter = JobFilter { limit: DEFAULT_LIMIT, ..JobFilter::default() };
    let mut seen: Vec<String> = Vec::new();
    for (name, value) in pairs(uri)? {
        let name = name.as_str();
        if name != "status" && seen.iter().any(|known| known == name) {
            return Err(bad(name, "is given twice; give it once"));
        }
        check_value(name, &value)?;
        match name {
            "tenant_id" => filter.tenant_id = Some(value),
            "status" => {
                for word in value.split(',') {
                    filter.statuses.push(parsed(name, word.trim())?);
                }
            }
            "type" => filter.job_type = Some(value),
            "queue" => filter.queue = Some(value),
            "tag" => filter.tag = Some(value),
            "idempotency_key" => filter.idempotency_key = Some(value),
            "worker" => filter.worker = Some(WorkerId(value)),
            "before" => filter.before = Some(parsed(name, &value)?),
            "limit" => filter.limit = limit(&value)?,
            unknown => return Err(unknown_parameter(unknown, &PARAMETERS)),
        }
        seen.push(name.to_owned());
    }
    Ok(filter)
}

/// The parameters of a call that takes these, each at most once.
pub(crate) struct Params(BTreeMap<String, String>);

/// Reads them.
pub(crate) fn params(uri: &Uri, known: &[&str]) -> Result<Params, ApiError> {
    let mut found = BTreeMap::new();
    for (name, value) in pairs(uri)? {
        if !known.contains(&name.as_str()) {
            return Err(unknown_parameter(&name, known));
        }
        check_text(&name, &value)?;
        if found.insert(name.clone(), value).is_some() {
            return Err(bad(&name, "is given twice; give it once"));
        }
    }
    Ok(Params(found))
}

impl Params {
    /// One of them as text.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// One of them as something that can be read from text.
    pub(crate) fn parse<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, ApiError> {
        self.take(name).map(|text| parsed(name, &text)).transpose()
    }

    /// How many of a list.
    pub(crate) fn limit(&mut self) -> Result<usize, ApiError> {
        self.take("limit").map_or(Ok(DEFAULT_LIMIT), |text| limit(&text))
    }
}

/// Makes sure that there is no parameter where none has a meaning.
pub(crate) fn none(uri: &Uri) -> Result<(), ApiError> {
    match pairs(uri)?.first() {
        Some((name, _)) => Err(unknown_parameter(name, &[])),
        None => Ok(()),
    }
}

/// The one parameter that a call takes and needs.
pub(crate) fn only(uri: &Uri, name: &str) -> Result<String, ApiError> {
    let mut found = None;
    for (given, value) in pairs(uri)? {
        if given != name {
            return Err(unknown_parameter(&given, &[name]));
        }
        if found.replace(value).is_some() {
            return Err(bad(name, "is given twice; give it once"));
        }
    }
    found.ok_or_else(|| bad(name, "is missing"))
}

fn pairs(uri: &Uri) -> Result<Vec<(String, String)>, ApiError> {
    let read = Query::<Vec<(String, String)>>::try_from_uri(uri).ok();
    read.filter(|_| is_text(uri.query().unwrap_or_default())).map(|Query(pairs)| pairs).ok_or_else(|| {
        let advice =
            "the query string cannot be read; write name=value&name=value, with text as escaped UTF-8";
        ApiError::bad_request("bad_query", advice)
    })
}

/// Whether the escapes of a query string are whole and make UTF-8; the decoder would put another character in their place.
fn is_text(query: &str) -> bool {
    let (mut bytes, mut decoded) = (query.bytes(), Vec::with_capacity(query.len()));
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        decoded.push(match byte {
            b'%' => match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => (high * 16 + low) as u8,
                _ => return false,
            },
            byte => byte,
        });
    }
    std::str::from_utf8(&decoded).is_ok()
}

fn unknown_parameter(name: &str, known: &[&str]) -> ApiError {
    let shown: String = name.chars().take(60).collect();
    let advice = if known.is_empty() { "this call takes none".to_owned() } else { advice(name, known) };
    ApiError::bad_request("unknown_parameter", format!("{shown:?} is not a parameter of this call; {advice}"))
}

fn bad(name: &str, why: &str) -> ApiError {
    ApiError::bad_request("bad_parameter", format!("{name} {why}"))
}

fn check_value(name: &str, value: &str) -> Result<(), ApiError> {
    if !PARAMETERS.contains(&name) {
        return Err(unknown_parameter(name, &PARAMETERS));
    }
    check_text(name, value)
}

fn check_text(name: &str, value: &str) -> Result<(), ApiError> {
    // PostgreSQL refuses U+0000 in any text, so it must not get that far.
    if value.is_empty() || value.len() > MAX_VALUE_BYTES || value.chars().any(char::is_control) {
        let allowed =
            format!("has {} bytes; use 1 to {MAX_VALUE_BYTES} without control characters", value.len());
        return Err(bad(name, &allowed));
    }
    Ok(())
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|fault: T::Err| ApiError::bad_request("bad_parameter", format!("{name}: {fault}")))
}

fn limit(text: &str) -> Result<usize, ApiError> {
    match text.parse() {
        Ok(limit @ 1..=MAX_LIMIT) => Ok(limit),
        Ok(_) | Err(_) => Err(bad("limit", &format!("must be a number from 1 to {MAX_LIMIT}"))),
    }
}
