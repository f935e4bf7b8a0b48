//! Large payloads in a bucket: a real `up`, and moto as what speaks S3. `cargo xtask test` names its program.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::program::{Home, Running, eventually};

const SECRET: &str = "s3cret-4711";

struct Moto {
    process: Child,
    port: u16,
}

impl Moto {
    /// With a bucket `forge`.
    #[expect(clippy::disallowed_methods, reason = "says which program of the test's own to start")]
    fn start(port: u16) -> Self {
        let program = std::env::var("MOTO_SERVER").expect("MOTO_SERVER names moto's server; see xtask/moto");
        let mut moto = Command::new(program);
        moto.args(["-H", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let moto = Self { process: moto.spawn().unwrap(), port };
        eventually("moto answers", || {
            moto.ask("PUT", "/forge").is_some_and(|answer| answer.contains(" 200 "))
        });
        moto
    }

    fn ask(&self, method: &str, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let asked = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(asked.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// The names of what is in the bucket.
    fn keys(&self) -> Vec<String> {
        let listed = self.ask("GET", "/forge?list-type=2").unwrap();
        listed.split("<Key>").skip(1).filter_map(|rest| Some(rest.split_once('<')?.0.to_owned())).collect()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn with_bucket(mut command: Command, port: u16) -> Command {
    command
        .env("JOBFORGE_PAYLOAD_STORE", "s3://forge/jobs/of-a-test")
        .env("JOBFORGE_EXEC_ALLOW", "*")
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", SECRET);
    command
}

#[test]
fn a_large_job_goes_through_a_bucket_and_waits_while_that_is_away() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let moto = Moto::start(port);
    let home = Home::new();
    let up = Running::start(
        with_bucket(home.command(&["up", "--listen", "127.0.0.1:0"]), port),
        "stop with Ctrl-C",
    );
    let payload = json!({ "argv": ["wc", "-c"], "stdin": "x".repeat(300_000) }).to_string();
    std::fs::write(home.path().join("large.json"), &payload).unwrap();
    let enqueue = |more: &[&str]| {
        let arguments = [&["job", "enqueue", "exec", "@large.json"], more].concat();
        crate::program::done(with_bucket(home.command(&arguments), port).output().unwrap())
    };
    let first = enqueue(&[]);
    assert_eq!(first.code, 0, "{}", first.err);
    let job = home.until(first.out.trim(), "succeeded");
    assert_eq!(job["result"]["stdout_tail"], "300000\n", "{job}");
    assert_eq!(job["payload"]["$jobforge.payload"]["bytes"], payload.len());
    let keys: Vec<String> = moto.keys().into_iter().filter(|key| key != "jobs/of-a-test/owner").collect();
    let [key] = &keys[..] else { panic!("one object: {keys:?}") };
    assert!(key.starts_with("jobs/of-a-test/") && key.contains(&first.out.trim().replace('-', "")), "{key}");

    // The sweep has looked through it since the start.
    assert!(!up.said().contains("payloads without jobs"), "{}", up.said());

    // One that waits until the bucket is gone.
    let late = enqueue(&["--delay", "2s", "--max-attempts", "1"]);
    assert_eq!(late.code, 0, "{}", late.err);
    drop(moto);
    let refused = enqueue(&[]);
    assert_eq!(refused.code, 6, "{}", refused.err);
    assert!(refused.err.contains("payload_store (s3://forge/jobs/of-a-test)"), "{}", refused.err);
    let dead = home.until(late.out.trim(), "dead");
    assert_eq!(dead["error"]["kind"], "payload_store_unavailable");
    // Another one, with nothing in it.
    let _moto = Moto::start(port);
    home.ok(&["job", "retry", late.out.trim()]);
    assert_eq!(home.until(late.out.trim(), "dead")["error"]["kind"], "payload_missing");
    let said = [up.said(), refused.err, dead.to_string()].concat();
    assert!(!said.contains(SECRET), "a secret is told");
    assert_eq!(up.terminate(), 0);
}
