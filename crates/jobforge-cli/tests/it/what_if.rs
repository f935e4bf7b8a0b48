//! A worker that is silent for a while and goes on: what is kept of it, and what another threshold would have done.

use std::time::Duration;

use jiff::Timestamp;
use jobforge::clock;
use serde_json::Value;

use crate::program::eventually;
use crate::site::{Site, send};

/// How long nothing is heard at least: several of the intervals below, far less than the threshold that goes.
const SILENT: Duration = Duration::from_secs(4);

#[test]
fn process_a_silence_that_ended_well_is_kept_and_shows_what_a_threshold_would_have_hit_on_sqlite() {
    is_kept_and_replayed(&Site::on_sqlite().with_a_long_lease());
}

#[test]
fn process_a_silence_that_ended_well_is_kept_and_shows_what_a_threshold_would_have_hit_on_postgres() {
    is_kept_and_replayed(&Site::on_postgres().with_a_long_lease());
}

fn is_kept_and_replayed(site: &Site) {
    let home = &site.home;
    home.ok(&["config", "set", "heartbeat_interval_ms=1000", "heartbeat_max_interval_ms=1000"]);
    let work = site.work(&[]);
    let id = site.enqueue("until [ -e go ]; do sleep 0.05; done", "true");
    home.until(&id, "running");
    let shown = || home.json(&["job", "show", &id]);
    eventually("it is heard", || shown()["heartbeats"].as_u64() > Some(0));
    send("-STOP", work.worker_pid());
    let heard = || shown()["heartbeat_at"].as_str().unwrap().parse::<Timestamp>().unwrap();
    eventually("it was silent", || clock::wall().duration_since(heard()) > SILENT.try_into().unwrap());
    send("-CONT", work.worker_pid());
    let is_long = |gap: &Value| gap["ms"].as_u64() > Some(3900);
    eventually("it is heard again", || shown()["silent_gaps"].as_array().unwrap().iter().any(is_long));
    let explained = home.json(&["job", "explain", &id]).to_string();
    assert!(explained.contains("and heard again"), "{explained}");
    std::fs::write(home.path().join("go"), "").unwrap();
    let ended = home.until(&id, "succeeded");
    assert_eq!(ended["attempts_made"][0]["silent_gaps"], ended["silent_gaps"], "{ended}");
    assert!(home.ok(&["job", "show", &id]).contains("and heard again"));

    let replay = |threshold: &str| home.json(&["watchdog", "what-if", "--heartbeat-threshold-ms", threshold]);
    let tight = replay("2000");
    assert_eq!(
        (&tight["hit"][0]["job"], &tight["hit"][0]["type"]),
        (&Value::from(id.clone()), &"exec".into())
    );
    assert_eq!(tight["hit"][0]["allowed_ms"], 2000, "{tight}");
    let least = tight["recommended"]["heartbeat_threshold_ms"].as_u64().unwrap();
    assert!(least >= 4000, "{tight}");
    assert_eq!(replay(&least.to_string())["hit"], serde_json::json!([]));
    let told = home.ok(&["watchdog", "what-if", "--heartbeat-threshold-ms", "2000", "--since", "1h"]);
    assert!(told.contains("One healthy job would have been hit in 60 min") && told.contains(&id), "{told}");
    let before = home.ok(&["watchdog", "what-if", "--since", "0s"]);
    assert!(before.contains("Under the present threshold of 2 min") && !before.contains(&id), "{before}");
    for (arguments, says) in [
        (
            ["--heartbeat-threshold-ms", "5"],
            "--heartbeat-threshold-ms is 5; it must be from 1000 to 86400000",
        ),
        (["--since", "yesterday"], "--since: \"yesterday\" is neither a moment"),
    ] {
        let refused = home.run(&[&["watchdog", "what-if"][..], &arguments].concat());
        assert!(refused.code == 2 && refused.err.contains(says), "{} {}", refused.code, refused.err);
    }
    assert_eq!(home.run(&["db", "check"]).code, 0);
    assert_eq!(work.terminate(), 0);
}
