//! `cargo xtask openapi`: what a change of the API's description breaks for those who call it.
//!
//! Callers break when something is gone that they send or read, or when something more is asked of them. Each such change
//! needs a line in CHANGELOG.md that has the word "Breaking" and names the operation, as in `POST /v1/jobs`.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use crate::stages::Outcome;
use crate::{command, repository};

const DESCRIPTION: &str = "docs/openapi.json";
/// How deep types are looked into.
const MOST_DEPTH: usize = 12;
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The revision to compare with
    #[arg(long)]
    against: String,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let old = git(&["show", &format!("{}:{DESCRIPTION}", options.against)])
        .with_context(|| format!("failed to read {DESCRIPTION} of {}", options.against))?;
    compare(&old, &options.against)
}

/// The stage: compares with where this branch left the main one, or with the commit before.
pub(crate) fn check() -> Result<Outcome> {
    let head = git(&["rev-parse", "HEAD"]).unwrap_or_default();
    let branched = ["origin/HEAD", "origin/main", "main"]
        .into_iter()
        .find_map(|main| git(&["merge-base", "HEAD", main]).ok());
    let base = match branched {
        Some(base) if base != head => base,
        Some(_) | None => "HEAD~1".to_owned(),
    };
    match git(&["show", &format!("{}:{DESCRIPTION}", base.trim())]) {
        Ok(old) => compare(&old, base.trim()).map(|()| Outcome::Passed),
        Err(_) => Ok(Outcome::LeftOut("there is no earlier commit to compare with")),
    }
}

fn compare(old: &str, base: &str) -> Result<()> {
    let read = |name: &str| {
        std::fs::read_to_string(repository().join(name)).with_context(|| format!("failed to read {name}"))
    };
    let (old, new) = (serde_json::from_str(old)?, serde_json::from_str(&read(DESCRIPTION)?)?);
    let changelog = read("CHANGELOG.md")?;
    let broken = breaking(&old, &new);
    println!("{} breaking change(s) of the API since {base}", broken.len());
    for (operation, change) in &broken {
        println!("{operation}: {change}");
    }
    let told =
        |operation: &str| changelog.lines().any(|line| line.contains("Breaking") && line.contains(operation));
    let untold: BTreeSet<&str> =
        broken.iter().map(|(operation, _)| operation.as_str()).filter(|operation| !told(operation)).collect();
    ensure!(
        untold.is_empty(),
        "CHANGELOG.md does not tell of these\nhint: undo them, or add a line with `Breaking` that names {}",
        untold.into_iter().collect::<Vec<_>>().join(", ")
    );
    Ok(())
}

fn git(arguments: &[&str]) -> Result<String> {
    let told = command("git", arguments).output()?;
    ensure!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr).trim());
    Ok(String::from_utf8(told.stdout)?)
}

/// What breaks callers: operation and change.
fn breaking(old: &Value, new: &Value) -> Vec<(String, String)> {
    let mut broken = Vec::new();
    for (path, methods) in fields(&old["paths"]) {
        for method in METHODS.into_iter().filter(|method| methods.get(*method).is_some()) {
            let label = format!("{} {path}", method.to_uppercase());
            let now = &new["paths"][path.as_str()][method];
            if now.is_null() {
                broken.push((label, "is gone".to_owned()));
                continue;
            }
            let mut found = Vec::new();
            let comparison = Comparison { old, new };
            comparison.operation(&methods[method], now, &mut found);
            broken.extend(found.into_iter().map(|change| (label.clone(), change)));
        }
    }
    broken
}

struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
}

/// Whether a type is sent by callers or read by them.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Sent,
    Read,
}

impl Comparison<'_> {
    fn operation(&self, before: &Value, now: &Value, found: &mut Vec<String>) {
        // What only said "2XX" said nothing of bodies either.
        if before["responses"].get("2XX").is_some() {
            return;
        }
        let named = |operation: &Value, place: &str| -> Map<String, Value> {
            let all = operation["parameters"].as_array().into_iter().flatten();
            let here = all.filter(|parameter| parameter["in"] == place);
            here.map(|parameter| {
                (parameter["name"].as_str().unwrap_or_default().to_owned(), parameter.clone())
            })
            .collect()
        };
        for place in ["query", "header"] {
            let (before, now) = (named(before, place), named(now, place));
            found.extend(
                before
                    .keys()
                    .filter(|name| !now.contains_key(*name))
                    .map(|name| format!("parameter {name} is gone")),
            );
            let needed = now.iter().filter(|(name, parameter)| {
                parameter["required"] == true
                    && before.get(*name).is_none_or(|before| before["required"] != true)
            });
            found.extend(needed.map(|(name, _)| format!("parameter {name} is needed now")));
        }
        let body =
            |operation: &Value| operation["requestBody"]["content"]["application/json"]["schema"].clone();
        if before["requestBody"].is_null() && now["requestBody"]["required"] == true {
            found.push("a body is needed now".to_owned());
        }
        self.types(&body(before), &body(now), Way::Sent, "the body", 0, found);
        for (status, answer) in fields(&before["responses"]) {
            // What is refused may change; what is answered is read. `2XX` says nothing.
            if !status.starts_with('2') || status.parse::<u16>().is_err() {
                continue;
            }
            let answer_now = &now["responses"][status.as_str()];
            if answer_now.is_null() {
                found.push(format!("status {status} is answered no more"));
                continue;
            }
            let content = |answer: &Value| answer["content"]["application/json"]["schema"].clone();
            self.types(
                &content(answer),
                &content(answer_now),
                Way::Read,
                &format!("the answer {status}"),
                0,
                found,
            );
        }
    }

    fn types(
        &self,
        before: &Value,
        now: &Value,
        way: Way,
        place: &str,
        depth: usize,
        found: &mut Vec<String>,
    ) {
        let (before, now) = (resolve(self.old, before), resolve(self.new, now));
        if depth > MOST_DEPTH || before.is_null() || now.is_null() || before == now {
            return;
        }
        let (kinds_before, kinds_now) = (words(&before["type"]), words(&now["type"]));
        let other: Vec<&String> = match way {
            Way::Sent => kinds_before.difference(&kinds_now).collect(),
            Way::Read => kinds_now.difference(&kinds_before).collect(),
        };
        if !other.is_empty() && !kinds_before.is_empty() && !kinds_now.is_empty() {
            let (verb, end) = if way == Way::Sent { ("may not be", " any more") } else { ("may be", "") };
            found.push(format!("{place} {verb} {other:?}{end}"));
        }
        let (needed_before, needed_now) = (words(&before["required"]), words(&now["required"]));
        for (field, kind) in fields(&before["properties"]) {
            let below = format!("{place}, {field}");
            match now["properties"].get(field) {
                Some(kind_now) => self.types(kind, kind_now, way, &below, depth + 1, found),
                None if way == Way::Read || now["additionalProperties"] == false => {
                    found.push(format!("{below} is gone"));
                }
                None => {}
            }
        }
        match way {
            Way::Sent => {
                found.extend(
                    needed_now
                        .difference(&needed_before)
                        .map(|field| format!("{place}, {field} is needed now")),
                );
            }
            Way::Read => {
                let still_there = needed_before
                    .difference(&needed_now)
                    .filter(|field| now["properties"].get(field.as_str()).is_some());
                found.extend(still_there.map(|field| format!("{place}, {field} may be missing")));
            }
        }
        let (choices_before, choices_now) = (words(&before["enum"]), words(&now["enum"]));
        if way == Way::Sent && !choices_now.is_empty() {
            found.extend(
                choices_before
                    .difference(&choices_now)
                    .map(|word| format!("{place} may not be {word} any more")),
            );
        }
        self.types(&before["items"], &now["items"], way, &format!("{place}, each"), depth + 1, found);
    }
}

/// Follows a reference.
fn resolve(document: &Value, schema: &Value) -> Value {
    let target = schema["$ref"].as_str().and_then(|target| document.pointer(target.strip_prefix('#')?));
    target.unwrap_or(schema).clone()
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// A word, or a list of them.
fn words(value: &Value) -> BTreeSet<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match value {
        Value::Array(items) => items.iter().filter_map(text).collect(),
        other => text(other).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::breaking;

    fn description(body: &Value, answer: &Value) -> Value {
        let body = json!({ "content": { "application/json": { "schema": body } } });
        let answers = json!({ "200": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/A" } } } } });
        json!({
            "paths": { "/a": { "post": { "requestBody": body, "responses": answers, "parameters": [{ "name": "q", "in": "query" }] } } },
            "components": { "schemas": { "A": answer } },
        })
    }

    fn base() -> Value {
        let text = json!({ "type": "string" });
        let body = json!({ "additionalProperties": false, "properties": { "x": text, "y": { "type": ["string", "null"] } }, "required": ["x"] });
        let answer = json!({ "properties": { "id": text, "n": { "type": "integer" } }, "required": ["id"] });
        description(&body, &answer)
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Value), expected: &[&str]) {
        let mut new = base();
        change(&mut new);
        let found: Vec<String> = breaking(&base(), &new)
            .into_iter()
            .map(|(operation, change)| format!("{operation}: {change}"))
            .collect();
        assert_eq!(found, expected);
    }

    const OPERATION: &str = "/paths/~1a/post";
    const BODY: &str = "/paths/~1a/post/requestBody/content/application~1json/schema";
    const ANSWER: &str = "/components/schemas/A";

    fn at<'a>(document: &'a mut Value, place: &str) -> &'a mut Value {
        document.pointer_mut(place).expect("a place")
    }

    #[test]
    fn what_is_only_added_breaks_nobody() {
        check(|_| {}, &[]);
        check(|new| at(new, BODY)["properties"]["z"] = json!({ "type": "string" }), &[]);
        check(|new| at(new, ANSWER)["properties"]["z"] = json!({ "type": "string" }), &[]);
        check(|new| at(new, ANSWER)["required"] = json!(["id", "n"]), &[]);
        check(|new| new["paths"]["/b"] = json!({ "get": {} }), &[]);
        check(|new| at(new, BODY)["properties"]["x"] = json!({ "type": ["string", "null"] }), &[]);
    }

    #[test]
    fn what_is_gone_is_found() {
        check(|new| new["paths"] = json!({}), &["POST /a: is gone"]);
        check(
            |new| at(new, OPERATION)["responses"] = json!({ "201": {} }),
            &["POST /a: status 200 is answered no more"],
        );
        check(|new| at(new, OPERATION)["parameters"] = json!([]), &["POST /a: parameter q is gone"]);
        check(
            |new| at(new, BODY)["properties"] = json!({ "x": { "type": "string" } }),
            &["POST /a: the body, y is gone"],
        );
        check(
            |new| at(new, ANSWER)["properties"] = json!({ "id": { "type": "string" } }),
            &["POST /a: the answer 200, n is gone"],
        );
    }

    #[test]
    fn what_is_asked_or_answered_otherwise_is_found() {
        check(|new| at(new, BODY)["required"] = json!(["x", "y"]), &["POST /a: the body, y is needed now"]);
        check(
            |new| at(new, BODY)["properties"]["y"] = json!({ "type": "string" }),
            &["POST /a: the body, y may not be [\"null\"] any more"],
        );
        check(
            |new| at(new, ANSWER)["properties"]["id"] = json!({ "type": ["string", "null"] }),
            &["POST /a: the answer 200, id may be [\"null\"]"],
        );
        check(|new| at(new, ANSWER)["required"] = json!([]), &["POST /a: the answer 200, id may be missing"]);
        let needed = json!([{ "name": "q", "in": "query", "required": true }]);
        check(|new| at(new, OPERATION)["parameters"] = needed, &["POST /a: parameter q is needed now"]);
    }
}
