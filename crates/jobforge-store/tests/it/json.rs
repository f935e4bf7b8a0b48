//! The strict reader of JSON against PostgreSQL's own: what jsonb refuses or alters is refused, and what is accepted comes
//! back with the same value from both engines.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use jobforge_core::enqueue::{JobRequest, validate};
use jobforge_core::payload::Payload;
use jobforge_core::time::Now;
use jobforge_store::Store;
use jobforge_store::postgres::Pooler;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::value::RawValue;
use testkit::Result;

/// Texts that are tried.
const TEXTS: usize = 3000;

/// Returns what jsonb makes of a text, or nothing if it refuses it.
const AS_JSONB: &str = "CREATE FUNCTION as_jsonb(given text) RETURNS text LANGUAGE plpgsql AS $$
    BEGIN RETURN given::jsonb::text; EXCEPTION WHEN others THEN RETURN NULL; END $$";

#[tokio::test]
async fn what_jsonb_refuses_or_alters_is_refused_and_what_is_accepted_keeps_its_value() -> Result<()> {
    let (postgres, database) = crate::postgres::with_database(Pooler::Off).await?;
    let sqlite = crate::sqlite::memory().await?;
    let (client, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    client.batch_execute(AS_JSONB).await?;
    let texts = texts();
    // U+0000 as such is in no text that PostgreSQL could even be asked about.
    let askable: Vec<&str> = texts.iter().map(String::as_str).filter(|text| !text.contains('\0')).collect();
    let rows = client
        .query(
            "SELECT t, as_jsonb(t) FROM unnest($1::text[]) WITH ORDINALITY u (t, n) ORDER BY n",
            &[&askable],
        )
        .await?;
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for row in &rows {
        let (text, kept): (String, Option<String>) = (row.get(0), row.get(1));
        let Ok(payload) = Payload::parse(&text) else {
            refused += 1;
            continue;
        };
        let kept = kept.with_context(|| format!("{text:?} is accepted, and jsonb refuses it"))?;
        ensure!(value(&text)? == value(&kept)?, "{text:?} is accepted, and jsonb makes {kept:?} of it");
        accepted.push(payload);
    }
    ensure!(
        accepted.len() > TEXTS / 5 && refused > TEXTS / 5,
        "{} accepted, {refused} refused",
        accepted.len()
    );
    for text in texts.iter().filter(|text| text.contains('\0')) {
        ensure!(Payload::parse(text).is_err(), "{text:?}");
    }
    for payloads in accepted.chunks(500) {
        both_keep(&*postgres, &*sqlite.store, payloads).await?;
    }
    drop(client);
    connection.await??;
    Ok(())
}

async fn both_keep(postgres: &dyn Store, sqlite: &dyn Store, payloads: &[Payload]) -> Result<()> {
    let job = |payload: &Payload| {
        let request =
            JobRequest { job_type: "t".to_owned(), payload: Some(payload.clone()), ..JobRequest::default() };
        Ok(validate(request, None)?)
    };
    let jobs = payloads.iter().map(job).collect::<Result<Vec<_>>>()?;
    postgres.enqueue(&jobs, Now::Database).await?;
    sqlite.enqueue(&jobs, Now::Database).await?;
    for (job, payload) in jobs.iter().zip(payloads) {
        let from_sqlite = sqlite.job(job.id).await?.context("the job")?.payload;
        ensure!(from_sqlite.as_str() == payload.as_str(), "SQLite gave back another text");
        let from_postgres = postgres.job(job.id).await?.context("the job")?.payload;
        ensure!(
            value(from_postgres.as_str())? == value(payload.as_str())?,
            "PostgreSQL made {:?} of {:?}",
            from_postgres.as_str(),
            payload.as_str()
        );
        ensure!(from_postgres.same_as(payload), "{:?} is not the same as itself", payload.as_str());
    }
    Ok(())
}

/// A text in a form that is the same for the same value and no other: keys in order, numbers as digits and a power of
/// ten. Minus nothing is nothing, as numbers go.
fn value(text: &str) -> Result<String> {
    let text = text.trim();
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
            let fields = fields.iter().map(|(key, raw)| Ok(format!("{key:?}:{}", value(raw.get())?)));
            format!("{{{}}}", fields.collect::<Result<Vec<_>>>()?.join(","))
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            let items = items.iter().map(|raw| value(raw.get()));
            format!("[{}]", items.collect::<Result<Vec<_>>>()?.join(","))
        }
        Some(b'"') => format!("{:?}", serde_json::from_str::<String>(text)?),
        Some(b'-' | b'0'..=b'9') => number(text)?,
        _ => text.to_owned(),
    })
}

fn number(text: &str) -> Result<String> {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |text| ("-", text));
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Ok("0".to_owned());
    }
    let trailing = digits.len() - digits.trim_end_matches('0').len();
    let power = power.parse::<i64>()? - i64::try_from(fraction.len())? + i64::try_from(trailing)?;
    Ok(format!("{sign}{significant}e{power}"))
}

/// Texts that are JSON, nearly JSON, or JSON that some parser reads in another way than the next.
fn texts() -> Vec<String> {
    let mut runner = TestRunner::default();
    let strategy = document();
    (0..TEXTS).map(|_| strategy.new_tree(&mut runner).expect("a text").current()).collect()
}

fn document() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,2})?",
        2 => "-?[1-9][0-9]{0,70}(\\.[0-9]{1,70})?([eE][+-]?0{0,3}[0-9]{1,6})?",
        1 => "[-+0-9.eE]{1,8}",
        4 => string(),
        2 => prop::sample::select(vec!["null", "true", "false", "[]", "{}", "-0", "-0.0", "0e0"]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["NaN", "Infinity", "tru", "nul", "'a'", "", "01", "+1", ".5", "1.", "0x1", "/**/1", "1 2", "\u{feff}1", "undefined"])
            .prop_map(str::to_owned),
    ];
    let nested = leaf.prop_recursive(5, 40, 5, |inner| {
        let key = prop_oneof![
            4 => prop::sample::select(vec!["\"a\"", "\"\\u0061\"", "\"b\"", "\"\"", "\"A\"", "\"é\"", "\"e\\u0301\""]).prop_map(str::to_owned),
            1 => string(),
        ];
        let separator = prop::sample::select(vec![",", " , ", ",\n\t", ",,"]);
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..5), separator.clone()).prop_map(|(items, between)| format!("[{}]", items.join(between))),
            (prop::collection::vec((key, inner), 0..5), separator).prop_map(|(fields, between)| {
                let fields: Vec<String> = fields.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{{}}}", fields.join(between))
            }),
        ]
    });
    let deep = (60_usize..70).prop_map(|depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth)));
    let cut = (nested.clone(), any::<prop::sample::Index>()).prop_map(|(text, at)| {
        let chars: Vec<char> = text.chars().collect();
        let at = if chars.is_empty() { 0 } else { at.index(chars.len()) };
        chars.into_iter().enumerate().filter(|(index, _)| *index != at).map(|(_, c)| c).collect()
    });
    prop_oneof![12 => nested, 1 => deep, 2 => cut]
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[a-z ]{0,4}",
        2 => any::<char>().prop_filter("ends the string", |c| !matches!(c, '"' | '\\')).prop_map(String::from),
        2 => prop::sample::select(vec!["\\n", "\\/", "\\\"", "\\\\", "\\u0041", "\\u00e9", "\\ud83d\\ude00", "\\uFFFF", "\\u001f", "\\u007F"]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["\\u0000", "\\ud800", "\\udc00\\ud800", "\\ud800\\u0041", "\\x41", "\\u12", "\t", "\u{0}", "\\uZZZZ"])
            .prop_map(str::to_owned),
        1 => "\\\\u[0-9a-fA-F]{4}",
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}
