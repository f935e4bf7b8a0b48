//! Why well-formed JSON is not a job, field by field.

use std::collections::BTreeMap;

use jobforge::core::enqueue::JobRequest;
use jobforge::core::json::{self, MAX_DEPTH};
use jobforge_api::FieldProblem;
use serde_json::value::RawValue;

use crate::api_error::ApiError;
use crate::body::{pointer, shown, syntax};
use jobforge::core::nearest::advice;

/// Fields of a job as it is shown that nobody who enqueues may set.
const READ_ONLY: [&str; 16] = [
    "id",
    "status",
    "attempts",
    "misses",
    "lease",
    "fence",
    "claim_id",
    "locked_by",
    "locked_at",
    "heartbeat_at",
    "started_at",
    "finished_at",
    "created_at",
    "created_by",
    "updated_at",
    "result_id",
];

/// Says of well-formed JSON, field by field, why it is not a job.
pub(crate) fn misfits(text: &str, fault: &serde_json::Error) -> ApiError {
    // A key that is there twice, at any depth, is told with its place; a job holds its payload one level further down.
    if let Err(fault) = json::check(text, MAX_DEPTH + 1) {
        return fault.into();
    }
    let fields = match serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
        Ok(fields) => fields,
        Err(fault) => return syntax(text, &fault),
    };
    let known = known_fields();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let mut errors = Vec::new();
    for (name, value) in &fields {
        let (word, pointer) = (shown(name), pointer(&shown(name)));
        if READ_ONLY.contains(&name.as_str()) {
            let detail = format!("{word:?} is JobForge's to set; leave it out");
            errors.push(FieldProblem::new(pointer, "read_only_field", detail));
        } else if !known.contains(&name.as_str()) {
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
        return ApiError::bad_request("json_syntax", shown(&fault.to_string()));
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
