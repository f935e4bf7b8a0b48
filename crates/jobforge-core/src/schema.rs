//! What JSON Schema says of the limits that are checked here, made from the same constants.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::enqueue::{MAX_ATTEMPTS, MAX_DELAY, MAX_KEY_CHARS, MAX_NAME_BYTES, MAX_TAG_CHARS, MAX_TAGS};
use crate::enqueue::{MAX_TIMEOUT, MIN_TIMEOUT};
use crate::payload::Payload;
use crate::payload_match::{MAX_CHARS, MAX_STEPS, PayloadMatch};
use crate::schedule::definition;
use crate::settle::MAX_BACKOFF_MS;

/// Text without control characters.
pub const PLAIN: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";
/// Text without control characters, and without space at its ends.
const TRIMMED: &str = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$";

/// A moment in a year that both engines store: 9998 is the last.
pub const YEARS: &str = "^([0-8]|9[0-8]|99[0-8]|999[0-8])";

/// A name of a type, a queue or a tenant.
pub fn name() -> Value {
    json!({ "minLength": 1, "maxLength": MAX_NAME_BYTES, "pattern": "^[A-Za-z0-9][A-Za-z0-9._:-]*$" })
}

/// An idempotency key.
pub fn key() -> Value {
    json!({ "minLength": 1, "maxLength": MAX_KEY_CHARS, "pattern": TRIMMED })
}

/// A label.
pub fn tag() -> Value {
    json!({ "minLength": 1, "maxLength": MAX_TAG_CHARS, "pattern": PLAIN })
}

/// A place and a value in a payload.
pub fn payload_match() -> Value {
    let step = r"[^.:\x00-\x1f\x7f-\x9f]+";
    let more = MAX_STEPS - 1;
    let pattern = format!(r"^{step}(\.{step}){{0,{more}}}:[^\x00-\x1f\x7f-\x9f]*$");
    json!({ "maxLength": MAX_CHARS, "pattern": pattern, "examples": ["order.id:1234"] })
}

/// What the last error of a job has in it.
pub fn error_text() -> Value {
    json!({ "minLength": 1, "maxLength": MAX_CHARS, "pattern": PLAIN })
}

/// Adds what is said of one field to what its type says.
pub fn narrow(schema: &mut Schema, field: &str, more: &Value) {
    let place = schema.pointer_mut(&format!("/properties/{field}"));
    if let (Some(Value::Object(known)), Value::Object(more)) = (place, more) {
        known.extend(more.clone());
    }
}

/// Says that not more than one of two fields is given.
pub fn not_both(schema: &mut Schema, one: &str, other: &str) {
    let given = json!({ "not": { "type": "null" } });
    let both = json!({ "required": [one, other], "properties": { one: given, other: given } });
    schema.insert("not".to_owned(), both);
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn job_request(schema: &mut Schema) {
    for field in ["type", "tenant_id", "queue"] {
        narrow(schema, field, &name());
    }
    narrow(schema, "priority", &json!({ "minimum": i16::MIN, "maximum": i16::MAX }));
    narrow(schema, "max_attempts", &json!({ "minimum": 1, "maximum": MAX_ATTEMPTS }));
    narrow(schema, "delay_ms", &json!({ "minimum": 0, "maximum": millis(MAX_DELAY) }));
    for field in ["timeout_ms", "progress_timeout_ms"] {
        narrow(schema, field, &json!({ "minimum": millis(MIN_TIMEOUT), "maximum": millis(MAX_TIMEOUT) }));
    }
    narrow(schema, "run_at", &json!({ "format": "date-time", "pattern": YEARS }));
    narrow(schema, "idempotency_key", &key());
    let mut label = tag();
    label["type"] = "string".into();
    narrow(schema, "tags", &json!({ "maxItems": MAX_TAGS, "items": label }));
    let trace = "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$";
    narrow(schema, "traceparent", &json!({ "pattern": trace }));
    not_both(schema, "run_at", "delay_ms");
    let example = json!({
        "type": "email.send", "payload": { "to": "a@example.org" }, "queue": "mail", "idempotency_key": "welcome-17",
    });
    schema.insert("examples".to_owned(), json!([example]));
}

pub(crate) fn schedule(schema: &mut Schema) {
    for field in ["name", "type", "tenant_id", "queue"] {
        narrow(schema, field, &name());
    }
    narrow(schema, "priority", &json!({ "minimum": i16::MIN, "maximum": i16::MAX }));
    narrow(schema, "max_attempts", &json!({ "minimum": 1, "maximum": MAX_ATTEMPTS }));
    for field in ["timeout_ms", "progress_timeout_ms"] {
        narrow(schema, field, &json!({ "minimum": millis(MIN_TIMEOUT), "maximum": millis(MAX_TIMEOUT) }));
    }
    let mut label = tag();
    label["type"] = "string".into();
    narrow(schema, "tags", &json!({ "maxItems": MAX_TAGS, "items": label }));
    narrow(schema, "anchor", &json!({ "format": "date-time", "pattern": YEARS }));
    narrow(schema, "missed_limit", &json!({ "minimum": 1, "maximum": definition::MAX_MISSED_LIMIT }));
    for field in ["catch_up_ms", "stale_after_ms"] {
        narrow(schema, field, &json!({ "minimum": 1000, "maximum": definition::MAX_WINDOW_MS }));
    }
    narrow(schema, "jitter_ms", &json!({ "minimum": 0, "maximum": definition::MAX_JITTER_MS }));
    narrow(schema, "description", &json!({ "maxLength": definition::MAX_DESCRIPTION }));
    narrow(schema, "idempotency_key", &json!({ "minLength": 1, "pattern": r"\{(date|planned_for)\}" }));
    let given = |field: &str| json!({ "required": [field], "properties": { field: { "type": "string" } } });
    schema.insert("oneOf".to_owned(), json!([given("cron"), given("every")]));
    let example = json!({
        "name": "nightly_report", "type": "report.build", "cron": "30 2 * * 1-5", "time_zone": "Europe/Berlin",
    });
    schema.insert("examples".to_owned(), json!([example]));
}

pub(crate) fn retry_policy(schema: &mut Schema) {
    for field in ["base_ms", "max_ms"] {
        narrow(schema, field, &json!({ "maximum": MAX_BACKOFF_MS }));
    }
    narrow(schema, "factor", &json!({ "minimum": 1, "maximum": 100 }));
    narrow(schema, "jitter", &json!({ "minimum": 0, "maximum": 1 }));
}

pub(crate) fn bulk_filter(schema: &mut Schema) {
    for field in ["type", "tenant_id", "queue"] {
        narrow(schema, field, &name());
    }
    narrow(schema, "tag", &tag());
    narrow(schema, "error", &error_text());
}

impl JsonSchema for PayloadMatch {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PayloadMatch".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut schema = json_schema!({ "type": "string" });
        if let (Some(known), Value::Object(more)) = (schema.as_object_mut(), payload_match()) {
            known.extend(more);
        }
        schema
    }
}

impl JsonSchema for Payload {
    fn schema_name() -> Cow<'static, str> {
        "Payload".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Any JSON of at most 1 MiB, 64 levels and 64 digits a number, without U+0000.",
        })
    }
}
