//! Every answer that any test gets is one that the description of the API knows.

use std::sync::LazyLock;

use jobforge_server::openapi;
use serde_json::Value;

use crate::harness::Answer;

static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(openapi()).expect("JSON"));

/// Checks status, content type, headers and the stable word of an answer of a route that is described.
#[track_caller]
pub(crate) fn check(method: &str, target: &str, answer: &Answer) {
    let path = target.split('?').next().unwrap_or(target);
    let Some(operation) = operation(method, path) else { return };
    let described = resolved(&operation["responses"][answer.status.to_string()]);
    assert!(described.is_object(), "{method} {path} does not say that it answers {answer:?}");
    for (name, header) in described["headers"].as_object().into_iter().flatten() {
        let needed = resolved(header)["required"] == true;
        assert!(
            !needed || !answer.header(&name.to_lowercase()).is_empty(),
            "{method} {path}: no {name}: {answer:?}"
        );
    }
    let Some(content) = described["content"].as_object() else {
        assert_eq!(answer.body, "", "{method} {path}");
        return;
    };
    let kind = answer.header("content-type").split(';').next().unwrap_or_default();
    let schema = content.get(kind).map(|content| &content["schema"]);
    let schema =
        schema.unwrap_or_else(|| panic!("{method} {path} does not say that it answers {kind}: {answer:?}"));
    if let Some(codes) = schema["allOf"][1]["properties"]["code"]["enum"].as_array() {
        let code = &answer.json()["code"];
        assert!(codes.contains(code), "{method} {path} does not say that it refuses with {code}: {answer:?}");
    }
}

fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let paths = DESCRIPTION["paths"].as_object()?;
    let fits = |known: &str| {
        let (mut known, mut asked) = (known.split('/'), path.split('/'));
        loop {
            match (known.next(), asked.next()) {
                (None, None) => return true,
                (Some(known), Some(asked))
                    if known == asked || (known.starts_with('{') && !asked.is_empty()) => {}
                _ => return false,
            }
        }
    };
    // A path without braces comes before one with them, as in the server.
    let exact =
        paths.get(path).or_else(|| paths.iter().find(|(known, _)| fits(known)).map(|(_, found)| found));
    exact?.get(method.to_lowercase())
}

fn resolved(value: &'static Value) -> &'static Value {
    let target =
        value["$ref"].as_str().and_then(|target| DESCRIPTION.pointer(target.trim_start_matches('#')));
    target.unwrap_or(value)
}

#[test]
fn the_description_that_is_checked_in_is_that_of_the_routes() {
    let kept = include_str!("../../../../docs/openapi.json");
    assert!(
        kept == openapi(),
        "docs/openapi.json is out of date: cargo run --package jobforge-server --example openapi > docs/openapi.json"
    );
}

#[test]
fn every_route_says_what_it_answers_and_what_its_parameters_are() {
    for (path, methods) in DESCRIPTION["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let label = format!("{method} {path}");
            let answers = operation["responses"].as_object().expect("answers");
            let fine: Vec<_> = answers.iter().filter(|(status, _)| status.starts_with('2')).collect();
            assert!(!fine.is_empty(), "{label} says nothing of success");
            for (status, answer) in &fine {
                let holds = answer["content"].as_object().is_some_and(|kinds| {
                    kinds
                        .values()
                        .all(|kind| kind["schema"].as_object().is_some_and(|schema| !schema.is_empty()))
                });
                assert!(holds || *status == "204", "{label} has no schema of its answer {status}");
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["schema"].is_object(), "{label} {parameter}");
            }
            if matches!(method.as_str(), "post" | "put" | "patch") && operation.get("requestBody").is_some() {
                let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
                let schema = resolved(schema);
                assert_eq!(schema["additionalProperties"], false, "{label}: unknown fields are refused");
            }
        }
    }
}
