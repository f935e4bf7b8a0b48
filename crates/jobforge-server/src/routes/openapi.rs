//! The description of the API, OpenAPI 3.1, made from the table of routes and from the types that they take and answer.

use std::collections::{BTreeMap, BTreeSet};

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::table::{Holds, Need, Route};
use crate::query::{Kind, Param};

/// Where schemas of types are kept.
const SCHEMAS: &str = "#/components/schemas/";
/// The whole description.
pub(crate) fn describe(routes: &[Route]) -> Value {
    let generator = |settings: SchemaSettings| {
        settings.with(|settings| settings.definitions_path = "/components/schemas".into()).into_generator()
    };
    let mut asked = generator(SchemaSettings::draft2020_12().for_deserialize());
    let mut told = generator(SchemaSettings::draft2020_12().for_serialize());
    let (mut paths, mut responses) = (Map::new(), Map::new());
    // Refusals refer to it by name.
    told.subschema_for::<jobforge_api::Problem>();
    for route in routes {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = operation(route, &mut asked, &mut told, &mut responses);
    }
    let mut schemas = told.take_definitions(true);
    // What a type takes may differ from what it gives; what it takes has a name of its own then.
    let taken = asked.take_definitions(true);
    let differ = differing(&schemas, &taken);
    for (name, mut schema) in taken {
        rename(&mut schema, &differ);
        let name = if differ.contains(&name) { format!("{name}Input") } else { name };
        schemas.insert(name, schema);
    }
    for path in paths.values_mut() {
        let operations = path.as_object_mut().into_iter().flat_map(Map::values_mut);
        operations
            .filter_map(|operation| operation.get_mut("requestBody"))
            .for_each(|body| rename(body, &differ));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "JobForge",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Put jobs in, ask about them, move them. Refusals are problem details (RFC 9457) with a stable `code`.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas,
            "responses": responses,
            "headers": header_kinds(),
        },
    })
}

/// The types that read otherwise when they are taken than when they are given, by themselves or by what they refer to.
fn differing(given: &Map<String, Value>, taken: &Map<String, Value>) -> Vec<String> {
    let mut differ: Vec<String> = Vec::new();
    loop {
        let is_new = |(name, schema): &(&String, &Value)| {
            let refers =
                || differ.iter().any(|other| schema.to_string().contains(&format!("{SCHEMAS}{other}\"")));
            let in_both = given.get(*name);
            !differ.contains(name) && in_both.is_some_and(|told| told != *schema || refers())
        };
        match taken.iter().find(is_new) {
            Some((name, _)) => differ.push(name.clone()),
            None => return differ,
        }
    }
}

/// Points references to types that differ to what the type takes.
fn rename(value: &mut Value, differ: &[String]) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                match value {
                    Value::String(target) if key == "$ref" => {
                        if target.strip_prefix(SCHEMAS).is_some_and(|name| differ.iter().any(|d| d == name)) {
                            target.push_str("Input");
                        }
                    }
                    other => rename(other, differ),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, differ)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn operation(
    route: &Route,
    asked: &mut SchemaGenerator,
    told: &mut SchemaGenerator,
    shared: &mut Map<String, Value>,
) -> Value {
    let mut operation = json!({ "operationId": operation_id(route), "summary": route.says });
    let parameters = parameters(route);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(takes) = &route.takes {
        let schema = (takes.schema)(asked);
        let mut body =
            json!({ "required": !takes.optional, "content": { "application/json": { "schema": schema } } });
        if !takes.strict {
            body["description"] = "Read as JSON whatever the header Content-Type says.".into();
        }
        operation["requestBody"] = body;
    }
    let mut responses = Map::new();
    for (status, holds) in &route.answers {
        let mut answer = json!({ "description": phrase(*status), "headers": headers(route, *status) });
        match holds {
            Holds::Json(schema) => {
                answer["content"] = json!({ "application/json": { "schema": schema(told) } });
            }
            Holds::Text(kinds) => {
                let text = json!({ "schema": { "type": "string" } });
                let told = kinds.iter().map(|kind| ((*kind).to_owned(), text.clone()));
                answer["content"] = told.collect::<Map<String, Value>>().into();
            }
            Holds::Nothing => {}
        }
        responses.insert(status.to_string(), answer);
    }
    for (status, codes) in refusals(route) {
        // An answer with this status comes first: /api/health says in the same shape that it is not well.
        let refusal = || share(shared, status, refusal(route, status, &codes));
        responses.entry(status.to_string()).or_insert_with(refusal);
    }
    operation["responses"] = responses.into();
    match route.need {
        Need::Nobody => operation["security"] = json!([]),
        Need::Own(scope) | Need::All(scope) => {
            operation["security"] = json!([{ "bearer": [scope.as_str()] }]);
            operation["x-all-tenants"] = matches!(route.need, Need::All(_)).into();
        }
    }
    operation
}

/// `GET /v1/jobs/{id}/logs` is `get_v1_jobs_id_logs`.
fn operation_id(route: &Route) -> String {
    let words = route.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    std::iter::once(route.method.to_ascii_lowercase().as_str()).chain(words).collect::<Vec<_>>().join("_")
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let by_name = |name: &str| match name {
        "id" => Kind::Uuid,
        "name" => Kind::Name,
        _ => Kind::Text,
    };
    let mut all: Vec<Value> = in_path
        .map(|name| {
            json!({ "name": name, "in": "path", "required": true, "schema": route.at.unwrap_or_else(|| by_name(name)).schema() })
        })
        .collect();
    let told = |param: &Param, place: &str| {
        let mut told = json!({ "name": param.name, "in": place, "description": param.says, "schema": param.kind.schema() });
        if matches!(param.kind, Kind::Version) {
            told["example"] = "\"v7\"".into();
        }
        if matches!(param.kind, Kind::Statuses) {
            (told["style"], told["explode"]) = ("form".into(), false.into());
        }
        told
    };
    all.extend(route.query.iter().map(|param| told(param, "query")));
    all.extend(route.hears.iter().map(|param| told(param, "header")));
    if !route.is_look() && route.need != Need::Nobody {
        all.push(told(&crate::query::REASON, "header"));
    }
    all
}

/// What a route may refuse, by status: what only it refuses, and what goes with what it needs and takes.
fn refusals(route: &Route) -> BTreeMap<u16, BTreeSet<&'static str>> {
    let mut all: BTreeMap<u16, BTreeSet<&'static str>> = BTreeMap::new();
    let mut add = |status: u16, codes: &[&'static str]| all.entry(status).or_default().extend(codes);
    let free = route.need == Need::Nobody;
    if !is_limited(route) {
        // Probes: asked before anybody is asked who they are.
        add(403, &["host_not_local", "cross_site"]);
    } else {
        add(400, &["token_in_url"]);
        add(401, &["token_missing", "auth_header", "token_unknown", "token_expired", "token_revoked"]);
        add(403, &["host_not_local", "cross_site"]);
        add(429, &["too_many_failures", "rate_limited"]);
        add(500, &["internal"]);
        add(503, &["database_unreachable", "database_read_only", "database_interrupted"]);
        add(507, &["storage_full"]);
    }
    if !free {
        add(400, &["bad_query", "unknown_parameter"]);
        add(403, &["scope_missing"]);
        add(403, if matches!(route.need, Need::All(_)) { &["tenant_bound"] } else { &["tenant_mismatch"] });
    }
    if !route.query.is_empty() {
        add(400, &["bad_parameter"]);
    }
    if route.path.contains('{') {
        add(400, &["bad_id", "bad_name"]);
    }
    if !free && !route.is_look() {
        add(400, &["body_cut_off"]);
        add(408, &["body_timeout"]);
        add(413, &["body_too_large"]);
    }
    match &route.takes {
        Some(takes) => {
            add(400, &["not_utf8", "json_bom", "body_empty", "json_syntax", "json_trailing"]);
            add(
                400,
                &["bad_unicode_escape", "duplicate_key", "nul_character", "number_out_of_range", "too_deep"],
            );
            add(415, &["encoding_not_supported"]);
            add(422, &["invalid_request"]);
            if takes.strict {
                add(415, &["content_type"]);
            }
        }
        None if !route.is_look() => {
            add(400, &["unexpected_body"]);
            add(415, &["encoding_not_supported"]);
        }
        None => {}
    }
    for (status, codes) in &route.refusals {
        add(*status, codes);
    }
    all
}

/// Keeps a refusal once, however many routes have it.
fn share(shared: &mut Map<String, Value>, status: u16, refusal: Value) -> Value {
    let phrase = phrase(status).replace(' ', "");
    let names = (1..).map(|n| if n == 1 { phrase.clone() } else { format!("{phrase}{n}") });
    for name in names {
        let kept = shared.entry(name.clone()).or_insert_with(|| refusal.clone());
        if *kept == refusal {
            return json!({ "$ref": format!("#/components/responses/{name}") });
        }
    }
    refusal
}

fn refusal(route: &Route, status: u16, codes: &BTreeSet<&str>) -> Value {
    let kind = json!({ "properties": { "status": { "const": status }, "code": { "enum": codes } } });
    let schema = json!({ "allOf": [{ "$ref": "#/components/schemas/Problem" }, kind] });
    json!({
        "description": phrase(status),
        "headers": headers(route, status),
        "content": { "application/problem+json": { "schema": schema } },
    })
}

/// Headers of answers: name, whether it is always there, what it says, and how it looks.
fn header_kinds() -> Value {
    let kinds = [
        (
            "x-request-id",
            true,
            "Finds the request in the log and in the audit log.",
            json!({ "type": "string", "format": "uuid" }),
        ),
        (
            "Retry-After",
            true,
            "Seconds after which to try again.",
            json!({ "type": "integer", "minimum": 1 }),
        ),
        ("WWW-Authenticate", true, "How to say who asks.", json!({ "type": "string" })),
        ("ETag", true, "The version, for If-Match.", json!({ "type": "string", "pattern": "^\"v[0-9]+\"$" })),
        ("Location", true, "Where what was made is.", json!({ "type": "string", "format": "uri-reference" })),
        (
            "RateLimit",
            false,
            "Requests that are left, and in how many seconds all are there again, unless nothing is limited.",
            json!({ "type": "string", "pattern": "^\"caller\";r=[0-9]+;t=[0-9]+$" }),
        ),
        (
            "RateLimit-Policy",
            false,
            "Requests that may come at once, and the seconds in which they are earned.",
            json!({ "type": "string", "pattern": "^\"caller\";q=[0-9]+;w=[0-9]+$" }),
        ),
    ];
    let told = |(name, required, says, schema): (&str, bool, &str, Value)| {
        (name.to_owned(), json!({ "description": says, "required": required, "schema": schema }))
    };
    kinds.into_iter().map(told).collect::<Map<String, Value>>().into()
}

/// The headers of an answer.
fn headers(route: &Route, status: u16) -> Value {
    let mut names = vec!["x-request-id"];
    if is_limited(route) {
        names.extend(["RateLimit", "RateLimit-Policy"]);
    }
    if matches!(status, 429 | 503) && !is_health(route, status) {
        names.push("Retry-After");
    }
    if status == 401 {
        names.push("WWW-Authenticate");
    }
    names.extend(route.tells.iter().filter(|(told, _)| *told == status).map(|(_, name)| *name));
    let told = |name: &str| (name.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }));
    names.into_iter().map(told).collect::<Map<String, Value>>().into()
}

/// Whether it is an answer rather than a refusal that says how the database is.
fn is_health(route: &Route, status: u16) -> bool {
    route.answers.iter().any(|(answered, _)| *answered == status)
}

/// Probes are not counted.
fn is_limited(route: &Route) -> bool {
    route.need != Need::Nobody || route.path.starts_with("/api/")
}

fn phrase(status: u16) -> &'static str {
    axum::http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Done")
}
