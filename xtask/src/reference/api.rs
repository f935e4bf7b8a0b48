//! The page of the HTTP API, from its description.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::{cell, head, read};

const DESCRIPTION: &str = "docs/openapi.json";
const REFERENCE: &str = "#/components/schemas/";

/// One call.
pub(super) struct Call {
    pub(super) method: String,
    pub(super) path: String,
    what: Value,
    /// Codes that it may be refused with, by status.
    pub(super) refusals: BTreeMap<String, Vec<String>>,
}

pub(super) fn description() -> Result<Value> {
    serde_json::from_str(&read(DESCRIPTION)?).with_context(|| format!("{DESCRIPTION} is no JSON"))
}

/// Every call, in the order of paths.
pub(super) fn calls(description: &Value) -> Vec<Call> {
    let mut calls = Vec::new();
    for (path, methods) in object(&description["paths"]) {
        for (method, what) in object(methods) {
            let refusals = refusals(description, what);
            calls.push(Call {
                method: method.to_uppercase(),
                path: path.clone(),
                what: what.clone(),
                refusals,
            });
        }
    }
    calls
}

fn refusals(description: &Value, call: &Value) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for (status, answer) in object(&call["responses"]) {
        let shared = answer["$ref"].as_str().and_then(|name| name.strip_prefix('#'));
        let answer = shared.and_then(|pointer| description.pointer(pointer)).unwrap_or(answer);
        let codes = answer.pointer("/content/application~1problem+json/schema/allOf/1/properties/code");
        let Some(codes) = codes else { continue };
        let one = codes["const"].as_str().into_iter();
        let many = codes["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
        found.insert(status.clone(), one.chain(many).map(str::to_owned).collect());
    }
    found
}

pub(super) fn page() -> Result<String> {
    let description = description()?;
    let mut text = head("HTTP API", DESCRIPTION);
    text.push_str(
        "Every call, what it takes and gives, and every type. How the API behaves as a whole (tokens, pages, repeats, limits, \
         errors) is told in [http-api.md](../http-api.md); [openapi.json](../openapi.json) is the description that this is made \
         from, and every server has it at `/v1/openapi.json`. What the codes mean is in [errors.md](errors.md).\n",
    );
    let mut group = String::new();
    for call in calls(&description) {
        let now = group_of(&call.path);
        if now != group {
            let _ = write!(text, "\n## {now}\n");
            group = now;
        }
        write_call(&mut text, &call);
    }
    text.push_str("\n## Types\n");
    for (name, schema) in object(&description["components"]["schemas"]) {
        write_type(&mut text, name, schema);
    }
    Ok(text)
}

/// Calls with the same beginning stand together.
fn group_of(path: &str) -> String {
    let mut parts = path.split('/').skip(1);
    match (parts.next(), parts.next()) {
        (Some("v1" | "api"), Some(second)) => second.split('.').next().unwrap_or_default().to_owned(),
        (Some("admin"), _) => "admin".to_owned(),
        _ => "probes".to_owned(),
    }
}

fn write_call(text: &mut String, call: &Call) {
    let what = &call.what;
    let _ = write!(
        text,
        "\n### {} `{}`\n\n{}.",
        call.method,
        call.path,
        cell(what["summary"].as_str().unwrap_or_default())
    );
    if let Some(more) = what["description"].as_str() {
        let _ = write!(text, " {}", plain(more));
    }
    let scopes: Vec<&str> = what
        .pointer("/security/0/bearer")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let need =
        if scopes.is_empty() { "nothing".to_owned() } else { format!("the scope `{}`", scopes.join("`, `")) };
    let _ = writeln!(text, "\n\n- Needs: {need}");
    let parameters: Vec<String> =
        what["parameters"].as_array().into_iter().flatten().filter_map(parameter).collect();
    if !parameters.is_empty() {
        let _ = writeln!(text, "- Takes: {}", parameters.join("; "));
    }
    if let Some(body) = what.pointer("/requestBody/content").map(content) {
        let _ = writeln!(text, "- Body: {body}");
    }
    for (status, answer) in object(&what["responses"]) {
        if answer.get("$ref").is_none() && !call.refusals.contains_key(status) {
            let body = answer.get("content").map_or_else(|| "nothing".to_owned(), content);
            let _ = writeln!(text, "- Gives {status}: {body}");
        }
    }
    let refusals: Vec<String> =
        call.refusals.iter().map(|(status, codes)| format!("{status} `{}`", codes.join("`, `"))).collect();
    if !refusals.is_empty() {
        let _ = writeln!(text, "- Refuses: {}", refusals.join("; "));
    }
}

fn parameter(parameter: &Value) -> Option<String> {
    let name = parameter["name"].as_str()?;
    let place = match parameter["in"].as_str()? {
        "query" => "",
        "header" => " (header)",
        other => return (other != "path").then(|| format!("`{name}`")),
    };
    let about =
        parameter["description"].as_str().map(|about| format!(": {}", plain(about).trim_end_matches('.')));
    Some(format!("`{name}`{place}{}", about.unwrap_or_default()))
}

fn content(content: &Value) -> String {
    let kinds = object(content).iter().map(|(kind, body)| {
        let shape = shape(&body["schema"]);
        if kind == "application/json" { shape } else { format!("`{kind}`") }
    });
    kinds.collect::<Vec<_>>().join(" or ")
}

fn write_type(text: &mut String, name: &str, schema: &Value) {
    let _ = write!(text, "\n### {name}\n\n{}\n", plain(schema["description"].as_str().unwrap_or_default()));
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let fields = object(&schema["properties"]);
    if !fields.is_empty() {
        text.push_str("\n| Field | Is | Means |\n|---|---|---|\n");
    }
    for (field, is) in fields {
        let needed = if required.contains(&field.as_str()) { "" } else { ", may be left out" };
        let about = plain(is["description"].as_str().unwrap_or_default());
        let _ = writeln!(text, "| `{field}` | {}{needed} | {about} |", cell(&shape(is)));
    }
    let variants: Vec<&Value> =
        ["oneOf", "anyOf"].iter().filter_map(|key| schema[*key].as_array()).flatten().collect();
    let words: Vec<&&Value> = variants.iter().filter(|variant| variant["const"].is_string()).collect();
    if !words.is_empty() {
        text.push_str("\n| Word | Means |\n|---|---|\n");
    }
    for word in words {
        let about = plain(word["description"].as_str().unwrap_or_default());
        let _ = writeln!(text, "| `{}` | {about} |", word["const"].as_str().unwrap_or_default());
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        let _ = write!(text, "\nOne of `{}`.\n", words.join("`, `"));
    }
}

/// A schema in a few words.
fn shape(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix(REFERENCE)) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> = words
            .iter()
            .map(|word| format!("`{}`", word.as_str().map_or_else(|| word.to_string(), str::to_owned)))
            .collect();
        return words.join(", ");
    }
    if let Some(word) = schema.get("const") {
        return format!("`{}`", word.as_str().map_or_else(|| word.to_string(), str::to_owned));
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(all) = schema[key].as_array().filter(|_| schema["type"].is_null()) {
            let shapes: Vec<String> = all.iter().map(shape).filter(|shape| shape != "anything").collect();
            return shapes.join(if key == "allOf" { " and " } else { " or " });
        }
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let named = types.into_iter().map(|name| match name {
        "array" => format!("list of {}", shape(&schema["items"])),
        "string" if schema["format"] == "date-time" => "moment".to_owned(),
        "string" => "text".to_owned(),
        "integer" => "whole number".to_owned(),
        "object" if schema["additionalProperties"].is_object() => {
            format!("map to {}", shape(&schema["additionalProperties"]))
        }
        other => other.to_owned(),
    });
    let named = named.collect::<Vec<_>>().join(" or ");
    if named.is_empty() { "anything".to_owned() } else { named }
}

/// A description without links of Rust, on one line.
fn plain(text: &str) -> String {
    cell(&text.replace("[`", "`").replace("`]", "`"))
}

fn object(value: &Value) -> &Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.as_object().unwrap_or(&NONE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{group_of, shape};

    #[test]
    fn schemas_are_told_in_a_few_words() {
        let check = |schema, expected: &str| assert_eq!(shape(&schema), expected);
        check(json!({"$ref": "#/components/schemas/JobView"}), "[JobView](#jobview)");
        check(json!({"type": ["string", "null"], "format": "date-time"}), "moment or null");
        check(json!({"type": "array", "items": {"type": "integer"}}), "list of whole number");
        check(json!({"anyOf": [{"$ref": "#/components/schemas/A"}, {"type": "null"}]}), "[A](#a) or null");
        check(json!({"enum": ["a", "b"]}), "`a`, `b`");
        check(json!({}), "anything");
    }

    #[test]
    fn calls_of_one_thing_stand_together() {
        let groups = ["/v1/jobs/{id}", "/v1/openapi.json", "/admin/jobs/trigger", "/livez"].map(group_of);
        assert_eq!(groups, ["jobs", "openapi", "admin", "probes"]);
    }
}
