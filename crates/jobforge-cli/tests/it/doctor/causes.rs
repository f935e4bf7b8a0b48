//! Why jobs fail or stand still: what they log in to, what they connect to, what they start, and what they take down.

use std::time::Duration;

use serde_json::json;
use testkit::postgres::{Cluster, ClusterOptions};

use super::{
    configure, dies, discard, enqueue, mend, says, typed, until_healthy, until_only, until_only_says,
};
use crate::program::{Home, eventually, http};
use crate::site::{Site, outcomes, pid_in, send};

on_each_engine!(
    process_jobs_that_fail_alike_are_told_by_their_cause,
    process_an_expired_credential_of_another_service_is_named_and_renewing_it_mends_all,
    process_a_server_without_a_free_connection_for_jobs_is_told_of_as_a_pool_that_is_used_up,
    process_a_program_that_is_stopped_is_found,
    process_a_poison_job_is_told_of_and_not_the_workers_that_it_killed,
);

fn process_jobs_that_fail_alike_are_told_by_their_cause(site: &Site) {
    let _server = site.watchdog();
    let _work = site.work(&[]);
    let refused = dies(site, "Google Drive access denied: token expired");
    site.home.until(&refused, "dead");
    let credential = until_only(&site.home, "jobs.credential");
    says(&credential, "because", "token expired");
    discard(&site.home);
    site.home.until(&dies(site, "index out of range"), "dead");
    let code = until_only(&site.home, "jobs.failing");
    says(&code, "evidence", "index out of range");
    discard(&site.home);
    // Nobody listens there.
    configure_http(site, 1);
    let _caller = site.work(&["--queues", "calls"]);
    let call = ["job", "enqueue", "connector.http.request", r#"{"url":"http://127.0.0.1:1/"}"#];
    site.home.ok(&[&call[..], &["--max-attempts", "1", "--queue", "calls"]].concat());
    let service = until_only(&site.home, "jobs.service");
    says(&service, "cause", "a service that they depend on");
    discard(&site.home);
    let payload = r#"{"argv":["sleep","300"],"grace_ms":100}"#;
    let hangs = site.home.ok(&["job", "enqueue", "exec", payload, "--timeout", "1s", "--max-attempts", "1"]);
    site.home.until(&hangs, "dead");
    until_only(&site.home, "jobs.hung");
}

/// Workers that start from now on may call this machine, and know the secret `drive`.
fn configure_http(site: &Site, port: u16) {
    let secrets = site.home.path().join("secrets");
    std::fs::create_dir_all(&secrets).unwrap();
    let secrets = secrets.display();
    configure(site, &format!("http_allow_private = \"127.0.0.1:{port}\"\nsecrets_dir = \"{secrets}\""));
}

fn process_an_expired_credential_of_another_service_is_named_and_renewing_it_mends_all(site: &Site) {
    // Another installation is the service: its tokens really end.
    let service = Home::new();
    let up = service.up();
    let url = up.told_url();
    configure_http(site, url.rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap());
    let _server = site.watchdog();
    let _work = site.work(&[]);
    let issue = |lasts: &str| {
        let token = service.json(&["token", "create", "drive", "--scope", "read", "--for", lasts]);
        let token = token["token"].as_str().unwrap().to_owned();
        std::fs::write(site.home.path().join("secrets/drive"), &token).unwrap();
        token
    };
    let headers = json!({ "Authorization": { "secret_ref": "drive", "format": "Bearer {}" } });
    let payload = json!({ "url": format!("{url}/v1/jobs"), "headers": headers }).to_string();
    let call = ["job", "enqueue", "connector.http.request", &payload];
    let token = issue("5s");
    assert_eq!(site.home.json(&[&call[..], &["--wait"]].concat())["status"], "succeeded");
    eventually("the token has expired", || {
        http("GET", &format!("{url}/v1/jobs"), &[&format!("Authorization: Bearer {token}")], None).status
            == 401
    });
    for _ in 0..3 {
        site.home.ok(&call);
    }
    let expired = until_only_says(&site.home, "jobs.credential", "what", "3 jobs were refused");
    says(&expired, "cause", "the credential drive has expired");
    says(&expired, "because", "answered 401");
    assert!(!expired.to_string().contains(&token), "{expired:#}");
    issue("1h");
    mend(&site.home, &expired, "jobforge job retry");
    until_healthy(&site.home);
}

fn process_a_server_without_a_free_connection_for_jobs_is_told_of_as_a_pool_that_is_used_up(site: &Site) {
    let _server = site.watchdog();
    let _work = site.work(&[]);
    let cluster =
        Cluster::start(&ClusterOptions { max_connections: 8, ..ClusterOptions::default() }).unwrap();
    let url = cluster.server().url();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let held = runtime.block_on(async {
        let mut held = Vec::new();
        while let Ok((client, connection)) = tokio_postgres::connect(url, tokio_postgres::NoTls).await {
            held.push((client, tokio::spawn(connection)));
        }
        held
    });
    assert!(!held.is_empty());
    for _ in 0..3 {
        enqueue(site, &format!("psql '{url}' -c 'SELECT 1'"), &["--max-attempts", "1"]);
    }
    let pool = until_only_says(&site.home, "jobs.pool", "what", "3 jobs got no connection");
    says(&pool, "because", "too many clients already");
    drop(held);
    drop(runtime);
    eventually("the server has connections again", || {
        typed(&site.home, &format!("psql '{url}' -c 'SELECT 1'")).code == 0
    });
    mend(&site.home, &pool, "jobforge dead retry");
    until_healthy(&site.home);
}

fn process_a_program_that_is_stopped_is_found(site: &Site) {
    let _server = site.watchdog();
    let _work = site.work(&[]);
    let id = site.enqueue("sleep 300 & echo $! > pid; wait", "true");
    site.home.until(&id, "running");
    let child = pid_in(&site.home.path().join("pid"));
    until_healthy(&site.home);
    send("-STOP", child);
    let hung = until_only(&site.home, "jobs.hung_child");
    says(&hung, "cause", &format!("sleep (process {child}) is stopped"));
    mend(&site.home, &hung, "kill -CONT");
    until_healthy(&site.home);
}

fn process_a_poison_job_is_told_of_and_not_the_workers_that_it_killed(site: &Site) {
    let _server = site.watchdog();
    let _work = site.work(&[]);
    // Its parent is the worker.
    let poison = enqueue(site, "test -e cured || { kill -9 $PPID; sleep 300; }", &[]);
    let dead = site.home.until(&poison, "dead");
    let killed = outcomes(&dead).len();
    let found = until_only(&site.home, "jobs.poison");
    says(&found, "because", "it killed its worker");
    says(&found, "evidence", &format!("{killed} workers died of it"));
    std::fs::write(site.home.path().join("cured"), "").unwrap();
    mend(&site.home, &found, "jobforge dead retry");
    site.home.until(&poison, "succeeded");
}

#[test]
fn process_programs_that_stand_still_at_the_same_place_are_told_of_with_what_the_kernel_says() {
    let site = Site::on_postgres();
    let _server = site.watchdog();
    let _work = site.work(&[]);
    let ids: Vec<String> = (0..3).map(|_| enqueue(&site, "echo ::progress 63; sleep 300", &[])).collect();
    for id in &ids {
        eventually("it says how far it is", || {
            site.home.json(&["job", "show", id])["progress"]["percent"] == 63
        });
    }
    until_healthy(&site.home);
    // The time that passes; a job that is looked at is not changed by it.
    let back = Duration::from_secs(1200).as_secs();
    site.sql(&format!("UPDATE jobforge_jobs SET progress_at = progress_at - interval '{back} seconds'"));
    let still = until_only(&site.home, "jobs.standing_still");
    says(&still, "what", "3 running jobs of type exec stand still at 60 to 69 %");
    says(&still, "cause", "waits for something that does not come");
    says(&still, "because", "the kernel says so");
    mend(&site.home, &still, "jobforge config set");
    mend(&site.home, &still, "jobforge job retry");
    until_healthy(&site.home);
}
