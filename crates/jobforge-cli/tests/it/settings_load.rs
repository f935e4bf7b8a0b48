//! Settings that are changed from three servers at once, again and again, while jobs stream through.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use testkit::postgres::TestDatabase;

use crate::program::{Home, Running, eventually, http};

/// Changes that each server is asked for.
const CHANGES: u64 = 24;
/// Jobs of one batch of the stream.
const BATCH: u32 = 10;
/// What is changed: a job's rhythm, a worker's lease, and how idle workers poll. All of them are live.
const KEYS: [&str; 3] = ["heartbeat_threshold_ms", "worker_lease_ms", "max_poll_interval_ms"];

/// A change that was made.
struct Made {
    version: u64,
    values: BTreeMap<&'static str, u64>,
}

/// The values of one change: no other change has any of them.
fn values(server: u64, number: u64) -> BTreeMap<&'static str, u64> {
    let own = server * 1000 + number;
    let all =
        [("heartbeat_threshold_ms", 200_000), ("worker_lease_ms", 60_000), ("max_poll_interval_ms", 20_000)];
    // Not every change is about all of them.
    all.into_iter().take(1 + (own % 3) as usize).map(|(key, base)| (key, base + own)).collect()
}

/// Changes settings through one server: every second time only if nobody was faster, which may take several tries.
fn change(url: &str, server: u64) -> Vec<Made> {
    let settings = format!("{url}/v1/settings");
    let mut made = Vec::new();
    for number in 1..=CHANGES {
        let values = values(server, number);
        let answer = loop {
            let seen = http("GET", &settings, &[], None).etag.unwrap();
            let only_if = format!("If-Match: {seen}");
            let headers: &[&str] = if number % 2 == 0 { &[&only_if] } else { &[] };
            let answer = http("PATCH", &settings, headers, Some(&json!(values)));
            match answer.status {
                200 => break answer,
                412 => assert!(!headers.is_empty(), "nothing was expected: {}", answer.body),
                _ => panic!("{}: {}", answer.status, answer.body),
            }
        };
        made.push(Made { version: answer.body["version"].as_u64().unwrap(), values });
    }
    made
}

#[test]
fn process_settings_changed_on_three_servers_at_once_under_load_are_the_same_everywhere_and_lose_nothing() {
    let database = TestDatabase::create().unwrap();
    let home = Home::on_postgres(&database.url());
    home.ok(&["db", "migrate"]);
    let sql = |text: &str| database.psql(text).unwrap().trim().to_owned();
    let servers: Vec<Running> =
        (0..3).map(|_| home.start(&["serve", "--listen", "127.0.0.1:0"], "stop with Ctrl-C")).collect();
    let urls: Vec<String> = servers.iter().map(Running::url).collect();
    let work = || home.start(&["work", "--exec-allow=true", "--slots=4"], "takes jobs from");
    let workers = [work(), work()];
    let (over, mut batches) = (AtomicBool::new(false), 0);
    let mut made: Vec<Made> = std::thread::scope(|scope| {
        let changing: Vec<_> =
            (1..).zip(&urls).map(|(server, url)| scope.spawn(move || change(url, server))).collect();
        let stream = scope.spawn(|| {
            let mut batches = 0;
            while batches == 0 || !over.load(Ordering::Relaxed) {
                sql(&format!("INSERT INTO jobforge_jobs (type, payload) SELECT 'exec', '{{\"argv\": [\"true\"]}}' FROM generate_series(1, {BATCH})"));
                batches += 1;
                let waiting = || sql("SELECT count(*) FROM jobforge_jobs WHERE status IN ('queued', 'running')");
                eventually("the stream is worked off", || waiting().parse::<u32>().unwrap() < 2 * BATCH);
            }
            batches
        });
        let made = changing.into_iter().flat_map(|changes| changes.join().unwrap()).collect();
        over.store(true, Ordering::Relaxed);
        batches = stream.join().unwrap();
        made
    });
    // Each change is one version, and none is missing.
    made.sort_by_key(|made| made.version);
    let versions: Vec<u64> = made.iter().map(|made| made.version).collect();
    assert_eq!(versions, (1..=3 * CHANGES).collect::<Vec<_>>());
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for key in KEYS {
        let changes: Vec<u64> = made.iter().filter_map(|made| made.values.get(key).copied()).collect();
        check_history(&urls[0], key, &changes);
        last.insert(key, *changes.last().unwrap());
    }
    // Every process goes by the last values.
    for url in &urls {
        for (key, value) in &last {
            eventually(&format!("{url} has {key}"), || shown(url, key) == *value);
        }
    }
    let lease = last["worker_lease_ms"].to_string();
    eventually("both workers renew the last lease", || {
        let leases = sql("SELECT DISTINCT lease_ms FROM jobforge_workers WHERE state = 'live'");
        leases == lease && sql("SELECT count(*) FROM jobforge_workers WHERE state = 'live'") == "2"
    });
    for worker in &workers {
        worker.until_it_says(&format!("is now \\\"{}\\\"", last["heartbeat_threshold_ms"]));
    }
    // No job was lost, and none ran twice.
    let jobs = batches * BATCH;
    eventually("all jobs have ended", || {
        sql("SELECT count(*) FROM jobforge_jobs WHERE status = 'succeeded' AND attempts = 1")
            == jobs.to_string()
    });
    assert_eq!(sql("SELECT count(*) FROM jobforge_jobs"), jobs.to_string());
    assert_eq!(
        sql("SELECT count(*) FROM jobforge_workers WHERE state NOT IN ('live')"),
        "0",
        "nobody was late"
    );
    let whole = http("GET", &format!("{}/v1/audit/verify", urls[1]), &[], None);
    assert_eq!((whole.status, &whole.body["whole"]), (200, &json!(true)), "{}", whole.body);
    for worker in workers {
        assert_eq!(worker.terminate(), 0);
    }
}

/// What a server goes by.
fn shown(url: &str, key: &str) -> u64 {
    let listed = http("GET", &format!("{url}/v1/settings"), &[], None).body;
    let settings = listed["settings"].as_array().unwrap_or_else(|| panic!("{listed}"));
    let found = settings.iter().find(|setting| setting["key"] == key).unwrap();
    found["value"].as_str().unwrap().parse().unwrap()
}

/// The history has every change of a setting in order, and each begins where the one before ended.
fn check_history(url: &str, key: &str, changes: &[u64]) {
    let told = http("GET", &format!("{url}/v1/settings/history?key={key}&limit=500"), &[], None).body;
    let mut entries = told["changes"].as_array().unwrap().clone();
    entries.reverse();
    let value = |entry: &Value, side: &str| -> Option<u64> {
        let text = entry[side].as_str()?;
        serde_json::from_str::<Value>(text).unwrap()["value"].as_str()?.parse().ok()
    };
    let after: Vec<u64> = entries.iter().filter_map(|entry| value(entry, "after")).collect();
    assert_eq!(after, changes, "{key}");
    let before: Vec<Option<u64>> = entries.iter().map(|entry| value(entry, "before")).collect();
    let wanted: Vec<Option<u64>> = [None].into_iter().chain(changes.iter().copied().map(Some)).collect();
    assert_eq!(before, wanted[..changes.len()], "{key}");
}
