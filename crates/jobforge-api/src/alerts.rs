//! Alerts as the API and the command line tell of them.

use jiff::Timestamp;
use jobforge_core::alert::history::Labels;
use jobforge_core::alert::kept::{AlertRow, Bench, SilenceRow};
use jobforge_core::alert::render::runbook_url;
use jobforge_core::alert::rules::groups;
use jobforge_core::job::JobId;
use jobforge_core::whole;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An alert.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AlertView {
    /// The rule.
    pub rule: String,
    /// `pending`, `firing`, `silenced` or `resolved`.
    pub state: &'static str,
    /// How much it matters.
    pub severity: &'static str,
    /// The series.
    pub labels: Labels,
    /// One sentence with numbers.
    pub summary: String,
    /// What the rule came to last; null if that is no number.
    pub value: Option<f64>,
    /// Since when it holds.
    pub since: Timestamp,
    /// When it began to fire.
    pub fired_at: Option<Timestamp>,
    /// When it ceased to.
    pub resolved_at: Option<Timestamp>,
    /// Where it is explained.
    pub runbook_url: String,
}

/// An alert, and whether a silence covers it.
pub fn alert_view(row: &AlertRow, silences: &[SilenceRow], now: Timestamp) -> AlertView {
    let alert = &row.alert;
    let silenced = silences.iter().any(|one| one.silence.covers(alert, now));
    let state = match (row.resolved_at, alert.fired_at, silenced) {
        (Some(_), _, _) => "resolved",
        (None, None, _) => "pending",
        (None, Some(_), true) => "silenced",
        (None, Some(_), false) => "firing",
    };
    AlertView {
        rule: alert.rule.clone(),
        state,
        severity: alert.severity.word(),
        labels: alert.labels.clone(),
        summary: alert.summary.clone(),
        value: Some(alert.value).filter(|value| value.is_finite()),
        since: alert.since,
        fired_at: alert.fired_at,
        resolved_at: row.resolved_at,
        runbook_url: runbook_url(&alert.rule),
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RuleView {
    /// Its name.
    pub rule: &'static str,
    /// What it is about.
    pub group: &'static str,
    /// How much it matters.
    pub severity: &'static str,
    /// How long it must hold before it fires.
    pub for_ms: u64,
    /// The condition, in PromQL.
    pub condition: String,
    /// What it means, and what to do first.
    pub description: &'static str,
    /// Where it is explained.
    pub runbook_url: String,
}

/// Every rule.
pub fn rule_views() -> Vec<RuleView> {
    let mut views = Vec::new();
    for group in groups() {
        for rule in group.rules {
            views.push(RuleView {
                rule: rule.name,
                group: group.title,
                severity: rule.severity.word(),
                for_ms: crate::millis(rule.hold),
                condition: rule.expr.to_string(),
                description: rule.description,
                runbook_url: runbook_url(rule.name),
            });
        }
    }
    views
}

/// A silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SilenceView {
    /// Its identity.
    pub id: Uuid,
    /// The rule, or `*`.
    pub rule: String,
    /// Labels that must have these values.
    pub labels: Labels,
    /// When it ends.
    pub until: Timestamp,
    /// When it was begun.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// Why.
    pub reason: Option<String>,
}

/// A silence as it is told of.
pub fn silence_view(row: &SilenceRow) -> SilenceView {
    SilenceView {
        id: row.id,
        rule: row.silence.rule.clone(),
        labels: row.silence.labels.clone(),
        until: row.silence.until,
        created_at: row.created_at,
        created_by: row.created_by.clone(),
        reason: row.reason.clone(),
    }
}

/// Who judges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BenchView {
    /// The server whose turn it is, or was last.
    pub by: Option<String>,
    /// When it judged last.
    pub at: Option<Timestamp>,
}

/// Who judges, as it is told of.
pub fn bench_view(bench: &Bench) -> BenchView {
    BenchView { by: bench.judge.clone(), at: bench.judged_at }
}

/// What holds, or what is over.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AlertList {
    /// The last first.
    pub alerts: Vec<AlertView>,
    /// The time in the database.
    pub as_of: Timestamp,
    /// By whom they were judged.
    pub judged: BenchView,
}

/// Every rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RuleList {
    /// Group by group.
    pub rules: Vec<RuleView>,
}

/// What is silenced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SilenceList {
    /// The newest first.
    pub silences: Vec<SilenceView>,
}

/// A silence that was ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SilenceEnded {
    /// Its identity.
    pub id: Uuid,
    /// Always true.
    pub ended: bool,
}

/// A message that tries a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChannelTried {
    /// The channel.
    pub channel: String,
    /// The job that sends it, which says whether the channel took it.
    pub job_id: JobId,
}

/// A silence to be begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::silence))]
#[serde(deny_unknown_fields)]
pub struct SilenceRequest {
    /// The rule, or `*` for all.
    pub rule: String,
    /// Only where labels have these values.
    #[serde(default)]
    pub labels: Labels,
    /// For how long; a silence of everything lasts a day at most.
    #[serde(deserialize_with = "whole::number")]
    pub for_ms: u64,
    /// Why, for the audit log.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A channel to be tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::tried))]
#[serde(deny_unknown_fields)]
pub struct ChannelRequest {
    /// Its name.
    pub channel: String,
}
