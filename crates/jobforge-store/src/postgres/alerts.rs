//! Alerts: what processes told, what holds, who was told, what is silenced.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jobforge_core::alert::history::Labels;
use jobforge_core::alert::kept::{
    AlertRow, Bench, LONGEST_TURN, MOST_ALERTS, RESOLVED_FOR, SAMPLES_FOR, SAMPLES_STEP, SampleRow,
    SilenceRow,
};
use jobforge_core::alert::route::{Silence, Told};
use jobforge_core::alert::rules::Severity;
use jobforge_core::alert::state::Active;
use jobforge_core::audit::By;
use jobforge_core::time::Now;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::rows::{Json, millis};
use super::session::{Sql, sql};
use crate::error::Result;
use crate::rows::{MAX_PAGE, labels_text, number};
use crate::traits::{Alerts, Samples};

static SAMPLE_PUT: Sql = sql!("alert_sample_put", TEXT, TEXT);
static SAMPLES: Sql = sql!("alert_samples", TIMESTAMPTZ, TEXT, INT8);
static SAMPLES_FORGET: Sql = sql!("alert_samples_forget", INT8, INT8);
static TURN: Sql = sql!("alert_turn", TEXT, INT8, INT8);
static BENCH: Sql = sql!("alert_bench");
static ALERTS: Sql = sql!(each_time "alerts", BOOL, INT8);
static KEEP: Sql = sql!(
    "alerts_keep",
    TEXT,
    TEXT_ARRAY,
    TEXT_ARRAY,
    TEXT_ARRAY,
    TIMESTAMPTZ_ARRAY,
    TIMESTAMPTZ_ARRAY,
    FLOAT8_ARRAY,
    TEXT_ARRAY,
    INT8
);
static TOLD: Sql = sql!("alerts_told", INT8);
static TELL: Sql =
    sql!("alerts_tell", TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TIMESTAMPTZ_ARRAY, TIMESTAMPTZ_ARRAY);
static UNTELL: Sql = sql!("alerts_untell", TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TIMESTAMPTZ_ARRAY);
static SILENCES: Sql = sql!("silences", INT8);
static SILENCE_PUT: Sql = sql!("silence_put", UUID, TEXT, TEXT, INT8, JSONB, INT8);
static SILENCE_END: Sql = sql!("silence_end", UUID, JSONB);

#[async_trait]
impl Samples for PostgresStore {
    async fn put_sample(&self, process: &str, series: &str, at: Now) -> Result<()> {
        self.query(at, &SAMPLE_PUT, &[&process, &series]).await?;
        Ok(())
    }
}

#[async_trait]
impl Alerts for PostgresStore {
    async fn samples(&self, after: (Timestamp, &str)) -> Result<Vec<SampleRow>> {
        let rows = self.query(Now::Database, &SAMPLES, &[&after.0, &after.1, &limit(SAMPLES_STEP)]).await?;
        self.read_alerts("samples", &rows, |row| {
            Ok(SampleRow { process: row.try_get(0)?, at: row.try_get(1)?, series: row.try_get(2)? })
        })
    }

    async fn forget_samples(&self, at: Now) -> Result<u64> {
        let rows = self.query(at, &SAMPLES_FORGET, &[&millis(SAMPLES_FOR), &limit(SAMPLES_STEP)]).await?;
        Ok(rows.first().map_or(0, |row| row.get::<_, i64>(0)).unsigned_abs())
    }

    async fn take_alert_turn(&self, judge: &str, turn: Duration, at: Now) -> Result<bool> {
        Ok(!self.query(at, &TURN, &[&judge, &millis(turn), &millis(LONGEST_TURN)]).await?.is_empty())
    }

    async fn alert_bench(&self) -> Result<Bench> {
        let rows = self.query(Now::Database, &BENCH, &[]).await?;
        let read = self.read_alerts("alert_bench", &rows, |row| {
            let (fleet, judge, judged_at) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            Ok(Bench { fleet, judge, judged_at, turn_until: row.try_get(3)? })
        })?;
        let nobody = Bench { fleet: String::new(), judge: None, judged_at: None, turn_until: None };
        Ok(read.into_iter().next().unwrap_or(nobody))
    }

    async fn alerts(&self, resolved: bool, most: usize) -> Result<Vec<AlertRow>> {
        let most = limit(most.min(MOST_ALERTS));
        let rows = self.query(Now::Database, &ALERTS, &[&resolved, &most]).await?;
        self.read_alerts("alerts", &rows, alert)
    }

    async fn keep_alerts(&self, judge: &str, active: &[Active], at: Now) -> Result<bool> {
        let rules: Vec<&str> = active.iter().map(|alert| alert.rule.as_str()).collect();
        let labels: Vec<String> = active.iter().map(|alert| labels_text(&alert.labels)).collect();
        let severities: Vec<&str> = active.iter().map(|alert| alert.severity.word()).collect();
        let since: Vec<Timestamp> = active.iter().map(|alert| alert.since).collect();
        let fired: Vec<Option<Timestamp>> = active.iter().map(|alert| alert.fired_at).collect();
        let values: Vec<f64> = active.iter().map(|alert| number(alert.value)).collect();
        let summaries: Vec<&str> = active.iter().map(|alert| alert.summary.as_str()).collect();
        let keep = millis(RESOLVED_FOR);
        let rows = self
            .query(
                at,
                &KEEP,
                &[&judge, &rules, &labels, &severities, &since, &fired, &values, &summaries, &keep],
            )
            .await?;
        Ok(!rows.is_empty())
    }

    async fn told(&self) -> Result<Vec<Told>> {
        let rows = self.query(Now::Database, &TOLD, &[&limit(MOST_ALERTS)]).await?;
        self.read_alerts("told", &rows, |row| {
            Ok(Told {
                channel: row.try_get(0)?,
                rule: row.try_get(1)?,
                labels: labels(row.try_get(2)?),
                fired_at: row.try_get(3)?,
                at: row.try_get(4)?,
            })
        })
    }

    async fn tell(&self, told: &[Told]) -> Result<()> {
        let (channels, rules, labels, fired) = columns(told);
        let at: Vec<Timestamp> = told.iter().map(|told| told.at).collect();
        self.query(Now::Database, &TELL, &[&channels, &rules, &labels, &fired, &at]).await?;
        Ok(())
    }

    async fn untell(&self, told: &[Told]) -> Result<()> {
        let (channels, rules, labels, fired) = columns(told);
        self.query(Now::Database, &UNTELL, &[&channels, &rules, &labels, &fired]).await?;
        Ok(())
    }

    async fn silences(&self, at: Now) -> Result<Vec<SilenceRow>> {
        let rows = self.query(at, &SILENCES, &[&limit(MAX_PAGE)]).await?;
        self.read_alerts("silences", &rows, silence)
    }

    async fn put_silence(
        &self,
        id: Uuid,
        rule: &str,
        labels: &Labels,
        lasts: Duration,
        by: &By,
        at: Now,
    ) -> Result<Option<SilenceRow>> {
        let (labels, by, kept) = (labels_text(labels), Json::of(by), millis(RESOLVED_FOR));
        let rows = self.query(at, &SILENCE_PUT, &[&id, &rule, &labels, &millis(lasts), &by, &kept]).await?;
        Ok(self.read_alerts("put_silence", &rows, silence)?.pop())
    }

    async fn end_silence(&self, id: Uuid, by: &By, at: Now) -> Result<bool> {
        Ok(!self.query(at, &SILENCE_END, &[&id, &Json::of(by)]).await?.is_empty())
    }
}

impl PostgresStore {
    fn read_alerts<T>(
        &self,
        call: &'static str,
        rows: &[Row],
        read: impl Fn(&Row) -> std::result::Result<T, tokio_postgres::Error>,
    ) -> Result<Vec<T>> {
        rows.iter().map(read).collect::<std::result::Result<_, _>>().map_err(|error| self.fault(call, error))
    }
}

type Columns<'a> = (Vec<&'a str>, Vec<&'a str>, Vec<String>, Vec<Timestamp>);

fn columns(told: &[Told]) -> Columns<'_> {
    (
        told.iter().map(|told| told.channel.as_str()).collect(),
        told.iter().map(|told| told.rule.as_str()).collect(),
        told.iter().map(|told| labels_text(&told.labels)).collect(),
        told.iter().map(|told| told.fired_at).collect(),
    )
}

fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

fn labels(text: &str) -> Labels {
    serde_json::from_str(text).unwrap_or_default()
}

fn alert(row: &Row) -> std::result::Result<AlertRow, tokio_postgres::Error> {
    Ok(AlertRow {
        alert: Active {
            rule: row.try_get(0)?,
            labels: labels(row.try_get(1)?),
            severity: Severity::from_word(row.try_get(2)?).unwrap_or(Severity::Critical),
            since: row.try_get(3)?,
            fired_at: row.try_get(4)?,
            value: row.try_get(6)?,
            summary: row.try_get(7)?,
        },
        resolved_at: row.try_get(5)?,
    })
}

fn silence(row: &Row) -> std::result::Result<SilenceRow, tokio_postgres::Error> {
    Ok(SilenceRow {
        id: row.try_get(0)?,
        silence: Silence { rule: row.try_get(1)?, labels: labels(row.try_get(2)?), until: row.try_get(3)? },
        created_at: row.try_get(4)?,
        created_by: row.try_get(5)?,
        reason: row.try_get(6)?,
    })
}

#[cfg(test)]
pub(super) fn statements() -> Vec<&'static Sql> {
    vec![
        &SAMPLE_PUT,
        &SAMPLES,
        &SAMPLES_FORGET,
        &TURN,
        &BENCH,
        &ALERTS,
        &KEEP,
        &TOLD,
        &TELL,
        &UNTELL,
        &SILENCES,
        &SILENCE_PUT,
        &SILENCE_END,
    ]
}
