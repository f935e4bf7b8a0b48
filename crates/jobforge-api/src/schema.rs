//! What JSON Schema says of requests beyond the types of their fields.

use jobforge_core::alert::rules::rules;
use jobforge_core::alert::silence::{
    EVERYTHING, LABEL_CHARS, LONGEST, LONGEST_OF_ALL, MOST_LABELS, SHORTEST,
};
use jobforge_core::schema::{PLAIN, YEARS, name, narrow, not_both};
use schemars::Schema;
use serde_json::{Value, json};

use crate::millis;
use crate::requests::{MAX_FOR_MS, MAX_JOBS, MIN_FOR_MS};

/// An empty filter is refused unless `all` says that it is meant.
pub(crate) fn bulk(schema: &mut Schema) {
    let named = |field: &str| json!({ "required": [field], "properties": { field: { "type": "string" } } });
    let mut narrows: Vec<Value> = ["tenant_id", "type", "queue", "tag"].into_iter().map(named).collect();
    narrows.push(json!({ "required": ["statuses"], "properties": { "statuses": { "minItems": 1 } } }));
    let meant = json!({ "required": ["all"], "properties": { "all": { "const": true } } });
    let some = json!({ "required": ["filter"], "properties": { "filter": { "anyOf": narrows } } });
    schema.insert("anyOf".to_owned(), json!([some, meant]));
    let example = json!({
        "action": "cancel", "filter": { "type": "email.send", "queue": "mail" }, "dry_run": true, "reason": "spam",
    });
    schema.insert("examples".to_owned(), json!([example]));
}

pub(crate) fn reschedule(schema: &mut Schema) {
    narrow(schema, "delay_ms", &json!({ "maximum": MAX_FOR_MS }));
    narrow(schema, "run_at", &json!({ "pattern": YEARS }));
    let one = |field: &str, other: &str| {
        let properties = json!({ field: { "not": { "type": "null" } }, other: { "type": "null" } });
        json!({ "required": [field], "properties": properties })
    };
    schema.insert("oneOf".to_owned(), json!([one("run_at", "delay_ms"), one("delay_ms", "run_at")]));
    schema
        .insert("examples".to_owned(), json!([{ "delay_ms": 60_000 }, { "run_at": "2027-01-31T08:00:00Z" }]));
}

pub(crate) fn pause(schema: &mut Schema) {
    narrow(schema, "for_ms", &json!({ "minimum": MIN_FOR_MS, "maximum": MAX_FOR_MS }));
    narrow(schema, "until", &json!({ "pattern": YEARS }));
    not_both(schema, "until", "for_ms");
    schema
        .insert("examples".to_owned(), json!([{ "for_ms": 3_600_000 }, { "until": "2027-01-31T08:00:00Z" }]));
}

pub(crate) fn token(schema: &mut Schema) {
    let shown = r"^[\w.:/@-]([\w .:/@-]*[\w.:/@-])?$";
    narrow(schema, "name", &json!({ "minLength": 1, "maxLength": 100, "pattern": shown }));
    narrow(schema, "scopes", &json!({ "minItems": 1 }));
    narrow(schema, "tenant_id", &name());
    narrow(schema, "for_ms", &json!({ "minimum": MIN_FOR_MS, "maximum": MAX_FOR_MS }));
    not_both(schema, "expires_at", "for_ms");
    let weak = json!({ "items": { "enum": ["read", "enqueue", "operate"] } });
    schema.insert(
        "if".to_owned(),
        json!({ "required": ["tenant_id"], "properties": { "tenant_id": { "type": "string" } } }),
    );
    schema.insert("then".to_owned(), json!({ "properties": { "scopes": weak } }));
    schema.insert(
        "examples".to_owned(),
        json!([{ "name": "deploy", "scopes": ["enqueue"], "for_ms": 86_400_000 }]),
    );
}

/// Job ids where an action takes them, and only there.
pub(crate) fn debug_action(schema: &mut Schema) {
    let ids = json!({ "minItems": 1, "maxItems": MAX_JOBS });
    let names = named_jobs(&ids);
    let without = json!({ "type": "null" });
    let others = json!({ "properties": {
        "action": { "not": { "const": "retry_specific" } }, "jobId": without, "jobIds": { "anyOf": [without, { "maxItems": 0 }] },
    } });
    let specific = json!({ "properties": { "action": { "const": "retry_specific" } }, "anyOf": names });
    // A worker is named only to be restarted, and then not together with all of them.
    let restart = json!({ "properties": { "action": { "const": "trigger_worker" } }, "anyOf": [
        { "properties": { "workerId": without } }, { "properties": { "all": { "enum": [null, false] } } },
    ] });
    let elsewhere = json!({ "not": { "anyOf": [{ "required": ["workerId"] }, { "required": ["all"] }] },
        "properties": { "action": { "not": { "const": "trigger_worker" } } } });
    schema.insert("anyOf".to_owned(), json!([restart, elsewhere]));
    schema.insert("oneOf".to_owned(), json!([specific, others]));
    schema.insert(
        "examples".to_owned(),
        json!([{ "action": "trigger_watchdog" }, { "action": "cancel_stuck" }]),
    );
}

pub(crate) fn reprocess(schema: &mut Schema) {
    schema.insert("anyOf".to_owned(), named_jobs(&json!({ "minItems": 1, "maxItems": MAX_JOBS })));
    schema.insert("examples".to_owned(), json!([{ "jobId": "01890a5d-ac96-774b-bcce-b302099a8057" }]));
}

fn named_jobs(ids: &Value) -> Value {
    let mut list = ids.clone();
    list["type"] = "array".into();
    let few = json!({ "anyOf": [{ "type": "null" }, { "maxItems": MAX_JOBS - 1 }] });
    json!([
        { "required": ["jobId"], "properties": { "jobId": { "type": "string" }, "jobIds": few } },
        { "required": ["jobIds"], "properties": { "jobIds": list, "jobId": { "type": "null" } } },
    ])
}

/// A dead job is named where one is meant.
pub(crate) fn dlq_action(schema: &mut Schema) {
    let named = json!({ "required": ["id"], "properties": { "id": { "type": "string" } } });
    schema.insert("if".to_owned(), json!({ "properties": { "action": { "enum": ["retry", "resolve"] } } }));
    schema.insert("then".to_owned(), named);
    schema.insert("examples".to_owned(), json!([{ "action": "purge", "olderThanDays": 30 }]));
}

/// Rules that there are, labels as metrics have them, and a shorter time for a silence of everything.
pub(crate) fn silence(schema: &mut Schema) {
    let rules = rules();
    let names: Vec<&str> = std::iter::once(EVERYTHING).chain(rules.iter().map(|rule| rule.name)).collect();
    narrow(schema, "rule", &json!({ "enum": names }));
    let labels = json!({
        "maxProperties": MOST_LABELS,
        "propertyNames": { "pattern": "^[A-Za-z0-9_]+$", "maxLength": LABEL_CHARS },
        "additionalProperties": { "type": "string", "maxLength": LABEL_CHARS, "pattern": PLAIN },
    });
    narrow(schema, "labels", &labels);
    narrow(schema, "for_ms", &json!({ "minimum": millis(SHORTEST), "maximum": millis(LONGEST) }));
    let narrowed = json!({ "anyOf": [
        { "properties": { "rule": { "not": { "const": EVERYTHING } } } },
        { "required": ["labels"], "properties": { "labels": { "minProperties": 1 } } },
        { "properties": { "for_ms": { "maximum": millis(LONGEST_OF_ALL) } } },
    ] });
    schema.insert("allOf".to_owned(), json!([narrowed]));
    let example =
        json!({ "rule": "QueueBacklog", "labels": {}, "for_ms": 7_200_000, "reason": "the nightly import" });
    schema.insert("examples".to_owned(), json!([example]));
}

pub(crate) fn tried(schema: &mut Schema) {
    narrow(schema, "channel", &name());
    schema.insert("examples".to_owned(), json!([{ "channel": "slack" }]));
}
