//! `jobforge alert`: what fires, the rules, silences, and trying a channel.

use std::time::Duration;

use jobforge::core::alert::history::Labels;
use jobforge::core::alert::kept::{MOST_ALERTS, SilenceRow};
use jobforge::core::state::Status;
use jobforge::core::time::{Now, parse_duration, since, words};
use jobforge::{AlertError, Client, Error};
use jobforge_api::alerts::{AlertView, alert_view, bench_view, rule_views, silence_view};
use serde_json::json;
use uuid::Uuid;

use super::Context;
use crate::cli::AlertCommand;
use crate::failure::{self, Failure};
use crate::output;

/// How long a test is waited for.
const TRIED_WITHIN: Duration = Duration::from_secs(60);

impl From<AlertError> for Failure {
    fn from(error: AlertError) -> Self {
        match &error {
            AlertError::Store(store) => Self::from_store(store),
            AlertError::Invalid(text) => Self::usage(text.clone()),
            AlertError::NoSilence(_) => Self::new(failure::NOT_FOUND, error.to_string()),
        }
    }
}

pub(crate) async fn run(context: Context, command: AlertCommand) -> Result<(), Failure> {
    match command {
        AlertCommand::List { resolved } => list(&context, resolved).await,
        AlertCommand::Rules => rules(&context),
        AlertCommand::Test { channel } => test(&context, &channel).await,
        AlertCommand::Silence { rule, labels, lasts } => silence(&context, &rule, &labels, &lasts).await,
        AlertCommand::Unsilence { id } => unsilence(&context, id).await,
    }
}

async fn list(context: &Context, resolved: bool) -> Result<(), Failure> {
    let client = context.visit().await?;
    let store = client.store();
    let rows = store.alerts(resolved, MOST_ALERTS).await?;
    let silences = store.silences(Now::Database).await?;
    let bench = store.alert_bench().await?;
    let now = store.now().await?;
    let views: Vec<AlertView> = rows.iter().map(|row| alert_view(row, &silences, now)).collect();
    if context.json {
        let silences: Vec<_> = silences.iter().map(silence_view).collect();
        return output::json(
            &json!({ "alerts": views, "silences": silences, "judged": bench_view(&bench), "as_of": now }),
        );
    }
    let ago = |at| format!("{} ago", words(since(now, at)));
    if views.is_empty() {
        let what = if resolved { "nothing fired in the last 7 days" } else { "nothing fires" };
        output::note(what);
    } else {
        let row = |view: &AlertView| {
            vec![
                view.state.to_owned(),
                view.severity.to_owned(),
                view.rule.clone(),
                ago(view.fired_at.unwrap_or(view.since)),
                view.resolved_at.map_or_else(String::new, ago),
                output::printable(&view.summary),
            ]
        };
        let header = ["state", "severity", "alert", "since", "over", "what"];
        output::table(&header, &[], views.iter().map(row).collect());
    }
    if !silences.is_empty() && !resolved {
        let row = |row: &SilenceRow| {
            vec![
                row.id.to_string(),
                row.silence.rule.clone(),
                output::printable(&pairs(&row.silence.labels)),
                words(since(row.silence.until, now)),
                format!("{} by {}", ago(row.created_at), row.created_by),
                output::printable(row.reason.as_deref().unwrap_or_default()),
            ]
        };
        output::say("");
        let header = ["silence", "rule", "labels", "ends in", "begun", "why"];
        output::table(&header, &[], silences.iter().map(row).collect());
    }
    if bench.begins(now) {
        output::note("the first judge listens for a minute before it judges");
    } else if bench.is_silent(now) {
        output::complain("no server judges alerts: none runs, or JOBFORGE_ALERTS is false");
    }
    Ok(())
}

fn rules(context: &Context) -> Result<(), Failure> {
    let views = rule_views();
    if context.json {
        return output::json(&json!({ "rules": views }));
    }
    let row = |view: &jobforge_api::alerts::RuleView| {
        let hold = Duration::from_millis(view.for_ms);
        vec![
            view.rule.to_owned(),
            view.severity.to_owned(),
            if hold.is_zero() { "at once".to_owned() } else { words(hold) },
            view.description.to_owned(),
        ]
    };
    output::table(&["rule", "severity", "fires after", "meaning"], &[], views.iter().map(row).collect());
    Ok(())
}

async fn test(context: &Context, channel: &str) -> Result<(), Failure> {
    let client = context.visit().await?;
    let id = client.test_channel(channel).await?;
    let job = match client.wait(id, TRIED_WITHIN).await {
        Ok(job) => job,
        Err(Error::NotEnded { status: Status::Queued, .. }) => {
            client.cancel(id).await?;
            return Err(Failure::new(
                failure::FAILED,
                format!("no server took the message within {} s", TRIED_WITHIN.as_secs()),
            )
            .hint(
                "a server that runs and has a channel sends it; docs/alerting.md says how to configure one",
            ));
        }
        Err(error) => return Err(error.into()),
    };
    if context.json {
        output::json(&json!({ "channel": channel, "job_id": id, "status": job.status }))?;
    }
    if job.status == Status::Succeeded {
        if !context.json {
            output::note(&format!("{channel} took the message"));
        }
        return Ok(());
    }
    let why = job.error.map_or_else(String::new, |error| format!(": {}", error.message));
    Err(Failure::new(failure::FAILED, format!("{channel} was not told{why}")))
}

async fn silence(context: &Context, rule: &str, labels: &[String], lasts: &str) -> Result<(), Failure> {
    let lasts = parse_duration(lasts).map_err(|fault| Failure::usage(format!("--for: {fault}")))?;
    let mut wanted = Labels::new();
    for pair in labels {
        let bad = || Failure::usage(format!("--label {pair:?} must be NAME=VALUE, as in queue=mail"));
        let (name, value) = pair.split_once('=').ok_or_else(bad)?;
        wanted.insert(name.trim().to_owned(), value.to_owned());
    }
    let client: Client = context.visit().await?;
    let row = client.silence(rule, &wanted, lasts).await?;
    if context.json {
        return output::json(&silence_view(&row));
    }
    output::say(&row.id.to_string());
    output::note(&format!("nobody is told of {rule} until {:.0}", row.silence.until));
    Ok(())
}

async fn unsilence(context: &Context, id: Uuid) -> Result<(), Failure> {
    context.visit().await?.unsilence(id).await?;
    if context.json {
        return output::json(&json!({ "id": id, "ended": true }));
    }
    output::note(&format!("the silence {id} is over"));
    Ok(())
}

fn pairs(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(", ")
}
