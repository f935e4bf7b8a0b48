//! Messages against what their receivers document.

use std::time::Duration;

use jiff::SignedDuration;

use super::*;
use crate::alert::route::{Channel, plan};

fn at(seconds: i64) -> Timestamp {
    "2026-03-02T12:00:00Z".parse::<Timestamp>().expect("a time") + SignedDuration::from_secs(seconds)
}

fn firing(queue: &str, fired_at: i64) -> Active {
    Active {
        rule: "NoLiveWorkersForQueue".to_owned(),
        labels: Labels::from([("queue".to_owned(), queue.to_owned())]),
        since: at(fired_at - 120),
        fired_at: Some(at(fired_at)),
        value: 1234.0,
        severity: Severity::Critical,
        summary: format!("1.234k jobs of queue {queue} are due & no worker <serves> it"),
    }
}

fn channel() -> Channel {
    Channel { name: "oncall".to_owned(), least: Severity::Warning, repeat: Duration::from_secs(3600) }
}

fn planned(alerts: &[Active], told: &[Told], now: i64) -> Vec<Message> {
    plan(alerts, told, &[channel()], &[], None, at(now))
}

fn notice(queues: &[&str], per_alert: bool) -> Vec<Keyed> {
    let alerts: Vec<Active> = queues.iter().map(|queue| firing(queue, 0)).collect();
    let messages = planned(&alerts, &[], 60);
    assert_eq!(messages.len(), 1);
    notices(&messages[0], &[], &[], "0a1b2c3d4e5f", per_alert, at(60))
}

fn place() -> Place {
    Place { name: "shop & co".to_owned(), url: "https://jobs.example.org".to_owned() }
}

fn told(now: i64) -> Told {
    let alert = firing("mail", 0);
    Told {
        channel: "oncall".to_owned(),
        rule: alert.rule,
        labels: alert.labels,
        fired_at: at(0),
        at: at(now),
    }
}

#[test]
fn two_judges_give_the_same_message_the_same_key_and_a_repetition_another() {
    let (first, second) = (notice(&["mail"], false), notice(&["mail"], false));
    assert_eq!(first[0].key, second[0].key);
    let later = {
        // The second judge plans a minute later, from the same stored facts.
        let messages = planned(&[firing("mail", 0)], &[], 90);
        notices(&messages[0], &[], &[], "0a1b2c3d4e5f", false, at(90))
    };
    assert_eq!(first[0].key, later[0].key);
    let again = planned(&[firing("mail", 0)], &[told(60)], 60 + 3600);
    assert_ne!(notices(&again[0], &[told(60)], &[], "f", false, at(3660))[0].key, first[0].key);
    let over = planned(&[], &[told(60)], 100);
    assert_ne!(notices(&over[0], &[told(60)], &[], "f", false, at(100))[0].key, first[0].key);
}

#[test]
fn what_is_over_is_told_of_with_its_sentence_and_its_end() {
    let over = planned(&[], &[told(60)], 300);
    let kept = AlertRow { alert: firing("mail", 0), resolved_at: Some(at(290)) };
    let keyed = notices(&over[0], &[told(60)], &[kept], "f", false, at(300));
    let named = &keyed[0].notice.alerts[0];
    assert_eq!(keyed[0].notice.says, Says::Resolved);
    assert_eq!((named.severity, named.resolved_at), (Severity::Critical, Some(at(290))));
    assert!(named.summary.contains("queue mail"), "{named:?}");
}

#[test]
fn many_alerts_are_one_message_with_a_count_or_several_where_each_has_its_incident() {
    let names: Vec<String> = (0..45).map(|number| format!("q{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let one = notice(&names, false);
    assert_eq!((one.len(), one[0].notice.alerts.len(), one[0].notice.more), (1, 20, 25));
    let several = notice(&names, true);
    let sizes: Vec<usize> = several.iter().map(|keyed| keyed.notice.alerts.len()).collect();
    assert_eq!(sizes, [20, 20, 5]);
    assert!(several.iter().all(|keyed| keyed.notice.more == 0));
    assert_ne!(several[0].key, several[1].key);
}

#[test]
fn slack_gets_blocks_within_its_limits_with_its_characters_escaped() {
    let names: Vec<String> = (0..45).map(|number| format!("{number}{}", "q".repeat(400))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let body = slack::body(&notice(&names, false)[0].notice, &place());
    let blocks = body["blocks"].as_array().expect("blocks");
    assert!(blocks.len() <= 50);
    let header = body["blocks"][0]["text"]["text"].as_str().expect("a header");
    assert_eq!(header, "🔴 CRITICAL: NoLiveWorkersForQueue (45)");
    for block in blocks {
        if let Some(text) = block["text"]["text"].as_str() {
            assert!(text.chars().count() <= 3000, "{}", text.len());
        }
    }
    let alerts = body["blocks"][1]["text"]["text"].as_str().expect("alerts");
    assert!(alerts.contains("&amp; no worker &lt;serves&gt; it"), "{alerts}");
    let named = alerts.matches('•').count();
    assert!(alerts.ends_with(&format!("and {} more", 45 - named)), "{alerts}");
    let urls: Vec<&str> = blocks.last().expect("buttons")["elements"]
        .as_array()
        .expect("buttons")
        .iter()
        .filter_map(|button| button["url"].as_str())
        .collect();
    assert_eq!(urls.len(), 2);
    assert!(urls[0].ends_with("#noliveworkersforqueue") && urls[1] == "https://jobs.example.org");
    assert!(body["text"].as_str().is_some_and(|text| text.contains("NoLiveWorkersForQueue")));
}

#[test]
fn pagerduty_gets_an_event_for_each_alert_and_the_same_key_at_its_end() {
    let notice = &notice(&["mail", "bulk"], true)[0].notice;
    let events = pagerduty::events(notice, &place());
    assert_eq!(events.len(), 2);
    let event = &events[0];
    assert_eq!(event["event_action"], "trigger");
    assert_eq!(event["payload"]["severity"], "critical");
    assert_eq!(event["payload"]["timestamp"], "2026-03-02T12:00:00Z");
    let key = event["dedup_key"].as_str().expect("a key");
    assert!(key.starts_with("jobforge/0a1b2c3d4e5f/NoLiveWorkersForQueue/") && key.len() <= 255, "{key}");
    assert_ne!(events[0]["dedup_key"], events[1]["dedup_key"]);
    let over = Notice { says: Says::Resolved, ..notice.clone() };
    let ends = pagerduty::events(&over, &place());
    assert_eq!((&ends[0]["event_action"], &ends[0]["dedup_key"]), (&"resolve".into(), &event["dedup_key"]));
    let test = pagerduty::events(&test("oncall", "f", "ada", at(0)), &place());
    let actions: Vec<_> =
        test.iter().map(|event| event["event_action"].as_str().unwrap_or_default()).collect();
    assert_eq!(actions, ["trigger", "resolve"], "a test leaves no incident open");
}

#[test]
fn a_webhook_gets_what_the_alertmanager_would_send() {
    let notice = &notice(&["mail", "bulk"], false)[0].notice;
    let body = webhook::body(notice, &place());
    assert_eq!((&body["version"], &body["status"]), (&"4".into(), &"firing".into()));
    assert_eq!(body["groupKey"], "{}:{alertname=\"NoLiveWorkersForQueue\"}");
    assert_eq!(body["commonLabels"]["severity"], "critical");
    assert!(body["commonLabels"].get("queue").is_none(), "the queues differ");
    let alert = &body["alerts"][0];
    assert_eq!(
        (&alert["labels"]["queue"], &alert["endsAt"]),
        (&"bulk".into(), &"0001-01-01T00:00:00Z".into())
    );
    assert_eq!(alert["fingerprint"].as_str().map(str::len), Some(16));
    let over = Notice { says: Says::Resolved, ..notice.clone() };
    let body = webhook::body(&over, &place());
    assert_eq!(
        (&body["status"], &body["alerts"][0]["endsAt"]),
        (&"resolved".into(), &"2026-03-02T12:01:00Z".into())
    );
}

#[test]
fn a_mail_has_one_line_of_subject_and_its_thread() {
    let mut notice = notice(&["mail"], false).remove(0).notice;
    let mail = email::mail(&notice, &Place { name: "a\r\nBcc: x@example.org".to_owned(), ..place() });
    assert!(!mail.subject.contains(['\r', '\n']), "{}", mail.subject);
    assert!(
        mail.text.contains("1.234k jobs of queue mail") && mail.text.contains("Start a worker"),
        "{}",
        mail.text
    );
    notice.says = Says::Resolved;
    let over = email::mail(&notice, &place());
    assert_eq!(over.thread, mail.thread);
    assert_eq!(over.subject, "[shop & co] RESOLVED: NoLiveWorkersForQueue");
}

#[test]
fn who_stands_in_for_another_channel_says_so() {
    let notice = fallback(&notice(&["mail"], false)[0].notice, "mail");
    assert_eq!((notice.channel.as_str(), notice.instead_of.as_deref()), ("mail", Some("oncall")));
    let text = email::mail(&notice, &place()).text;
    assert!(text.contains("The channel oncall could not be told"), "{text}");
}
