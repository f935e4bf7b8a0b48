//! What a change of a schedule may say, made from what a schedule is.

use std::borrow::Cow;

use jobforge::core::schedule::Definition;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// New values of fields of a schedule; null takes one out.
pub(super) struct SchedulePatch;

impl JsonSchema for SchedulePatch {
    fn schema_name() -> Cow<'static, str> {
        "SchedulePatch".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let whole = Definition::json_schema(generator);
        let fields = whole.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let or_null = |(name, field): (String, Value)| {
            // What a schedule cannot do without cannot be taken out.
            let stays = matches!(name.as_str(), "name" | "type");
            let field = if stays { field } else { json!({ "anyOf": [field, { "type": "null" }] }) };
            (name, field)
        };
        // Pausing is an act of its own.
        let kept = fields.into_iter().filter(|(name, _)| name != "paused");
        json_schema!({
            "description": "New values of fields; null takes one out. The name stays; who names `cron` takes `every` out, \
                            and the other way round.",
            "type": "object",
            "additionalProperties": false,
            "properties": kept.map(or_null).collect::<Map<String, Value>>(),
            "examples": [{ "every": "10m" }, { "description": null }],
        })
    }
}
