//! The judge of alerts and its messages: two engines, real receivers, a clock that only the test moves.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use jobforge::core::alert::notice::{NOTIFY, NOTIFY_TENANT, Notice};
use jobforge::core::alert::route::Told;
use jobforge::core::job::NewJob;
use jobforge::core::settings::Settings;
use jobforge::core::state::Status;
use jobforge::live::Live;
use jobforge::notify::{ChannelTable, Channels};
use jobforge::services::{AlertJudge, Notifier, Round, Telling};
use jobforge::store::Store;
use jobforge::store::rows::JobFilter;
use serde_json::{Value, json};
use testkit::fixtures::{at, ended_job, job as new_job, moment};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::builtin_server::{Asked, Server, answer};
use crate::common::Db;

on_each_engine!(
    a_queue_without_a_worker_is_told_of_once_and_again_when_it_is_well,
    two_judges_send_one_message,
    a_judge_that_dies_between_judging_and_telling_leaves_one_message,
    what_is_silenced_is_judged_and_not_told_of,
    a_channel_that_is_dead_has_another_stand_in_for_it,
    who_stands_in_does_so_for_own_messages_and_once_whatever_is_configured_since,
    series_of_a_process_that_fell_silent_are_gone,
    a_new_judge_goes_on_with_the_history_of_the_old_one,
    a_judge_sees_what_is_told_after_the_clock_was_set_back,
);

/// What the processes of the test count; the judge scrapes it.
#[derive(Clone, Default)]
struct Scrape(Arc<Mutex<String>>);

impl Scrape {
    fn set(&self, text: &str) {
        *self.0.lock().unwrap() = text.to_owned();
    }

    fn telling(&self) -> Telling {
        let text = Arc::clone(&self.0);
        Arc::new(move |_| {
            let text = text.lock().unwrap().clone();
            Box::pin(async move { text })
        })
    }
}

/// A fleet that is well but for what the test is about.
fn well(now: i64) -> String {
    let now = moment(now).as_second();
    format!(
        "# TYPE jobforge_build_info gauge\njobforge_build_info 1\njobforge_database_up 1\n\
         jobforge_watchdog_last_run_timestamp_seconds {now}\njobforge_cleanup_last_run_timestamp_seconds {now}\n\
         jobforge_scheduler_last_tick_timestamp_seconds {now}\n"
    )
}

fn without_worker(now: i64) -> String {
    format!(
        "{}jobforge_jobs_ready{{queue=\"mail\"}} 3\njobforge_workers{{queue=\"mail\",state=\"live\"}} 0\n",
        well(now)
    )
}

fn with_worker(now: i64) -> String {
    format!(
        "{}jobforge_jobs_ready{{queue=\"mail\"}} 3\njobforge_workers{{queue=\"mail\",state=\"live\"}} 1\n",
        well(now)
    )
}

fn channels(tables: &[Value]) -> Arc<Channels> {
    let tables: Vec<ChannelTable> =
        tables.iter().map(|table| serde_json::from_value(table.clone()).expect("a table")).collect();
    Arc::new(Channels::read(&Settings::defaults(), &tables).expect("channels"))
}

fn slack(url: &str) -> Value {
    json!({ "name": "oncall", "kind": "slack", "url": url })
}

struct Lab {
    scrape: Scrape,
    judge: AlertJudge,
}

fn lab(db: &Db, channels: &Arc<Channels>) -> Lab {
    let scrape = Scrape::default();
    let live = Live::fixed(Settings::defaults());
    let judge = AlertJudge::new(Arc::clone(db.store()), Arc::clone(channels), live, scrape.telling());
    Lab { scrape, judge }
}

impl Lab {
    /// Judges each half minute from one moment to another, while the fleet is as told; returns all rounds.
    async fn pass(&mut self, from: i64, until: i64, fleet: fn(i64) -> String) -> Vec<Round> {
        let mut rounds = Vec::new();
        for now in (from..=until).step_by(30) {
            self.scrape.set(&fleet(now));
            rounds.push(self.judge.run_once(at(now)).await.expect("a round"));
        }
        rounds
    }
}

fn fired(rounds: &[Round]) -> Vec<String> {
    rounds.iter().flat_map(|round| &round.fired).map(|alert| alert.rule.clone()).collect()
}

fn messages(rounds: &[Round]) -> usize {
    rounds.iter().map(|round| round.messages).sum()
}

async fn send(db: &Db, channels: &Arc<Channels>) {
    let notifier = Notifier::new(Arc::clone(db.store()), Arc::clone(channels), Arc::default());
    notifier.run_once(&CancellationToken::new()).await.expect("messages are sent");
}

async fn notify_jobs(store: &Arc<dyn Store>) -> Vec<(Status, Notice)> {
    let filter = JobFilter { job_type: Some(NOTIFY.to_owned()), limit: 100, ..JobFilter::default() };
    let jobs = store.jobs(&filter).await.expect("jobs");
    jobs.iter().map(|job| (job.status, job.payload.decode().expect("a notice"))).collect()
}

fn bodies(server: &Server) -> Vec<Value> {
    server.asked().iter().map(|asked| serde_json::from_str(&asked.body).expect("JSON")).collect()
}

async fn ok() -> Server {
    Server::start(|_| answer("200 OK", &[], b"ok")).await
}

async fn a_queue_without_a_worker_is_told_of_once_and_again_when_it_is_well(db: Db) {
    let server = ok().await;
    let channels = channels(&[slack(&server.url("/services/hunter2"))]);
    let mut lab = lab(&db, &channels);
    let first = lab.pass(0, 60, without_worker).await;
    assert_eq!(fired(&first), [""; 0], "it has not held for two minutes");
    let rounds = lab.pass(90, 240, without_worker).await;
    assert_eq!(fired(&rounds), ["NoLiveWorkersForQueue"]);
    assert_eq!(messages(&rounds), 1, "once is enough");
    send(&db, &channels).await;
    let told = bodies(&server);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["blocks"][0]["text"]["text"], "🔴 CRITICAL: NoLiveWorkersForQueue");
    assert!(told[0]["text"].as_str().is_some_and(|text| text.contains("3 jobs of queue mail")), "{told:?}");
    let over = lab.pass(270, 330, with_worker).await;
    assert_eq!((messages(&over), over.iter().map(|round| round.resolved.len()).sum::<usize>()), (1, 1));
    send(&db, &channels).await;
    let told = bodies(&server);
    assert_eq!(told.len(), 2);
    assert_eq!(told[1]["blocks"][0]["text"]["text"], "✅ RESOLVED: NoLiveWorkersForQueue");
    assert!(told[1]["text"].as_str().is_some_and(|text| text.contains("queue mail")), "{told:?}");
    assert!(db.store().told().await.unwrap().is_empty(), "it is over and told of");
    // Nothing that is stored knows the address.
    for (status, notice) in notify_jobs(db.store()).await {
        assert_eq!(status, Status::Succeeded);
        assert!(!serde_json::to_string(&notice).unwrap().contains("hunter2"));
    }
}

async fn two_judges_send_one_message(db: Db) {
    let server = ok().await;
    let channels = channels(&[slack(&server.url("/"))]);
    let (mut one, mut other) = (lab(&db, &channels), lab(&db, &channels));
    let mut rounds = Vec::new();
    for now in (0..=300).step_by(30) {
        for lab in [&mut one, &mut other] {
            rounds.extend(lab.pass(now, now, without_worker).await);
        }
    }
    assert_eq!(rounds.iter().filter(|round| round.judges).count(), 11, "one at a time");
    assert_eq!(messages(&rounds), 1);
    // The turn of the first is over: the other plans from the same facts, and changes nothing.
    let later = other.pass(420, 420, without_worker).await;
    assert!(later[0].judges);
    assert_eq!(messages(&later), 0);
    send(&db, &channels).await;
    assert_eq!(server.asked().len(), 1);
}

/// As after a `kill -9`: the message is enqueued, that it was told is not noted, and another judge takes over.
async fn a_judge_that_dies_between_judging_and_telling_leaves_one_message(db: Db) {
    let server = ok().await;
    let channels = channels(&[
        slack(&server.url("/")),
        json!({
            "name": "pager", "kind": "pagerduty", "key": "R0UT1NG", "url": server.url("/v2/enqueue"),
        }),
    ]);
    let mut first = lab(&db, &channels);
    assert_eq!(messages(&first.pass(0, 240, without_worker).await), 2);
    let told: Vec<Told> = db.store().told().await.unwrap();
    assert_eq!(told.len(), 2);
    db.store().untell(&told).await.unwrap();
    drop(first);
    let mut second = lab(&db, &channels);
    let rounds = second.pass(360, 420, without_worker).await;
    assert!(rounds.iter().all(|round| round.judges));
    assert_eq!((fired(&rounds).len(), messages(&rounds)), (0, 0), "the same episode, the same message");
    assert_eq!(db.store().told().await.unwrap().len(), 2, "now it is noted");
    send(&db, &channels).await;
    assert_eq!(notify_jobs(db.store()).await.len(), 2);
    assert_eq!(server.asked().len(), 2);
}

async fn what_is_silenced_is_judged_and_not_told_of(db: Db) {
    let channels = channels(&[slack("http://127.0.0.1:9/")]);
    let mut lab = lab(&db, &channels);
    let labels = [("queue".to_owned(), "mail".to_owned())].into();
    let by = jobforge::core::audit::By::named("ada");
    let id = Uuid::from_u128(1);
    db.store()
        .put_silence(id, "NoLiveWorkersForQueue", &labels, Duration::from_secs(3600), &by, at(0))
        .await
        .unwrap();
    let rounds = lab.pass(0, 300, without_worker).await;
    assert_eq!((fired(&rounds).len(), messages(&rounds)), (1, 0));
    assert!(db.store().end_silence(id, &by, at(301)).await.unwrap());
    assert_eq!(messages(&lab.pass(330, 360, without_worker).await), 1);
}

async fn a_channel_that_is_dead_has_another_stand_in_for_it(db: Db) {
    // Slack answers so for a webhook that was removed; no further attempt can help.
    // Some servers repeat the address in what they answer, which is the channel's secret.
    let server = Server::start(|asked: &Asked| match asked.line.contains("/gone") {
        true => answer("404 Not Found", &[], b"no_service: cannot POST /gone/hunter2?key=hunter3"),
        false => answer("200 OK", &[], b"ok"),
    })
    .await;
    let gone = server.url("/gone/hunter2?key=hunter3");
    let channels = channels(&[
        json!({ "name": "oncall", "kind": "slack", "url": gone, "fallback": "hook" }),
        json!({ "name": "hook", "kind": "webhook", "url": server.url("/hook"), "least": "critical" }),
    ]);
    let mut lab = lab(&db, &channels);
    assert_eq!(messages(&lab.pass(0, 240, without_worker).await), 2);
    send(&db, &channels).await;
    let jobs = notify_jobs(db.store()).await;
    let stood_in: Vec<_> = jobs.iter().filter(|(_, notice)| notice.instead_of.is_some()).collect();
    assert_eq!(stood_in.len(), 1, "{jobs:?}");
    assert_eq!((stood_in[0].0, stood_in[0].1.channel.as_str()), (Status::Succeeded, "hook"));
    let filter = JobFilter {
        job_type: Some(NOTIFY.to_owned()),
        statuses: vec![Status::Failed],
        limit: 10,
        ..JobFilter::default()
    };
    let failed = db.store().jobs(&filter).await.unwrap();
    assert_eq!(failed.len(), 1);
    let said = format!("{:?}", failed[0].error);
    assert!(said.contains("404") && said.contains("no_service") && !said.contains("hunter"), "{said}");
}

async fn who_stands_in_does_so_for_own_messages_and_once_whatever_is_configured_since(db: Db) {
    let to = |fallback: &str| {
        channels(&[
            json!({ "name": "oncall", "kind": "webhook", "url": "http://127.0.0.1:9/", "fallback": fallback }),
            json!({ "name": "first", "kind": "webhook", "url": "http://127.0.0.1:9/", "least": "critical" }),
            json!({ "name": "second", "kind": "webhook", "url": "http://127.0.0.1:9/", "least": "critical" }),
        ])
    };
    // A message to oncall that died, and one that a tenant has made itself.
    let mut lab_of_first = lab(&db, &to("first"));
    lab_of_first.pass(0, 240, without_worker).await;
    let filter = JobFilter { job_type: Some(NOTIFY.to_owned()), limit: 100, ..JobFilter::default() };
    let sent = db.store().jobs(&filter).await.unwrap();
    let message =
        sent.iter().find(|job| job.payload.as_str().contains("oncall")).expect("a message to oncall");
    for tenant in ["acme", NOTIFY_TENANT] {
        let died =
            NewJob { tenant_id: tenant.to_owned(), payload: message.payload.clone(), ..new_job(NOTIFY) };
        ended_job(db.store(), Status::Dead, died, at(240)).await.unwrap();
    }
    let stood_in = async || {
        let jobs = notify_jobs(db.store()).await;
        jobs.iter().filter(|(_, notice)| notice.instead_of.is_some()).count()
    };
    lab_of_first.pass(270, 270, without_worker).await;
    assert_eq!(stood_in().await, 1, "for its own, not for a tenant's");
    // Another fallback is configured meanwhile.
    let mut lab_of_second = lab(&db, &to("second"));
    lab_of_second.pass(600, 600, without_worker).await;
    assert_eq!(stood_in().await, 1, "once");
}

async fn series_of_a_process_that_fell_silent_are_gone(db: Db) {
    let channels = channels(&[]);
    let mut lab = lab(&db, &channels);
    db.store().put_sample("gone", &without_worker(0), at(0)).await.unwrap();
    let rounds = lab.pass(0, 60, well).await;
    assert_eq!(fired(&rounds), [""; 0]);
    assert_eq!(db.store().alerts(false, 10).await.unwrap().len(), 1, "it waits");
    lab.pass(90, 150, well).await;
    assert!(db.store().alerts(false, 10).await.unwrap().is_empty(), "who said so is gone");
}

async fn a_new_judge_goes_on_with_the_history_of_the_old_one(db: Db) {
    let channels = channels(&[]);
    // A process of workers counts a death a second: not enough when the first looks.
    for now in (0..=210).step_by(30) {
        let counted = format!("jobforge_jobs_dead_total {now}\n");
        db.store().put_sample("worker", &counted, at(now)).await.unwrap();
    }
    let mut first = lab(&db, &channels);
    assert_eq!(fired(&first.pass(60, 60, well).await), [""; 0]);
    drop(first);
    // The turn of the first has run out. The second has seen nothing grow itself.
    let mut second = lab(&db, &channels);
    let rounds = second.pass(210, 210, well).await;
    assert_eq!(fired(&rounds), ["DeadLetterSpike"], "{rounds:?}");
}

async fn a_judge_sees_what_is_told_after_the_clock_was_set_back(db: Db) {
    let mut lab = lab(&db, &channels(&[]));
    assert_eq!(fired(&lab.pass(5000, 5300, well).await), [""; 0]);
    // An hour back; from then on a process of workers counts a death a second.
    let mut told = Vec::new();
    for now in (1400..=1700).step_by(30) {
        let counted = format!("jobforge_jobs_dead_total {now}\n");
        db.store().put_sample("worker", &counted, at(now)).await.unwrap();
        told.extend(lab.pass(now, now, well).await);
    }
    assert_eq!(fired(&told), ["DeadLetterSpike"], "{told:?}");
}

// Receivers, against what their makers document.

/// A message to one channel, sent by a real worker; returns what became of it.
async fn deliver(channel: Value) -> (Status, Option<String>) {
    let db = crate::common::sqlite().await;
    let channels = channels(std::slice::from_ref(&channel));
    let name = channel["name"].as_str().expect("a name");
    let id = db.client.test_channel(name).await.expect("enqueued");
    send(&db, &channels).await;
    let job = db.client.job(id).await.expect("the job");
    (job.status, job.error.map(|error| format!("{error:?}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn pagerduty_gets_its_key_and_both_events_of_a_test() {
    let server = Server::start(|_| answer("202 Accepted", &[], b"{\"status\":\"success\"}")).await;
    let channel =
        json!({ "name": "p", "kind": "pagerduty", "key": "R0UT1NG", "url": server.url("/v2/enqueue") });
    assert_eq!(deliver(channel).await, (Status::Succeeded, None));
    let told = bodies(&server);
    assert!(server.asked().iter().all(|asked| asked.line == "POST /v2/enqueue HTTP/1.1"));
    assert_eq!(told.len(), 2);
    for event in &told {
        assert_eq!(event["routing_key"], "R0UT1NG");
        assert_eq!(event["dedup_key"], told[0]["dedup_key"]);
    }
    assert_eq!((&told[0]["event_action"], &told[1]["event_action"]), (&json!("trigger"), &json!("resolve")));
    for field in ["summary", "source", "severity", "timestamp"] {
        assert!(told[0]["payload"][field].is_string(), "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_repeats_the_key_does_not_show_it() {
    let server = Server::start(|_| answer("400 Bad Request", &[], b"no such key: R0UT1NGKEY")).await;
    let channel =
        json!({ "name": "p", "kind": "pagerduty", "key": "R0UT1NGKEY", "url": server.url("/v2/enqueue") });
    let (status, error) = deliver(channel).await;
    assert_eq!(status, Status::Failed);
    let error = error.expect("an error");
    assert!(
        error.contains("400") && error.contains("[redacted]") && !error.contains("R0UT1NGKEY"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_signed_and_fits_the_alertmanager() {
    let server = ok().await;
    let secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";
    let channel = json!({ "name": "hook", "kind": "webhook", "url": server.url("/in"), "secret": secret });
    assert_eq!(deliver(channel).await, (Status::Succeeded, None));
    let asked = server.asked().remove(0);
    let body: Value = serde_json::from_str(&asked.body).expect("JSON");
    assert_eq!((&body["version"], &body["receiver"]), (&json!("4"), &json!("hook")));
    for field in
        ["groupKey", "status", "groupLabels", "commonLabels", "commonAnnotations", "externalURL", "alerts"]
    {
        assert!(!body[field].is_null(), "{field}");
    }
    let signature = asked.header("webhook-signature").expect("a signature");
    assert!(signature.starts_with("v1,"), "{signature}");
    assert!(asked.header("webhook-id").is_some() && asked.header("webhook-timestamp").is_some());
    assert_eq!(asked.header("content-type"), Some("application/json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_tried_again_when_the_receiver_says() {
    let db = crate::common::sqlite().await;
    let server = Server::start(|_| answer("429 Too Many Requests", &["Retry-After: 77"], b"")).await;
    let channels = channels(&[slack(&server.url("/"))]);
    let mut lab = lab(&db, &channels);
    lab.pass(0, 240, without_worker).await;
    let stop = CancellationToken::new();
    let notifier = Notifier::new(Arc::clone(db.store()), Arc::clone(&channels), Arc::default());
    let ends = stop.clone();
    let store = Arc::clone(db.store());
    let waits = tokio::spawn(async move {
        loop {
            let filter = JobFilter { job_type: Some(NOTIFY.to_owned()), limit: 1, ..JobFilter::default() };
            let job = store.jobs(&filter).await.unwrap().remove(0);
            if job.status == Status::Queued && job.attempts == 1 {
                ends.cancel();
                return job;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    notifier.run_once(&stop).await.unwrap();
    let job = waits.await.unwrap();
    let wait = job.run_at.duration_since(db.store().now().await.unwrap()).as_secs();
    assert!((60..=77).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_arrives_at_a_real_receiver() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let receives = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        smtp(stream).await
    });
    let channel = json!({
        "name": "mail", "kind": "email", "smtp_url": format!("smtp://localhost:{port}"),
        "from": "JobForge <jobs@example.org>", "to": ["ada@example.org", "Grace <grace@example.org>"],
    });
    assert_eq!(deliver(channel).await, (Status::Succeeded, None));
    let (commands, mail) = receives.await.expect("a mail");
    assert!(commands.iter().any(|line| line.starts_with("MAIL FROM:<jobs@example.org>")), "{commands:?}");
    for to in ["RCPT TO:<ada@example.org>", "RCPT TO:<grace@example.org>"] {
        assert!(commands.iter().any(|line| line.starts_with(to)), "{commands:?}");
    }
    for part in ["Subject: [JobForge] TEST: mail", "Message-ID: <", "References: <", "tries the channel mail"]
    {
        assert!(mail.contains(part), "{part} is not in\n{mail}");
    }
}

/// A receiver of one mail, as RFC 5321 has it; returns the commands and the mail.
async fn smtp(stream: TcpStream) -> (Vec<String>, String) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let (mut commands, mut mail) = (Vec::new(), String::new());
    writer.write_all(b"220 test ESMTP\r\n").await.expect("a greeting");
    while let Ok(Some(line)) = lines.next_line().await {
        let said: &[u8] = match line.split(' ').next().unwrap_or_default() {
            "EHLO" => b"250-test\r\n250 8BITMIME\r\n",
            "DATA" => b"354 go on\r\n",
            "QUIT" => b"221 bye\r\n",
            _ => b"250 ok\r\n",
        };
        let is_data = line == "DATA";
        commands.push(line);
        writer.write_all(said).await.expect("an answer");
        if !is_data {
            continue;
        }
        while let Some(line) = lines.next_line().await.expect("the mail").filter(|line| line != ".") {
            mail.push_str(&line);
            mail.push('\n');
        }
        writer.write_all(b"250 taken\r\n").await.expect("an answer");
    }
    (commands, mail)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_system_tells_of_alerts() {
    let db = crate::common::sqlite().await;
    let server = ok().await;
    let channels = channels(&[slack(&server.url("/"))]);
    let notice = json!({
        "channel": "oncall", "says": "firing", "rule": "X", "fleet": "f", "at": Timestamp::UNIX_EPOCH, "alerts": [],
    });
    let request = serde_json::from_value(json!({
        "type": NOTIFY, "queue": "alerts", "tenant_id": "acme", "payload": notice,
    }));
    let receipt = db.client.enqueue_untyped(request.expect("a request")).await.expect("enqueued");
    send(&db, &channels).await;
    assert_eq!(db.client.job(receipt.id).await.unwrap().status, Status::Failed);
    assert!(server.asked().is_empty());
}
