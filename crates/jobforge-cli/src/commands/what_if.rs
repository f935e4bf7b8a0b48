//! `jobforge watchdog what-if`: what another heartbeat threshold would have done.

use std::time::Duration;

use jobforge::core::time::words;
use jobforge::core::what_if::{Caught, Hit, Recommended, SilentNow, WhatIf, Which};
use jobforge::what_if::{NoAnswer, ask};

use super::Context;
use crate::failure::Failure;
use crate::output;

/// Lines of a table; `--json` has them all.
const SHOWN: usize = 50;

pub(crate) async fn run(context: &Context, threshold_ms: Option<u64>, since: &str) -> Result<(), Failure> {
    let client = context.visit().await?;
    let settings = context.settings_now(&client).await?;
    let answer = ask(client.store().as_ref(), &settings, threshold_ms, Some(since)).await;
    let answer = answer.map_err(|error| match error {
        NoAnswer::Bad(_) | NoAnswer::Since(_) => Failure::usage(format!("--{}", dashed(&error.to_string()))),
        NoAnswer::Store(error) => error.into(),
    })?;
    if context.json {
        return output::json(&answer);
    }
    tell(&answer);
    Ok(())
}

/// The parameter at the beginning of a fault, as it is written here.
fn dashed(fault: &str) -> String {
    fault.replacen("heartbeat_threshold_ms", "heartbeat-threshold-ms", 1)
}

fn tell(answer: &WhatIf) {
    output::say(&output::bold(&answer.conclusion));
    if !answer.caught.is_empty() {
        output::say("");
        output::say("Taken for hung:");
        let header = ["job", "type", "attempt", "found after", "would be", "sooner by", ""];
        output::table(&header, &[2, 3, 4, 5], answer.caught.iter().take(SHOWN).map(caught).collect());
        more(answer.caught.len());
    }
    if !answer.hit.is_empty() {
        output::say("");
        output::say("Healthy, and would have been taken away:");
        let header = ["job", "type", "attempt", "silent for", "allowed", "until", "ended as"];
        output::table(&header, &[2, 3, 4], answer.hit.iter().take(SHOWN).map(hit).collect());
        more(answer.hit.len());
    }
    if !answer.silent_now.is_empty() {
        output::say("");
        output::say("Silent at the moment:");
        let header = ["job", "type", "attempt", "silent for", "allowed"];
        output::table(&header, &[2, 3, 4], answer.silent_now.iter().take(SHOWN).map(silent).collect());
        more(answer.silent_now.len());
    }
    output::say("");
    let Recommended { heartbeat_threshold_ms, why, command } = &answer.recommended;
    output::say(&format!(
        "Smallest threshold that would have hit nobody: {}; {why}.",
        ms(*heartbeat_threshold_ms)
    ));
    match command {
        Some(command) => output::note(&format!("set it with {}", output::command(command))),
        None => output::note("it goes already"),
    }
    for limit in &answer.limits {
        output::note(&output::dim(limit));
    }
}

fn more(lines: usize) {
    if lines > SHOWN {
        output::note(&output::dim(&format!("and {} more; --json has them all", lines - SHOWN)));
    }
}

fn ms(ms: u64) -> String {
    words(Duration::from_millis(ms))
}

fn which(of: &Which) -> [String; 3] {
    [of.job.to_string(), of.job_type.clone(), of.attempt.to_string()]
}

fn row(of: &Which, rest: impl IntoIterator<Item = String>) -> Vec<String> {
    which(of).into_iter().chain(rest).collect()
}

fn caught(line: &Caught) -> Vec<String> {
    let sooner = if line.sooner_ms < 0 {
        format!("-{}", ms(line.sooner_ms.unsigned_abs()))
    } else {
        ms(line.sooner_ms.unsigned_abs())
    };
    let back = if line.came_back { "reported back: it was healthy" } else { "" };
    row(&line.of, [ms(line.was_ms), ms(line.would_be_ms), sooner, back.to_owned()])
}

fn hit(line: &Hit) -> Vec<String> {
    let until = format!("{:.0}", line.silent_until);
    row(&line.of, [ms(line.silence_ms), ms(line.allowed_ms), until, line.outcome.clone()])
}

fn silent(line: &SilentNow) -> Vec<String> {
    row(&line.of, [ms(line.silence_ms), ms(line.allowed_ms)])
}
