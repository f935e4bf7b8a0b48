//! `jobforge alert`: silences, rules, and a channel that is really told.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;

use crate::program::{Home, Running, eventually};

fn json(home: &Home, arguments: &[&str]) -> Value {
    let text = home.ok(&[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
}

#[test]
fn process_a_silence_is_begun_listed_and_ended() {
    let home = Home::new();
    home.ok(&["db", "migrate"]);
    let begun = ["alert", "silence", "SlowJobs", "--label", "type=media.qc", "--for", "2h"];
    let id = home.ok(&[&begun[..], &["--reason", "the import"]].concat());
    let listed = json(&home, &["alert", "list"]);
    let silence = &listed["silences"][0];
    assert_eq!((&silence["id"], &silence["rule"]), (&id.as_str().into(), &"SlowJobs".into()), "{listed}");
    assert_eq!((&silence["labels"]["type"], &silence["reason"]), (&"media.qc".into(), &"the import".into()));
    let shown = home.run(&["alert", "list"]);
    assert!(
        shown.out.contains(&id) && shown.err.contains("no server judges alerts"),
        "{} {}",
        shown.out,
        shown.err
    );
    home.ok(&["alert", "unsilence", &id]);
    assert_eq!(json(&home, &["alert", "list"])["silences"], Value::Array(Vec::new()));
    let actions = json(&home, &["audit", "list"]).to_string();
    assert!(actions.contains("the import"), "{actions}");
    for (arguments, code, says) in [
        (&["alert", "unsilence", id.as_str()][..], 3, "there is no silence"),
        (&["alert", "silence", "Nothing", "--for", "2h"], 2, "is no rule"),
        (&["alert", "silence", "SlowJobs", "--for", "1s"], 2, "between 1m and 30d"),
        (&["alert", "silence", "*", "--for", "2d"], 2, "at most 1d"),
        (&["alert", "silence", "*", "--label", "queue", "--for", "2h"], 2, "NAME=VALUE"),
        (&["alert", "test", "no such"], 2, "channel"),
    ] {
        let done = home.run(arguments);
        assert_eq!(done.code, code, "{arguments:?}: {}", done.err);
        assert!(done.err.contains(says), "{arguments:?}: {}", done.err);
    }
    let rules = json(&home, &["alert", "rules"]);
    let names: Vec<&str> =
        rules["rules"].as_array().unwrap().iter().filter_map(|r| r["rule"].as_str()).collect();
    for named in ["heartbeat_missed_high", "BackgroundJobNotRunning", "DeadLetterSpike", "SlowJobs"] {
        assert!(names.contains(&named), "{names:?}");
    }
}

/// Takes one request, answers that all is well, and gives back what was sent.
fn taken(listener: &TcpListener) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).unwrap();
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.lines().find_map(|line| {
                line.to_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok()
            });
            length.is_some_and(|length| body.len() >= length)
        });
        if read == 0 || whole {
            break;
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").unwrap();
    text
}

#[test]
fn process_a_channel_of_the_configuration_file_is_tried_and_told() {
    let home = Home::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let hook = format!("http://{}/hook", listener.local_addr().unwrap());
    let config = format!("[[alert_channels]]\nname = \"oncall\"\nkind = \"webhook\"\nurl = \"{hook}\"\n");
    std::fs::write(home.path().join("jobforge.toml"), config).unwrap();
    let arguments = ["serve", "--config", "jobforge.toml", "--listen", "127.0.0.1:0"];
    let serve = Running::start(home.command(&arguments), "stop with Ctrl-C");
    let told = std::thread::spawn(move || taken(&listener));
    let tried = home.run(&["alert", "test", "oncall"]);
    assert_eq!(tried.code, 0, "{}", tried.err);
    assert!(tried.err.contains("oncall took the message"), "{}", tried.err);
    let told = told.join().unwrap();
    assert!(told.starts_with("POST /hook HTTP/1.1") && told.contains("\"alerts\""), "{told}");
    let unknown = home.run(&["alert", "test", "nobody"]);
    assert!(unknown.code != 0 && unknown.err.contains("nobody"), "{}", unknown.err);
    eventually("the server judges", || json(&home, &["alert", "list"])["judged"]["by"].is_string());
    assert_eq!(serve.terminate(), 0);
}
