//! What may be enqueued: every limit of a new job, checked in one place for every way in.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::job::{JobId, NewJob, RunAt};
use crate::payload::Payload;
use crate::settle::RetryPolicy;
use crate::stored_payload::uses_reserved_key;
use crate::time::{LATEST, has_long_year, is_rfc_3339};

/// Longest type, queue and tenant name, in bytes.
pub const MAX_NAME_BYTES: usize = 128;
/// Longest idempotency key, in characters; much longer ones do not fit a B-tree page.
pub const MAX_KEY_CHARS: usize = 255;
/// Most tags of one job.
pub const MAX_TAGS: usize = 20;
/// Longest tag, in characters.
pub const MAX_TAG_CHARS: usize = 64;
/// Longest delay: ten years.
pub const MAX_DELAY: Duration = Duration::from_secs(10 * 366 * 86_400);
/// Most attempts a job may be given.
pub const MAX_ATTEMPTS: u32 = 1000;
/// Attempts of a job that does not say.
pub const DEFAULT_MAX_ATTEMPTS: u32 = 5;
/// Shortest time-out of one attempt.
pub const MIN_TIMEOUT: Duration = Duration::from_millis(100);
/// Longest time-out of one attempt: seven days.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(7 * 86_400);
/// Most jobs in one enqueue call at the edges; the library splits larger batches.
pub const MAX_BATCH: usize = 1000;
/// The queue of a job that does not say.
pub const DEFAULT_QUEUE: &str = "default";
/// The tenant of a job that does not say.
pub const DEFAULT_TENANT: &str = "default";

/// A job as asked for at an edge (API, CLI, library), before it is checked.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::job_request))]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// Which handler runs it.
    #[serde(rename = "type")]
    pub job_type: String,
    /// The handler's input; `{}` if left out.
    #[serde(default)]
    pub payload: Option<Payload>,
    /// Who it belongs to; [`DEFAULT_TENANT`] if left out.
    #[serde(default)]
    pub tenant_id: Option<String>,
    /// The queue it waits in; [`DEFAULT_QUEUE`] if left out.
    #[serde(default)]
    pub queue: Option<String>,
    /// Lower runs first; 0 if left out.
    #[serde(default, deserialize_with = "crate::whole::maybe")]
    pub priority: Option<i64>,
    /// When it may run, RFC 3339 with offset.
    #[serde(default)]
    pub run_at: Option<String>,
    /// How long it must wait, in milliseconds; not together with `run_at`.
    #[serde(default, deserialize_with = "crate::whole::maybe")]
    pub delay_ms: Option<i64>,
    /// Attempts it gets; 5 if left out.
    #[serde(default, deserialize_with = "crate::whole::maybe")]
    pub max_attempts: Option<i64>,
    /// Bound on one attempt, in milliseconds.
    #[serde(default, deserialize_with = "crate::whole::maybe")]
    pub timeout_ms: Option<i64>,
    /// Bound on the time between two reports of progress, in milliseconds.
    #[serde(default, deserialize_with = "crate::whole::maybe")]
    pub progress_timeout_ms: Option<i64>,
    /// At most one job per (tenant, type, key).
    #[serde(default)]
    pub idempotency_key: Option<String>,
    /// Free labels.
    #[serde(default)]
    pub tags: Vec<String>,
    /// W3C trace context.
    #[serde(default)]
    pub traceparent: Option<String>,
    /// Back-off of its own.
    #[serde(default)]
    pub retry: Option<RetryPolicy>,
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field's name.
    pub field: String,
    /// A stable word.
    pub code: &'static str,
    /// What was given, what is allowed, what to do.
    pub message: String,
}

/// A request that was refused, with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidJob {
    /// Never empty.
    pub errors: Vec<FieldError>,
}

impl fmt::Display for InvalidJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", error.field, error.message)?;
        }
        Ok(())
    }
}

/// Checks a request and fills in the defaults.
///
/// # Errors
/// Lists every fault, not only the first, so that a caller can mend all at once.
pub fn validate(request: JobRequest, created_by: Option<String>) -> Result<NewJob, InvalidJob> {
    let mut check = Check::default();
    check.name("type", &request.job_type);
    let tenant_id = request.tenant_id.unwrap_or_else(|| DEFAULT_TENANT.to_owned());
    check.name("tenant_id", &tenant_id);
    let queue = request.queue.unwrap_or_else(|| DEFAULT_QUEUE.to_owned());
    check.name("queue", &queue);
    let priority =
        check.integer("priority", request.priority.unwrap_or(0), i64::from(i16::MIN), i64::from(i16::MAX));
    let max_attempts = check.integer(
        "max_attempts",
        request.max_attempts.unwrap_or(i64::from(DEFAULT_MAX_ATTEMPTS)),
        1,
        i64::from(MAX_ATTEMPTS),
    );
    let timeout = request.timeout_ms.map(|ms| check.timeout("timeout_ms", ms));
    let progress_timeout = request.progress_timeout_ms.map(|ms| check.timeout("progress_timeout_ms", ms));
    let when = check.when(request.run_at.as_deref(), request.delay_ms);
    if let Some(key) = &request.idempotency_key {
        check.key(key);
    }
    check.tags(&request.tags);
    if let Some(trace) = &request.traceparent {
        check.traceparent(trace);
    }
    if let Some(policy) = &request.retry
        && let Err(fault) = policy.validate()
    {
        check.fail("retry", "out_of_range", fault);
    }
    if request.payload.as_ref().is_some_and(uses_reserved_key) {
        let told = "keys that begin with $jobforge mark what JobForge itself keeps in a payload's place; use another name";
        check.fail("payload", "reserved_key", told);
    }
    if !check.errors.is_empty() {
        return Err(InvalidJob { errors: check.errors });
    }
    Ok(NewJob {
        id: JobId::new(),
        tenant_id,
        job_type: request.job_type,
        queue,
        priority: i16::try_from(priority).unwrap_or_default(),
        payload: request.payload.unwrap_or_else(Payload::empty),
        when,
        max_attempts: u32::try_from(max_attempts).unwrap_or(DEFAULT_MAX_ATTEMPTS),
        timeout,
        progress_timeout,
        idempotency_key: request.idempotency_key,
        tags: request.tags,
        traceparent: request.traceparent,
        created_by,
        retry: request.retry,
    })
}

/// Whether a name may be used for a queue, a type or a tenant; the reason if not.
///
/// # Errors
/// One sentence naming the fault and the allowed characters.
pub fn check_name(name: &str) -> Result<(), String> {
    let allowed = "use 1 to 128 of the characters a-z A-Z 0-9 . _ : - and begin with a letter or digit";
    let shown: String = name.chars().take(60).collect();
    if name.is_empty() {
        return Err(format!("must not be empty; {allowed}"));
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(format!("has {} bytes, at most {MAX_NAME_BYTES} are allowed", name.len()));
    }
    let fine = |c: char| c.is_ascii_alphanumeric() || ['.', '_', ':', '-'].contains(&c);
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(fine) {
        return Err(format!("{shown:?} is not a usable name; {allowed}"));
    }
    Ok(())
}

/// Whether an idempotency key may be used; the reason if not.
///
/// # Errors
/// One sentence naming the fault and what is allowed.
pub fn check_key(key: &str) -> Result<(), String> {
    let length = key.chars().count();
    if (1..=MAX_KEY_CHARS).contains(&length) && key.trim() == key && !key.chars().any(char::is_control) {
        return Ok(());
    }
    let allowed =
        format!("use 1 to {MAX_KEY_CHARS} characters without control characters or spaces at the ends");
    Err(format!("has {length} characters; {allowed}"))
}

/// Whether a tag may be given to a job; the reason if not.
///
/// # Errors
/// One sentence naming the fault and what is allowed.
pub fn check_tag(tag: &str) -> Result<(), String> {
    if (1..=MAX_TAG_CHARS).contains(&tag.chars().count()) && !tag.chars().any(char::is_control) {
        return Ok(());
    }
    let shown: String = tag.chars().filter(|c| !c.is_control()).take(60).collect();
    Err(format!("{shown:?}; a tag has 1 to {MAX_TAG_CHARS} printable characters"))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[derive(Default)]
struct Check {
    errors: Vec<FieldError>,
}

impl Check {
    fn fail(&mut self, field: &str, code: &'static str, message: impl Into<String>) {
        self.errors.push(FieldError { field: field.to_owned(), code, message: message.into() });
    }

    fn name(&mut self, field: &str, name: &str) {
        if let Err(fault) = check_name(name) {
            self.fail(field, "bad_name", fault);
        }
    }

    fn integer(&mut self, field: &str, value: i64, min: i64, max: i64) -> i64 {
        if !(min..=max).contains(&value) {
            self.fail(field, "out_of_range", format!("{value} is out of range; allowed is {min} to {max}"));
        }
        value
    }

    fn timeout(&mut self, field: &str, ms: i64) -> Duration {
        let ms = self.integer(field, ms, millis(MIN_TIMEOUT), millis(MAX_TIMEOUT));
        Duration::from_millis(ms.unsigned_abs())
    }

    fn when(&mut self, run_at: Option<&str>, delay_ms: Option<i64>) -> RunAt {
        match (run_at, delay_ms) {
            (Some(_), Some(_)) => {
                self.fail("run_at", "conflict", "give either run_at or delay_ms, not both");
                RunAt::Now
            }
            (None, None) => RunAt::Now,
            (None, Some(ms)) => {
                let ms = self.integer("delay_ms", ms, 0, millis(MAX_DELAY));
                RunAt::After(Duration::from_millis(ms.unsigned_abs()))
            }
            (Some(text), None) => self.moment(text),
        }
    }

    fn moment(&mut self, text: &str) -> RunAt {
        let shown: String = text.chars().take(60).collect();
        let parsed = is_rfc_3339(text).then(|| text.parse::<Timestamp>().ok()).flatten();
        match parsed {
            Some(moment) if moment.as_second() < LATEST => RunAt::At(moment),
            None if !has_long_year(text) => {
                let advice = "write RFC 3339 with an offset, such as 2027-01-31T08:00:00Z";
                self.fail("run_at", "bad_time", format!("{shown:?} is not a moment in time; {advice}"));
                RunAt::Now
            }
            Some(_) | None => {
                self.fail(
                    "run_at",
                    "time_out_of_range",
                    format!("{shown:?} is too far ahead; the year 9998 is the last"),
                );
                RunAt::Now
            }
        }
    }

    fn key(&mut self, key: &str) {
        if let Err(fault) = check_key(key) {
            self.fail("idempotency_key", "bad_idempotency_key", fault);
        }
    }

    fn tags(&mut self, tags: &[String]) {
        if tags.len() > MAX_TAGS {
            self.fail("tags", "out_of_range", format!("{} tags; at most {MAX_TAGS} are allowed", tags.len()));
        }
        for tag in tags.iter().take(MAX_TAGS) {
            if let Err(fault) = check_tag(tag) {
                self.fail("tags", "bad_tag", fault);
            }
        }
    }

    fn traceparent(&mut self, trace: &str) {
        if trace_id(trace).is_none() {
            self.fail(
                "traceparent",
                "bad_traceparent",
                "must be a W3C traceparent: 00-<32 hex>-<16 hex>-<2 hex>",
            );
        }
    }
}

/// The trace that a `traceparent` belongs to; `None` if it is none.
///
/// <https://www.w3.org/TR/trace-context/#traceparent-header>: version-traceid-parentid-flags, lower-case hex.
pub fn trace_id(traceparent: &str) -> Option<&str> {
    let hex = |part: &str, len: usize| {
        part.len() == len && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let parts: Vec<&str> = traceparent.split('-').collect();
    match parts[..] {
        [v, t, p, f] if hex(v, 2) && hex(t, 32) && hex(p, 16) && hex(f, 2) => Some(t),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> JobRequest {
        JobRequest { job_type: "email.send".to_owned(), ..JobRequest::default() }
    }

    fn faults(change: impl FnOnce(&mut JobRequest)) -> Vec<String> {
        let mut request = request();
        change(&mut request);
        match validate(request, None) {
            Ok(_) => Vec::new(),
            Err(invalid) => invalid.errors.iter().map(|e| format!("{} {}", e.field, e.code)).collect(),
        }
    }

    #[test]
    fn a_type_alone_is_enough() {
        let job = validate(request(), None).expect("valid");
        assert_eq!((job.tenant_id.as_str(), job.queue.as_str(), job.priority), ("default", "default", 0));
        assert_eq!((job.max_attempts, job.when, job.payload.as_str()), (5, RunAt::Now, "{}"));
    }

    #[test]
    fn each_bad_field_is_named() {
        assert_eq!(faults(|r| r.job_type.clear()), ["type bad_name"]);
        for name in [" x", "a b", "é", "-a", "\u{202e}x", "a/b", &"x".repeat(129)] {
            assert_eq!(faults(|r| r.job_type = name.to_owned()), ["type bad_name"], "{name:?}");
        }
        assert_eq!(faults(|r| r.queue = Some(String::new())), ["queue bad_name"]);
        assert_eq!(faults(|r| r.delay_ms = Some(-1)), ["delay_ms out_of_range"]);
        assert_eq!(faults(|r| r.delay_ms = Some(i64::MAX)), ["delay_ms out_of_range"]);
        assert_eq!(faults(|r| r.max_attempts = Some(0)), ["max_attempts out_of_range"]);
        assert_eq!(faults(|r| r.max_attempts = Some(1_000_000_000)), ["max_attempts out_of_range"]);
        assert_eq!(faults(|r| r.priority = Some(40_000)), ["priority out_of_range"]);
        assert_eq!(faults(|r| r.timeout_ms = Some(0)), ["timeout_ms out_of_range"]);
        assert_eq!(
            faults(|r| r.idempotency_key = Some(String::new())),
            ["idempotency_key bad_idempotency_key"]
        );
        assert_eq!(
            faults(|r| r.idempotency_key = Some("k".repeat(256))),
            ["idempotency_key bad_idempotency_key"]
        );
        assert_eq!(faults(|r| r.tags = vec!["t".to_owned(); 21]), ["tags out_of_range"]);
        assert_eq!(faults(|r| r.traceparent = Some("00-zz".to_owned())), ["traceparent bad_traceparent"]);
    }

    #[test]
    fn moments_must_be_rfc_3339_with_an_offset_and_within_reason() {
        for text in [
            "infinity",
            "-infinity",
            "epoch",
            "now",
            "2027-01-01",
            "2027-01-01T00:00:00",
            "2027-02-30T00:00:00Z",
            "2027-01-01T24:00:00Z",
            "2027-01-01T23:59:60Z",
            "2027-01-01T00:00Z",
            "20270101T000000Z",
            "2027-01-01T00:00:00+01",
            "2027-01-01T00:00:00+26:00",
            "2027-01-01T00:00:00.Z",
            "2027-01-01T00:00:00Z[Europe/Berlin]",
            "2027-01-01T00:00:00 Z",
            "２０27-01-01T00:00:00Z",
            "1790000000",
            "",
        ] {
            assert_eq!(faults(|r| r.run_at = Some(text.to_owned())), ["run_at bad_time"], "{text}");
        }
        for text in ["9999-06-01T12:00:00Z", "300000-01-01T00:00:00Z", "+294277-01-01T00:00:00Z"] {
            assert_eq!(faults(|r| r.run_at = Some(text.to_owned())), ["run_at time_out_of_range"], "{text}");
        }
        for text in
            ["2027-01-31T08:00:00+02:00", "2027-01-31t08:00:00.123456789z", "2024-02-29 00:00:00-00:30"]
        {
            assert!(faults(|r| r.run_at = Some(text.to_owned())).is_empty(), "{text}");
        }
        assert_eq!(
            faults(|r| {
                r.run_at = Some("2027-01-31T08:00:00Z".to_owned());
                r.delay_ms = Some(1);
            }),
            ["run_at conflict"]
        );
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let told = faults(|r| {
            r.job_type.clear();
            r.delay_ms = Some(-5);
            r.max_attempts = Some(0);
        });
        assert_eq!(told.len(), 3);
    }

    #[test]
    fn the_reserved_tenant_and_uuid_tenants_are_names_like_others() {
        for tenant in ["system", "01890a5d-ac96-774b-bcce-b302099a8057"] {
            assert!(faults(|r| r.tenant_id = Some(tenant.to_owned())).is_empty());
        }
    }
}
