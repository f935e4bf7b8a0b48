//! What probes of a real server are told, while its database goes and comes back, and while it stops.

use std::process::Command;

use serde_json::json;
use testkit::postgres::{ClusterOptions, Durability};

use crate::program::{Home, Running, eventually, http};
use crate::site::Site;

fn probe(url: &str, path: &str) -> u16 {
    http("GET", &format!("{url}{path}"), &[], None).status
}

#[test]
fn process_readyz_follows_a_database_that_goes_and_comes_back() {
    let site = Site::on_own_postgres(&ClusterOptions {
        durability: Durability::ServerCrash,
        ..ClusterOptions::default()
    });
    let server = site.serve();
    let url = server.url();
    eventually("it is ready", || probe(&url, "/readyz") == 200);
    assert_eq!(probe(&url, "/startupz"), 200);
    let cluster = site.cluster.as_ref().unwrap();
    cluster.stop_immediate().unwrap();
    eventually("it is not ready", || probe(&url, "/readyz") == 503);
    // Neither would be mended by a restart of the server.
    assert_eq!((probe(&url, "/livez"), probe(&url, "/startupz")), (200, 200));
    assert_eq!((probe(&url, "/api/health"), probe(&url, "/api/health/full")), (503, 200));
    cluster.start_again().unwrap();
    eventually("it is ready again", || probe(&url, "/readyz") == 200);
    eventually("health is told again", || probe(&url, "/api/health") == 200);
    assert_eq!(server.terminate(), 0);
}

#[test]
fn process_a_server_that_is_told_to_stop_is_not_ready_first_and_answers_on() {
    let home = Home::new();
    let mut serve = home.command(&["serve", "--listen", "127.0.0.1:0"]);
    serve.env("JOBFORGE_DRAIN_DELAY_MS", "600000");
    let server = Running::start(serve, "stop with Ctrl-C");
    let url = server.url();
    eventually("it is ready", || probe(&url, "/readyz") == 200);
    let pid = server.pid().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    eventually("it is not ready", || probe(&url, "/readyz") == 503);
    assert_eq!(probe(&url, "/livez"), 200);
    let made = http("POST", &format!("{url}/v1/jobs"), &[], Some(&json!({ "type": "late" })));
    assert_eq!(made.status, 201, "{}", made.body);
    // Who does not want to wait says so again.
    assert_eq!(server.terminate(), 0);
}
