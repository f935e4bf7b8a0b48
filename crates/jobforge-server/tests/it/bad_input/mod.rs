//! Bad input over HTTP: each request is refused with its status, code and place, and changes nothing.

mod lists;
mod misfits;
mod moves;
mod unreadable;

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use jobforge_api::Problem;

use crate::engines::{Engine, content, guarded_on, on_both_engines};
use crate::harness::{Answer, Site};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// One bad request.
struct Row {
    name: &'static str,
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
    /// One of the single faults, as `pointer code`; empty where the code says it all.
    fault: &'static str,
    /// Words of the message.
    says: &'static str,
}

impl Row {
    /// It has this single fault.
    fn at(self, fault: &'static str) -> Self {
        Self { fault, ..self }
    }

    /// Its message has these words.
    fn says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

fn send(
    name: &'static str,
    method: &'static str,
    path: impl Into<String>,
    body: impl Into<Vec<u8>>,
    status: u16,
    code: &'static str,
) -> Row {
    let body = body.into();
    let headers = if body.is_empty() { Vec::new() } else { vec![JSON] };
    Row { name, method, path: path.into(), headers, body, status, code, fault: "", says: "" }
}

fn post(name: &'static str, path: &str, body: impl Into<Vec<u8>>, status: u16, code: &'static str) -> Row {
    send(name, "POST", path, body, status, code)
}

/// A body for `POST /v1/jobs`.
fn job(name: &'static str, body: impl Into<Vec<u8>>, status: u16, code: &'static str) -> Row {
    Row { headers: vec![JSON], ..post(name, "/v1/jobs", body, status, code) }
}

/// A job with this beside its type.
fn with(name: &'static str, field: &str, code: &'static str) -> Row {
    job(name, format!(r#"{{"type":"a",{field}}}"#), 422, code)
}

fn get(name: &'static str, path: impl Into<String>, status: u16, code: &'static str) -> Row {
    send(name, "GET", path, "", status, code)
}

fn payload(name: &'static str, payload: &str, status: u16, code: &'static str) -> Row {
    job(name, format!(r#"{{"type":"a","payload":{payload}}}"#), status, code)
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts panics, wherever they happen; tests of one process share the count, and none of them may panic.
fn count_panics() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        told(panic);
    }));
}

fn fault(row: &Row, answer: &Answer) -> Result<()> {
    ensure!(answer.status == row.status, "{} instead of {}: {}", answer.status, row.status, answer.body);
    ensure!(answer.header("content-type") == "application/problem+json", "{answer:?}");
    ensure!(answer.header("x-request-id").len() == 36, "{answer:?}");
    let problem: Problem = serde_json::from_str(&answer.body)?;
    ensure!(problem.code == row.code, "{} instead of {}: {}", problem.code, row.code, answer.body);
    ensure!(
        row.fault.is_empty() || answer.faults().iter().any(|fault| fault == row.fault),
        "no {}: {}",
        row.fault,
        answer.body
    );
    ensure!(problem.detail.contains(row.says), "it does not say {:?}: {}", row.says, answer.body);
    ensure!(answer.body.len() < 4000, "it repeats {} bytes", answer.body.len());
    Ok(())
}

async fn check(site: &Site, rows: Vec<Row>) -> Result<()> {
    count_panics();
    let queued = site.job(r#"{"type":"a","run_at":"2090-01-01T00:00:00Z"}"#).await?;
    let before = content(site).await?;
    let mut faults = Vec::new();
    for row in rows {
        let text = |part: &[u8]| -> Vec<u8> {
            String::from_utf8(part.to_vec())
                .map_or_else(|_| part.to_vec(), |text| text.replace(":job", &queued).into_bytes())
        };
        let answer =
            site.send(row.method, &row.path.replace(":job", &queued), &row.headers, &text(&row.body)).await;
        let outcome = match answer {
            Ok(answer) => fault(&row, &answer),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            faults.push(format!("{}: {error:#}", row.name));
        } else if content(site).await? != before {
            anyhow::bail!("{}: something was changed", row.name);
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    ensure!(site.get("/readyz").await?.status == 200);
    ensure!(PANICS.load(Ordering::SeqCst) == 0, "something panicked");
    Ok(())
}

async fn what_cannot_be_read_is_refused_with_its_place(engine: Engine) -> Result<()> {
    let (mut site, _database) = guarded_on(engine).await?;
    site.token = Some("admin-key".to_owned());
    check(&site, unreadable::unreadable()).await
}

async fn what_is_no_job_is_refused_field_by_field(engine: Engine) -> Result<()> {
    let (mut site, _database) = guarded_on(engine).await?;
    site.token = Some("admin-key".to_owned());
    check(&site, misfits::misfits()).await
}

async fn senseless_moves_are_refused(engine: Engine) -> Result<()> {
    let (mut site, _database) = guarded_on(engine).await?;
    site.token = Some("admin-key".to_owned());
    check(&site, moves::moves()).await
}

async fn senseless_lists_and_settings_are_refused(engine: Engine) -> Result<()> {
    let (mut site, _database) = guarded_on(engine).await?;
    site.token = Some("admin-key".to_owned());
    check(&site, lists::lists_and_settings()).await
}

async fn hostile_text_is_stored_and_given_back_as_it_is(engine: Engine) -> Result<()> {
    let (mut site, _database) = guarded_on(engine).await?;
    site.token = Some("admin-key".to_owned());
    let texts = [
        "'; DROP TABLE jobforge_jobs; --",
        "$1 %s %_\\ {0} ${x} `id`",
        "<script>alert(1)</script>",
        "\u{1b}[31mred\u{202e}reversed\u{7}",
        "line\nERROR forged=1\r\nX-Injected: 1",
        "=cmd()|' /C calc'!A0",
        "\u{ffff}\u{fdd0}\u{10ffff}😀e\u{301}",
    ];
    for (number, text) in texts.into_iter().enumerate() {
        let payload = serde_json::json!({ "text": text, text: [text] });
        let body =
            serde_json::json!({ "type": "a", "payload": payload, "idempotency_key": format!("k{number}") });
        let id = site.job(&body.to_string()).await?;
        let answer = site.get(&format!("/v1/jobs/{id}")).await?;
        ensure!(answer.json()["payload"] == payload, "{answer:?}");
        ensure!(answer.header("x-injected").is_empty());
    }
    Ok(())
}

on_both_engines!(
    what_cannot_be_read_is_refused_with_its_place,
    what_is_no_job_is_refused_field_by_field,
    senseless_moves_are_refused,
    senseless_lists_and_settings_are_refused,
    hostile_text_is_stored_and_given_back_as_it_is,
);
