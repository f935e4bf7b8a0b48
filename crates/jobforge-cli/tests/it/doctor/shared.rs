//! Jobs that hang on one host, for one tenant, with one credential or at one step, beside others that go on.

use serde_json::Value;

use super::apart::work_on;
use super::{discard, mend, says, script, until_healthy, until_only, until_only_says};
use crate::program::eventually;
use crate::site::Site;

on_each_engine!(
    process_jobs_that_hang_on_one_host_are_blamed_on_it,
    process_jobs_that_hang_for_one_tenant_with_one_credential_or_at_one_step_are_blamed_on_that,
);

/// Reports the whole time that it goes on.
const GOES_ON: &str = "echo ::phase upload; i=0; while ! test -e over; do echo ::progress $i; i=$(((i + 1) % 99)); sleep 0.2; done";

fn hangs_at(step: &str) -> String {
    format!("test -e mended || {{ echo {step}; sleep 300; }}")
}

fn job(site: &Site, text: &str, account: &str, tenant: &str, bound: &[&str]) {
    let mut payload = script(site, text);
    payload["stdin"] = serde_json::json!({ "account_id": account });
    let payload = payload.to_string();
    let enqueue = ["job", "enqueue", "exec", &payload, "--tenant", tenant, "--max-attempts", "1"];
    site.home.ok(&[&enqueue[..], bound].concat());
}

fn until_dead(site: &Site, count: usize) {
    eventually("they are dead", || {
        let dead = site.home.json(&["job", "list", "--status", "dead"]);
        dead["jobs"].as_array().unwrap().len() == count
    });
}

fn process_jobs_that_hang_on_one_host_are_blamed_on_it(site: &Site) {
    let _server = site.watchdog();
    let _here = site.work(&[]);
    let _there = work_on(site, "web-2", &[]);
    let text =
        format!("if test $(uname -n) = web-2; then {}; else {GOES_ON}; fi", hangs_at("::phase download"));
    // As many as both have slots together.
    for number in 0..8 {
        job(site, &text, &format!("account-{number}"), "default", &["--progress-timeout", "4s"]);
    }
    until_dead(site, 4);
    // Those that go on must have done so for longer than the others.
    let hung = until_only_says(&site.home, "jobs.hung", "cause", "host web-2");
    says(&hung, "because", "jobs on other hosts go on");
    says(&hung, "evidence", "4 of 4 ran on host web-2, and 0 of ");
    std::fs::write(site.home.path().join("mended"), "").unwrap();
    std::fs::write(site.home.path().join("over"), "").unwrap();
    mend(&site.home, &hung, "jobforge dead retry");
    until_healthy(&site.home);
}

fn process_jobs_that_hang_for_one_tenant_with_one_credential_or_at_one_step_are_blamed_on_that(site: &Site) {
    let _server = site.watchdog();
    let _work = site.work(&["--slots", "16"]);
    // What goes on is of another tenant, another account and at another step all the while.
    for number in 0..3 {
        job(site, GOES_ON, &format!("other-{number}"), "globex", &[]);
    }
    let told = |step: &str, account: &dyn Fn(usize) -> String, tenant: &dyn Fn(usize) -> String| -> Value {
        for number in 0..4 {
            job(site, &hangs_at(step), &account(number), &tenant(number), &["--timeout", "1s"]);
        }
        until_dead(site, 4);
        let hung = until_only(&site.home, "jobs.hung");
        discard(&site.home);
        let dead = site.home.json(&["job", "list", "--status", "dead"]);
        for job in dead["jobs"].as_array().unwrap() {
            site.home.ok(&["dead", "purge", job["id"].as_str().unwrap(), "--discarded", "--yes"]);
        }
        hung
    };
    let each = |number: usize| format!("each-{number}");
    let tenant = told("::phase analysis", &each, &|_| "acme".to_owned());
    says(&tenant, "cause", "tenant acme");
    says(&tenant, "because", "jobs of other tenants go on");
    says(&tenant, "evidence", "4 of 4 are of tenant acme, and 0 of 3 that go well");
    let credential = told("::progress 17", &|_| "drive-7".to_owned(), &each);
    says(&credential, "cause", "the credential drive-7");
    says(&credential, "evidence", "4 of 4 use the credential drive-7, and 0 of 3 that go well");
    says(&credential, "because", "10 to 19 %");
    let step = told("::phase analysis", &each, &each);
    says(&step, "cause", "what they do at phase analysis");
    let percent = told("::progress 63", &each, &each);
    says(&percent, "cause", "what they do at 60 to 69 %");
    let early = told("::progress 5", &each, &each);
    says(&early, "cause", "the database, its pool or another connection");
    std::fs::write(site.home.path().join("over"), "").unwrap();
    until_healthy(&site.home);
}
