//! `jobforge doctor` against fleets in which one fault is really caused: it finds that fault and no other, and what it proposes
//! can be typed.

mod apart;
mod causes;
mod clocks;
mod control_group;
mod database;
mod fleet;
mod healthy;
mod host;
mod memory;
mod schedules;
mod servers;
mod set_clock;
mod shared;
mod tokens;

use std::process::Command;
use std::time::Duration;

use jobforge::clock;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

use crate::program::{Done, Home, done};
use crate::site::Site;

/// How long a fault may take until it shows.
const PATIENCE: Duration = Duration::from_secs(40);
const DOCTOR: [&str; 2] = ["doctor", "--json"];

/// The names of all findings, the code that the program ended with, and what it printed.
fn examined(home: &Home) -> (Vec<String>, i32, Value) {
    read(&home.run(&DOCTOR))
}

fn read(done: &Done) -> (Vec<String>, i32, Value) {
    let report: Value =
        serde_json::from_str(&done.out).unwrap_or_else(|_| panic!("{}{}", done.out, done.err));
    let names = findings(&report).map(|finding| finding["name"].as_str().unwrap().to_owned()).collect();
    (names, done.code, report)
}

fn findings(report: &Value) -> impl Iterator<Item = &Value> {
    report["areas"].as_array().unwrap().iter().flat_map(|area| area["findings"].as_array().unwrap())
}

fn finding<'a>(report: &'a Value, name: &str) -> &'a Value {
    findings(report).find(|finding| finding["name"] == name).unwrap()
}

/// Waits until exactly this is found, and returns it.
#[track_caller]
fn until_only(home: &Home, name: &str) -> Value {
    until_only_by(home, &|| home.run(&DOCTOR), name)
}

/// The same, where the doctor is called in a way of the test's own.
#[track_caller]
fn until_only_by(home: &Home, doctor: &dyn Fn() -> Done, name: &str) -> Value {
    let deadline = clock::monotonic() + PATIENCE;
    loop {
        let (names, code, report) = read(&doctor());
        if names == [name] {
            let found = finding(&report, name);
            assert_eq!(code, if found["severity"] == "error" { 11 } else { 10 });
            can_be_typed(home, found);
            return found.clone();
        }
        assert!(clock::monotonic() < deadline, "{names:?} instead of {name}: {report:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Waits until exactly this is found and a part of it says these words.
#[track_caller]
fn until_only_says(home: &Home, name: &str, part: &str, words: &str) -> Value {
    let deadline = clock::monotonic() + PATIENCE;
    loop {
        let found = until_only(home, name);
        if found[part].to_string().contains(words) {
            return found;
        }
        assert!(clock::monotonic() < deadline, "{part} does not say {words:?}: {found:#}");
    }
}

#[track_caller]
fn until_healthy(home: &Home) {
    until_healthy_by(&|| home.run(&DOCTOR));
}

#[track_caller]
fn until_healthy_by(doctor: &dyn Fn() -> Done) {
    let deadline = clock::monotonic() + PATIENCE;
    loop {
        let (names, code, report) = read(&doctor());
        if names.is_empty() {
            assert_eq!((code, &report["errors"]), (0, &0.into()));
            return;
        }
        assert!(clock::monotonic() < deadline, "{report:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Whether a part of a finding says this.
#[track_caller]
fn says(finding: &Value, part: &str, words: &str) {
    assert!(finding[part].to_string().contains(words), "{part} does not say {words:?}: {finding:#}");
}

/// Every command of ours that a finding proposes is one that the program takes, up to what only a person can fill in.
fn can_be_typed(home: &Home, finding: &Value) {
    let mut mends: Vec<&str> =
        finding["mend"].as_array().unwrap().iter().map(|mend| mend.as_str().unwrap()).collect();
    assert!(!mends.is_empty(), "{finding:#}");
    let page = format!("jobforge runbook show {}", finding["runbook"].as_str().unwrap());
    mends.push(&page);
    for command in
        mends.iter().flat_map(|mend| mend.split(" | ")).filter(|part| part.starts_with("jobforge "))
    {
        // It stops at `--help`, and before that at whatever it does not know.
        let helped = typed(home, &format!("{command} --help"));
        assert_eq!(helped.code, 0, "{command:?} cannot be typed: {}", helped.err);
    }
    let shown = typed(home, &page);
    assert_eq!(shown.code, 0, "{}", shown.err);
}

/// What a shell gives that gets this line.
fn typed(home: &Home, line: &str) -> Done {
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", Home::programs().display());
    done(home.other("sh").args(["-c", line]).env("PATH", path).output().unwrap())
}

/// Does the last thing that a finding proposes and that begins so, as a person does who says yes.
#[track_caller]
fn mend(home: &Home, finding: &Value, begins: &str) {
    let mut mends = finding["mend"].as_array().unwrap().iter().map(|mend| mend.as_str().unwrap());
    let command = mends.rfind(|mend| mend.starts_with(begins));
    let command = command.unwrap_or_else(|| panic!("nothing begins with {begins:?}: {finding:#}"));
    let asks = command.contains(" retry ") && !command.contains(" --yes");
    let done = typed(home, &format!("{command}{}", if asks { " --yes" } else { "" }));
    assert_eq!(done.code, 0, "{command}: {}", done.err);
}

/// A payload that runs a script where the site is.
fn script(site: &Site, text: &str) -> Value {
    let argv = ["sh", "-c", &format!("cd {}; {text}", site.home.path().display())];
    json!({ "argv": argv, "grace_ms": 100 })
}

/// A job that runs a script where the site is.
fn enqueue(site: &Site, text: &str, more: &[&str]) -> String {
    let payload = script(site, text).to_string();
    let mut arguments = vec!["job", "enqueue", "exec", &payload];
    arguments.extend(more);
    site.home.ok(&arguments)
}

/// A job that says this, fails, and is dead of it.
fn dies(site: &Site, says: &str) -> String {
    enqueue(site, &format!("echo '{says}' >&2; exit 3"), &["--max-attempts", "1"])
}

/// Settles that dead jobs stay dead.
fn discard(home: &Home) {
    home.ok(&["dead", "discard", "--all", "--note", "known", "--yes"]);
}

/// More settings for whoever starts from now on.
fn configure(site: &Site, lines: &str) {
    let file = site.home.path().join("jobforge.toml");
    let known = std::fs::read_to_string(&file).unwrap();
    std::fs::write(file, format!("{known}{lines}\n")).unwrap();
}

/// A session on PostgreSQL that is left open by whoever began it.
struct Session {
    _client: Client,
    _runtime: Runtime,
}

/// A session that has run these statements and does nothing more.
fn left_open(site: &Site, statements: &str) -> Session {
    let runtime = Runtime::new().unwrap();
    let client = runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&site.database_url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(statements).await.unwrap();
        client
    });
    Session { _client: client, _runtime: runtime }
}

/// Ends the session whose transaction has been open for longest, as a finding proposes.
#[track_caller]
fn end_the_oldest(site: &Site, finding: &Value) {
    let mends: Vec<&str> = finding["mend"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let statement = |has: &str| *mends.iter().find(|mend| mend.contains(has)).unwrap();
    let listed = site.sql(statement("ORDER BY xact_start"));
    let pid = listed.split('|').next().unwrap();
    assert_eq!(site.sql(&statement("pg_terminate_backend").replace("PID", pid)), "t", "{listed}");
}

/// The program, by the way of another one that is given its name and its arguments.
fn by_way_of(home: &Home, other: &[&str], arguments: &[&str]) -> Command {
    let mut command = home.other(other[0]);
    command.args(&other[1..]).arg(Home::programs().join("jobforge")).args(arguments);
    command
}
