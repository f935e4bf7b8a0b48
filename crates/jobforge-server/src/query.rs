//! Reading a query string: every parameter is known, given once where one is meant, and of a sensible value.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::extract::Query;
use axum::http::Uri;
use jobforge::core::job::WorkerId;
use jobforge::core::job_state::JobState;
use jobforge::core::payload_match::PayloadMatch;
use jobforge::core::redact::Redactor;
use jobforge::core::schema;
use jobforge::core::settings::Settings;
use jobforge::core::state::Status;
use jobforge::store::rows::{JobFilter, MAX_PAGE};
use serde_json::{Value, json};

use crate::api_error::ApiError;
use jobforge::core::nearest::advice;

/// Jobs of a page when the request does not say.
pub(crate) const DEFAULT_LIMIT: usize = 50;
/// Jobs of the longest page.
pub(crate) const MAX_LIMIT: usize = 500;
/// Longest value of a parameter, in characters; no name, key or tag is longer.
pub(crate) const MAX_VALUE_CHARS: usize = 255;

/// Longest key in a header, in characters: places of many jobs are put behind it.
pub(crate) const MAX_HEADER_KEY: usize = 200;

/// A parameter of a query string, a path or a header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) says: &'static str,
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Text without control characters.
    Text,
    /// The name of a type, a queue or a tenant.
    Name,
    /// An idempotency key.
    Key,
    /// A place and a value in the payload.
    PayloadMatch,
    Uuid,
    Flag,
    Number {
        min: u64,
        max: u64,
    },
    Words(&'static [&'static str]),
    /// Statuses, separated by commas.
    Statuses,
    /// A moment.
    Moment,
    /// A moment, or how long ago it was.
    Since,
    /// The version of the settings as an ETag.
    Version,
    /// Anything at all.
    Free,
}

impl Kind {
    /// The same as JSON Schema.
    pub(crate) fn schema(self) -> Value {
        let text = |mut more: Value| {
            more["type"] = "string".into();
            more
        };
        match self {
            Self::Text => {
                text(json!({ "minLength": 1, "maxLength": MAX_VALUE_CHARS, "pattern": schema::PLAIN }))
            }
            Self::Name => text(schema::name()),
            Self::Key => {
                let mut key = schema::key();
                key["maxLength"] = MAX_HEADER_KEY.into();
                text(key)
            }
            Self::PayloadMatch => text(schema::payload_match()),
            Self::Uuid => text(json!({ "format": "uuid" })),
            Self::Flag => json!({ "type": "boolean" }),
            Self::Number { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
            Self::Words(words) => text(json!({ "enum": words })),
            Self::Statuses => {
                let word = text(json!({ "enum": Status::ALL.map(Status::as_str) }));
                json!({ "type": "array", "items": word, "minItems": 1, "maxItems": Status::ALL.len() })
            }
            Self::Moment => text(json!({ "format": "date-time", "pattern": schema::YEARS })),
            Self::Since => {
                let ago = text(json!({ "pattern": "^([0-9]{1,9}|([0-9]{1,9}(ms|s|min|m|h|d)){1,4})$" }));
                json!({ "anyOf": [text(json!({ "format": "date-time" })), ago] })
            }
            Self::Version => text(json!({ "pattern": "^\"v[0-9]{1,18}\"$" })),
            Self::Free => text(json!({})),
        }
    }
}

const fn param(name: &'static str, kind: Kind, says: &'static str) -> Param {
    Param { name, kind, says }
}

/// Why, for the audit log.
pub(crate) const REASON: Param = param("X-Reason", Kind::Free, "Why, for the audit log.");
/// Makes a repeated call safe.
pub(crate) const IDEMPOTENCY_KEY: Param = param(
    "Idempotency-Key",
    Kind::Key,
    "Makes it safe to repeat the call: what it made before is answered again.",
);
/// The trace that the caller is in.
pub(crate) const TRACEPARENT: Param = param(
    "traceparent",
    Kind::Free,
    "The caller's W3C trace context, for jobs that name none of their own. What is none is passed over.",
);
/// The version that the caller saw.
pub(crate) const IF_MATCH: Param =
    param("If-Match", Kind::Version, "Changes nothing unless the settings are still at this version.");
/// Where a stream was broken off.
pub(crate) const LAST_EVENT: Param = param(
    "Last-Event-ID",
    Kind::Number { min: 0, max: i64::MAX as u64 },
    "The last event that was read: what has changed since is told first.",
);

pub(crate) const LIMIT: Param =
    param("limit", Kind::Number { min: 1, max: MAX_LIMIT as u64 }, "How many at most; 50 if left out.");
pub(crate) const TENANT: Param = param("tenant_id", Kind::Text, "Only of this tenant.");
pub(crate) const TYPE: Param = param("type", Kind::Text, "Only of this type.");
pub(crate) const QUEUE: Param = param("queue", Kind::Text, "Only of this queue.");
/// The page behind a job.
pub(crate) const BEFORE: Param = param("before", Kind::Uuid, "`next` of the page before.");
/// The page behind an entry of the audit log.
pub(crate) const BEFORE_ENTRY: Param =
    param("before", Kind::Number { min: 0, max: i64::MAX as u64 }, "`next` of the page before.");

/// What narrows a list of jobs down.
pub(crate) const JOB_FILTER: &[Param] = &[
    TENANT,
    param("status", Kind::Statuses, "Only in these statuses."),
    param("state", Kind::Words(JobState::WORDS), "Only those that are so now, as `explain` reckons it."),
    TYPE,
    QUEUE,
    param("tag", Kind::Text, "Only with this tag."),
    param("idempotency_key", Kind::Text, "Only with this key."),
    param("worker", Kind::Text, "Only those that this worker holds."),
    param(
        "payload",
        Kind::PayloadMatch,
        "Only with this value at this place of the payload: keys and indices with dots between, a colon, and the text of a \
         string, number, true, false or null. Payloads in object storage are not searched.",
    ),
    param(
        "error",
        Kind::Text,
        "Only those whose last error has this text in its message or its kind; ASCII letters match in either case.",
    ),
    BEFORE,
    LIMIT,
];
/// What narrows tenants down.
pub(crate) const TENANTS: &[Param] = &[
    param("prefix", Kind::Text, "Only those whose name begins like this."),
    param(
        "sort",
        Kind::Words(&["waits", "ready", "running", "name"]),
        "What comes first; waits if left out.",
    ),
    LIMIT,
];
/// What narrows dead jobs down.
pub(crate) const DEAD_FILTER: &[Param] = &[GROUP, TENANT, TYPE, QUEUE, RESOLVED];
/// The same, page by page.
pub(crate) const DEAD_PAGE: &[Param] = &[GROUP, TENANT, TYPE, QUEUE, RESOLVED, BEFORE, LIMIT];
const GROUP: Param = param("group", Kind::Text, "Only of this group.");
const RESOLVED: Param =
    param("resolved", Kind::Flag, "Also those of which somebody said that they stay dead.");
/// Which alerts are listed.
pub(crate) const ALERTS: &[Param] =
    &[param("resolved", Kind::Flag, "What has ceased in the last 7 days, instead of what holds.")];
/// What a threshold is asked about.
pub(crate) const WHAT_IF: &[Param] = &[
    param(
        "heartbeat_threshold_ms",
        Kind::Number { min: 1000, max: 86_400_000 },
        "The threshold that is proposed, in milliseconds; the one that goes now if left out.",
    ),
    param("since", Kind::Since, "From this moment on, or so long back; 14d if left out."),
];
/// What narrows the audit log down.
pub(crate) const AUDIT: &[Param] = &[
    param("actor", Kind::Text, "Only of this actor."),
    param("action", Kind::Text, "Only this action; ends with a dot for all of a kind."),
    param("target", Kind::Text, "Only what was done to this."),
    TENANT,
    param("since", Kind::Since, "Only since this moment, or since so long ago: 2h."),
    BEFORE_ENTRY,
    LIMIT,
];
/// What narrows the history of settings down.
pub(crate) const HISTORY: &[Param] =
    &[param("key", Kind::Text, "Only of this setting."), BEFORE_ENTRY, LIMIT];
/// What narrows schedules down.
pub(crate) const SCHEDULES: &[Param] =
    &[TENANT, param("after", Kind::Text, "`next_after` of the page before."), LIMIT];
/// What narrows the history of a schedule down.
pub(crate) const SCHEDULE_HISTORY: &[Param] =
    &[param("before", Kind::Moment, "Only what was planned before this moment."), LIMIT];
/// What narrows dead letters down, as runbooks call it.
pub(crate) const DLQ: &[Param] = &[
    param("stats", Kind::Flag, "Figures instead of a page."),
    param("status", Kind::Words(&["pending", "resolved"]), "Only these; pending if left out."),
    LIMIT,
    param("offset", Kind::Number { min: 0, max: MAX_OFFSET as u64 }, "How many to pass over."),
    BEFORE,
];
/// How far an offset reaches; further on, `before` does.
pub(crate) const MAX_OFFSET: usize = MAX_PAGE - MAX_LIMIT - 1;

/// Reads the filter of a list of jobs; what is stuck is so by the settings.
pub(crate) fn job_filter(
    uri: &Uri,
    settings: &Settings,
    redactor: Option<&Redactor>,
) -> Result<JobFilter, ApiError> {
    let rescue = settings.rescue_policy();
    let mut filter = JobFilter { limit: DEFAULT_LIMIT, rescue, ..JobFilter::default() };
    let mut seen: Vec<String> = Vec::new();
    for (name, value) in pairs(uri)? {
        let name = name.as_str();
        if name != "status" && seen.iter().any(|known| known == name) {
            return Err(bad(name, "is given twice; give it once"));
        }
        if !is_known(name, JOB_FILTER) {
            return Err(unknown_parameter(name, JOB_FILTER));
        }
        check_text(name, &value)?;
        match name {
            "tenant_id" => filter.tenant_id = Some(value),
            "status" => {
                for word in value.split(',') {
                    filter.statuses.push(parsed(name, word.trim())?);
                }
            }
            "state" => filter.state = Some(parsed(name, &value)?),
            "type" => filter.job_type = Some(value),
            "queue" => filter.queue = Some(value),
            "tag" => filter.tag = Some(value),
            "idempotency_key" => filter.idempotency_key = Some(value),
            "worker" => filter.worker = Some(WorkerId(value)),
            "payload" => {
                let asked: PayloadMatch = parsed(name, &value)?;
                if let Some(Err(fault)) = redactor.map(|redactor| redactor.allow_search(&asked)) {
                    return Err(bad(name, &fault));
                }
                filter.payload = Some(asked);
            }
            "error" => filter.error = Some(value),
            "before" => filter.before = Some(parsed(name, &value)?),
            "limit" => filter.limit = limit(&value)?,
            unknown => return Err(unknown_parameter(unknown, JOB_FILTER)),
        }
        seen.push(name.to_owned());
    }
    Ok(filter)
}

/// The parameters of a call that takes these, each at most once.
pub(crate) struct Params(BTreeMap<String, String>);

/// Reads them.
pub(crate) fn params(uri: &Uri, known: &[Param]) -> Result<Params, ApiError> {
    let mut found = BTreeMap::new();
    for (name, value) in pairs(uri)? {
        if !is_known(&name, known) {
            return Err(unknown_parameter(&name, known));
        }
        check_text(&name, &value)?;
        if let Some(Kind::Number { min, max }) = known.iter().find(|p| p.name == name).map(|p| p.kind)
            && !value.parse().is_ok_and(|number: u64| (min..=max).contains(&number))
        {
            return Err(bad(&name, &format!("must be a number from {min} to {max}")));
        }
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
pub(crate) fn only(uri: &Uri, name: &'static str) -> Result<String, ApiError> {
    let mut found = None;
    for (given, value) in pairs(uri)? {
        if given != name {
            return Err(unknown_parameter(&given, &[param(name, Kind::Text, "")]));
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

fn is_known(name: &str, known: &[Param]) -> bool {
    known.iter().any(|param| param.name == name)
}

fn unknown_parameter(name: &str, known: &[Param]) -> ApiError {
    let shown: String = name.chars().take(60).collect();
    let names: Vec<&str> = known.iter().map(|param| param.name).collect();
    let advice = if names.is_empty() { "this call takes none".to_owned() } else { advice(name, &names) };
    ApiError::bad_request("unknown_parameter", format!("{shown:?} is not a parameter of this call; {advice}"))
}

fn bad(name: &str, why: &str) -> ApiError {
    ApiError::bad_request("bad_parameter", format!("{name} {why}"))
}

fn check_text(name: &str, value: &str) -> Result<(), ApiError> {
    // PostgreSQL refuses U+0000 in any text, so it must not get that far.
    let length = value.chars().count();
    if !(1..=MAX_VALUE_CHARS).contains(&length) || value.chars().any(char::is_control) {
        let allowed =
            format!("has {length} characters; use 1 to {MAX_VALUE_CHARS} without control characters");
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
