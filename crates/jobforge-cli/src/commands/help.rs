//! What the program says about itself.

use std::path::Path;

use clap::CommandFactory;
use jobforge::core::settings::{Kind, Unit};

use super::Context;
use crate::cli::Cli;
use crate::failure::{self, Failure};
use crate::output;

/// Writes one manual page per command.
pub(crate) fn man(directory: &Path) -> Result<(), Failure> {
    let fail = |error: std::io::Error| {
        Failure::new(
            failure::FAILED,
            format!("cannot write manual pages to {}: {error}", directory.display()),
        )
    };
    std::fs::create_dir_all(directory).map_err(fail)?;
    clap_mangen::generate_to(Cli::command(), directory).map_err(fail)?;
    output::note(&format!("manual pages are in {0}; read one with: man {0}/jobforge.1", directory.display()));
    Ok(())
}

pub(crate) fn version(json: bool) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if json {
        return output::json(&serde_json::json!({ "name": "jobforge", "version": version }));
    }
    output::say(&format!("jobforge {version}"));
    Ok(())
}

/// Every setting with its names, value, source and meaning.
pub(crate) fn settings(context: &Context) -> Result<(), Failure> {
    if context.json {
        let all: Vec<_> = context
            .settings
            .iter()
            .map(|resolved| {
                let env: Vec<&str> = resolved.setting.env.iter().map(|name| name.name).collect();
                serde_json::json!({
                    "key": resolved.setting.key, "env": env, "value": resolved.shown(), "default": resolved.setting.default,
                    "source": resolved.source.to_string(), "doc": resolved.setting.doc,
                })
            })
            .collect();
        return output::json(&all);
    }
    for resolved in context.settings.iter() {
        let setting = resolved.setting;
        let shown = if resolved.value.is_empty() { "unset" } else { resolved.shown() };
        output::say(&format!(
            "{} = {} {}",
            output::bold(setting.key),
            shown,
            output::dim(&format!("({})", resolved.source))
        ));
        output::say(&format!("    {}", setting.doc));
        let names: Vec<String> = setting
            .env
            .iter()
            .map(|name| format!("{}{}", name.name, unit(name.unit, setting.kind)))
            .collect();
        output::say(&output::dim(&format!("    environment: {}{}", names.join(", "), range(setting.kind))));
    }
    Ok(())
}

fn unit(unit: Unit, kind: Kind) -> &'static str {
    match (unit, kind) {
        (Unit::Seconds, _) => " (seconds)",
        (Unit::Minutes, _) => " (minutes)",
        (Unit::Milliseconds, _) | (Unit::Plain, Kind::Millis { .. }) => " (milliseconds)",
        (Unit::Plain, _) => "",
    }
}

fn range(kind: Kind) -> String {
    match kind {
        Kind::Millis { min, max } | Kind::Integer { min, max } => format!("; {min} to {max}"),
        Kind::Decimal { min, max } => format!("; {min} to {max}"),
        Kind::Flag => "; true or false".to_owned(),
        Kind::Word(words) => format!("; {}", words.join(", ")),
        Kind::Words(words) => format!("; name=word, the words {}", words.join(", ")),
        Kind::MillisByName { min, max } => format!("; name=number, the numbers {min} to {max}"),
        Kind::Text | Kind::List | Kind::Secret => String::new(),
    }
}

const EXIT_CODES: [(u8, &str); 16] = [
    (0, "done"),
    (failure::FAILED, "failed"),
    (failure::USAGE, "wrong usage, or a confirmation is missing"),
    (failure::NOT_FOUND, "no such job"),
    (failure::CONFLICT, "the job's state does not allow it, or the idempotency key is taken"),
    (failure::NOT_PERMITTED, "the database refused the login"),
    (failure::UNREACHABLE, "the database cannot be reached"),
    (failure::TIMED_OUT, "timed out waiting"),
    (failure::JOB_FAILED, "the awaited job failed"),
    (failure::JOB_DEAD, "the awaited job is dead or canceled"),
    (failure::FOUND_WARNINGS, "`jobforge doctor` found warnings only"),
    (failure::FOUND, "a check found something"),
    (
        failure::SELF_FENCED,
        "a worker lost its lease and could not stop its jobs; its supervisor starts another",
    ),
    (failure::CONFIG, "the configuration or the database cannot be used"),
    (failure::RESTARTED, "a worker was told to restart; its supervisor starts another"),
    (failure::INTERRUPTED, "interrupted"),
];

pub(crate) fn exit_codes(json: bool) -> Result<(), Failure> {
    if json {
        let codes: Vec<_> = EXIT_CODES
            .iter()
            .map(|(code, meaning)| serde_json::json!({ "code": code, "meaning": meaning }))
            .collect();
        return output::json(&codes);
    }
    output::table(
        &["code", "meaning"],
        &[0],
        EXIT_CODES.iter().map(|(code, meaning)| vec![code.to_string(), (*meaning).to_owned()]).collect(),
    );
    Ok(())
}
