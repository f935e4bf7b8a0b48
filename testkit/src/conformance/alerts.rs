//! What processes told, who judges, what holds, who was told, and what is silenced.

use std::sync::Arc;

use anyhow::{Context, Result};
use jiff::Timestamp;
use jobforge_core::alert::history::Labels;
use jobforge_core::alert::kept::{AlertRow, SampleRow};
use jobforge_core::alert::route::Told;
use jobforge_core::alert::rules::Severity;
use jobforge_core::alert::state::Active;
use jobforge_core::audit::{AuditFilter, By};
use jobforge_store::Store;
use uuid::Uuid;

use crate::fixtures::{at, moment, s};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn active(rule: &str, queue: &str, since: i64, fired_at: Option<i64>) -> Active {
    Active {
        rule: rule.to_owned(),
        labels: labels(&[("queue", queue), ("a", "\"x\"\n\\")]),
        since: moment(since),
        fired_at: fired_at.map(moment),
        value: 4.5,
        severity: Severity::Critical,
        summary: format!("{queue} has no worker"),
    }
}

fn told(rule: &str, fired_at: i64, told_at: i64) -> Told {
    Told {
        channel: "slack".to_owned(),
        rule: rule.to_owned(),
        labels: labels(&[("queue", "mail")]),
        fired_at: moment(fired_at),
        at: moment(told_at),
    }
}

async fn all_samples(store: &Arc<dyn Store>) -> Result<Vec<SampleRow>> {
    store.samples((Timestamp::UNIX_EPOCH, "")).await.map_err(Into::into)
}

/// Samples come back oldest first, from a place on, also where two processes told at the same moment.
pub async fn samples_come_back_in_order_from_any_place_on(store: Arc<dyn Store>) -> Result<()> {
    store.put_sample("b", "x 1\n", at(30)).await?;
    store.put_sample("a", "x{l=\"v\"} 2\n", at(30)).await?;
    store.put_sample("a", "x 3\n", at(60)).await?;
    // The same process at the same moment has told already.
    store.put_sample("a", "x 4\n", at(60)).await?;
    let rows = all_samples(&store).await?;
    let told: Vec<(&str, &str)> =
        rows.iter().map(|row| (row.process.as_str(), row.series.as_str())).collect();
    assert_eq!(told, [("a", "x{l=\"v\"} 2\n"), ("b", "x 1\n"), ("a", "x 3\n")]);
    assert_eq!(rows[0].at, moment(30));
    let rest = store.samples((moment(30), "a")).await?;
    assert_eq!(rest, rows[1..]);
    Ok(())
}

/// An hour and a quarter is kept.
pub async fn old_samples_are_forgotten(store: Arc<dyn Store>) -> Result<()> {
    store.put_sample("a", "x 1\n", at(0)).await?;
    store.put_sample("a", "x 2\n", at(600)).await?;
    assert_eq!(store.forget_samples(at(75 * 60)).await?, 0);
    assert_eq!(store.forget_samples(at(75 * 60 + 1)).await?, 1);
    assert_eq!(all_samples(&store).await?.len(), 1);
    Ok(())
}

/// One judges; another does when the turn is over, also after the clock was set back.
pub async fn one_server_judges_at_a_time(store: Arc<dyn Store>) -> Result<()> {
    let fleet = store.alert_bench().await?.fleet;
    assert_eq!(fleet.len(), 12, "{fleet}");
    assert!(store.take_alert_turn("a", s(60), at(0)).await?);
    assert!(!store.take_alert_turn("b", s(60), at(59)).await?);
    assert!(store.take_alert_turn("a", s(60), at(59)).await?, "who has it may prolong it");
    assert!(!store.keep_alerts("b", &[], at(60)).await?);
    assert!(store.keep_alerts("a", &[], at(60)).await?);
    let bench = store.alert_bench().await?;
    assert_eq!((bench.judge.as_deref(), bench.judged_at), (Some("a"), Some(moment(60))));
    assert!(store.take_alert_turn("b", s(60), at(119)).await?);
    assert!(!store.keep_alerts("a", &[active("R", "mail", 0, None)], at(119)).await?);
    assert!(store.alerts(false, 10).await?.is_empty(), "who has lost the turn keeps nothing");
    assert!(store.take_alert_turn("a", s(60), at(-7200)).await?, "the clock was set back");
    assert_eq!(store.alert_bench().await?.fleet, fleet);
    Ok(())
}

/// What waits and ceases is gone; what fired and ceases is resolved, and listed for a week.
pub async fn what_fired_is_kept_when_it_is_over_and_what_only_waited_is_not(
    store: Arc<dyn Store>,
) -> Result<()> {
    assert!(store.take_alert_turn("a", s(3600), at(0)).await?);
    let firing = active("NoLiveWorkersForQueue", "mail", 0, Some(120));
    let waiting = active("NoLiveWorkersForQueue", "bulk", 90, None);
    assert!(store.keep_alerts("a", &[firing.clone(), waiting.clone()], at(120)).await?);
    let rows = store.alerts(false, 10).await?;
    let row = |alert: &Active, resolved_at| AlertRow { alert: alert.clone(), resolved_at };
    assert_eq!(rows, [row(&firing, None), row(&waiting, None)]);
    let grown = Active { value: 9.0, summary: "more".to_owned(), ..firing };
    assert!(store.keep_alerts("a", std::slice::from_ref(&grown), at(150)).await?);
    assert_eq!(store.alerts(false, 10).await?, [row(&grown, None)]);
    assert!(store.keep_alerts("a", &[], at(180)).await?);
    assert!(store.alerts(false, 10).await?.is_empty());
    assert_eq!(store.alerts(true, 10).await?, [row(&grown, Some(moment(180)))]);
    // The same series fires anew: another episode.
    let again = active("NoLiveWorkersForQueue", "mail", 200, Some(200));
    assert!(store.keep_alerts("a", std::slice::from_ref(&again), at(200)).await?);
    assert_eq!((store.alerts(false, 10).await?.len(), store.alerts(true, 10).await?.len()), (1, 1));
    let week = 7 * 86_400;
    assert!(store.take_alert_turn("a", s(3600), at(week)).await?);
    assert!(store.keep_alerts("a", std::slice::from_ref(&again), at(week + 180)).await?);
    assert_eq!(store.alerts(true, 10).await?.len(), 1);
    assert!(store.keep_alerts("a", std::slice::from_ref(&again), at(week + 181)).await?);
    assert!(store.alerts(true, 10).await?.is_empty());
    Ok(())
}

/// A number that is none is kept as zero by every engine, and infinity as it is.
pub async fn odd_numbers_are_kept(store: Arc<dyn Store>) -> Result<()> {
    assert!(store.take_alert_turn("a", s(3600), at(0)).await?);
    let of = |rule: &str, value| Active { value, ..active(rule, "q", 0, Some(0)) };
    store.keep_alerts("a", &[of("A", f64::NAN), of("B", f64::INFINITY)], at(0)).await?;
    let values: Vec<f64> = store.alerts(false, 10).await?.iter().map(|row| row.alert.value).collect();
    assert_eq!(values, [0.0, f64::INFINITY]);
    Ok(())
}

/// A channel is told of an episode once; telling again moves the moment.
pub async fn what_channels_were_told_is_kept_until_it_is_taken_back(store: Arc<dyn Store>) -> Result<()> {
    store.tell(&[told("A", 0, 30), told("B", 0, 30)]).await?;
    store.tell(&[told("A", 0, 90)]).await?;
    assert_eq!(store.told().await?, [told("A", 0, 90), told("B", 0, 30)]);
    store.untell(&[told("A", 0, 0), told("B", 5, 30)]).await?;
    assert_eq!(store.told().await?, [told("B", 0, 30)], "another episode is another matter");
    store.tell(&[]).await?;
    Ok(())
}

/// A silence says who, why and until when, ends by itself or by hand, and both are told of in the audit log.
pub async fn a_silence_ends_by_itself_or_by_hand_and_is_told_of(store: Arc<dyn Store>) -> Result<()> {
    let ada = By::named("token:ada").because(Some("deploy"));
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let mail = labels(&[("queue", "mail")]);
    let put = store.put_silence(first, "NoLiveWorkersForQueue", &mail, s(600), &ada, at(0)).await?;
    let put = put.context("it was begun")?;
    assert_eq!((put.silence.until, put.created_at), (moment(600), moment(0)));
    assert_eq!((put.created_by.as_str(), put.reason.as_deref()), ("token:ada", Some("deploy")));
    store.put_silence(second, "*", &Labels::new(), s(60), &ada, at(10)).await?;
    let silences = store.silences(at(20)).await?;
    assert_eq!(silences.iter().map(|row| row.id).collect::<Vec<_>>(), [second, first]);
    assert_eq!(silences[1], put);
    assert_eq!(store.silences(at(70)).await?.len(), 1, "the shorter one is over");
    assert!(!store.end_silence(second, &ada, at(71)).await?, "it has ended");
    assert!(store.end_silence(first, &ada, at(72)).await?);
    assert!(store.silences(at(72)).await?.is_empty());
    assert!(!store.end_silence(Uuid::from_u128(3), &ada, at(73)).await?);
    let entries = store.audit(&AuditFilter::default(), 10).await?;
    let told: Vec<(&str, &str)> =
        entries.iter().map(|e| (e.action.as_str(), e.target.as_deref().unwrap_or_default())).collect();
    let (first, second) = (first.to_string(), second.to_string());
    assert_eq!(
        told,
        [
            ("alert.unsilence", first.as_str()),
            ("alert.silence", second.as_str()),
            ("alert.silence", first.as_str())
        ]
    );
    Ok(())
}
