//! The description of the API, OpenAPI 3.1, made from the table of routes.

use serde_json::{Map, Value, json};

use super::table::{Need, Route};

/// The whole description.
pub(crate) fn describe(routes: &[Route]) -> Value {
    let mut paths = Map::new();
    for route in routes {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "JobForge",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Put jobs in, ask about them, move them. Errors are problem details (RFC 9457).",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
            "schemas": { "Problem": problem() },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.says,
        "responses": {
            "2XX": { "description": "done", "content": { "application/json": {} } },
            "default": {
                "description": "refused or failed",
                "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
            },
        },
    });
    let named = |name: &str, place: &str| json!({ "name": name, "in": place, "required": place == "path", "schema": { "type": "string" } });
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameters: Vec<Value> = in_path
        .map(|name| named(name, "path"))
        .chain(route.query.iter().map(|name| named(name, "query")))
        .collect();
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if !route.body.is_empty() {
        let fields: Map<String, Value> =
            route.body.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
        let schema = json!({ "type": "object", "properties": fields });
        operation["requestBody"] = json!({ "content": { "application/json": { "schema": schema } } });
    }
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

fn problem() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {
            "type": text, "title": text, "status": { "type": "integer" }, "code": text, "detail": text,
            "errors": { "type": "array", "items": {
                "type": "object",
                "properties": { "pointer": text, "code": text, "detail": text },
            } },
        },
    })
}
