//! What a change of settings may say, made from the table of settings.

use std::borrow::Cow;
use std::sync::LazyLock;

use jobforge::core::settings::{Effect, Kind, SETTINGS, Setting};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// New values of stored settings by key; null takes one out.
pub(super) struct SettingsPatch;

/// The settings that can be stored.
fn stored() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| setting.effect != Effect::Local)
}

/// Their keys.
pub(super) fn keys() -> &'static [&'static str] {
    static KEYS: LazyLock<Vec<&'static str>> =
        LazyLock::new(|| stored().map(|setting| setting.key).collect());
    &KEYS
}

/// Every value may also be written as text, as in the environment.
fn values(kind: Kind) -> Value {
    let mut typed = match kind {
        Kind::Millis { min, max } | Kind::Integer { min, max } => {
            json!({ "type": ["integer", "string", "null"], "minimum": min, "maximum": max })
        }
        Kind::Decimal { min, max } => {
            json!({ "type": ["number", "string", "null"], "minimum": min, "maximum": max })
        }
        Kind::Flag => json!({ "type": ["boolean", "string", "null"] }),
        Kind::List => json!({ "type": ["array", "string", "null"], "items": { "type": "string" } }),
        Kind::Word(_) | Kind::Words(_) | Kind::MillisByName { .. } | Kind::Text | Kind::Secret => {
            json!({ "type": ["string", "null"] })
        }
    };
    if let Kind::Word(words) = kind {
        typed["enum"] = words.iter().map(|word| Value::from(*word)).chain([Value::Null]).collect();
    }
    typed
}

impl JsonSchema for SettingsPatch {
    fn schema_name() -> Cow<'static, str> {
        "SettingsPatch".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let told = |setting: &Setting| {
            let mut value = values(setting.kind);
            value["description"] = setting.doc.into();
            (setting.key.to_owned(), value)
        };
        json_schema!({
            "description": "New values of stored settings; null takes one out. Some must fit each other.",
            "type": "object",
            "minProperties": 1,
            "additionalProperties": false,
            "properties": stored().map(told).collect::<Map<String, Value>>(),
            "examples": [{ "slots": 20 }, { "slots": null }],
        })
    }
}
