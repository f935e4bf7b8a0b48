//! A server on a Unix socket, and a worker written by hand.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jobforge::core::death::Place;
use jobforge::core::job::WorkerId;
use jobforge::core::settings::Settings;
use jobforge::core::time::Now;
use jobforge::core::worker::NewWorker;
use jobforge::live::Live;
use jobforge::{Client, clock, process};
use jobforge_server::{SocketOptions, bind_socket};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;

use crate::harness::{Answer, PATIENCE, database};

/// The worker of these tests.
pub(crate) const WORKER: &str = "worker-0a1b2c3d";

pub(crate) struct WorkerSite {
    pub(crate) client: Client,
    pub(crate) socket: PathBuf,
    _stop: DropGuard,
    _dir: TempDir,
}

/// A server that has the worker registered.
pub(crate) async fn registered() -> Result<WorkerSite> {
    let site = worker_site().await?;
    site.ok("register", &registration()).await?;
    Ok(site)
}

pub(crate) fn registration() -> Value {
    json!({
        "worker_id": WORKER, "name": "night shift", "host": "build-7", "pid": 4242, "sdk": "jobforge-python/0.1.0",
        "queues": ["default", "mail"], "types": ["email.send"], "slots": 4,
    })
}

pub(crate) async fn worker_site() -> Result<WorkerSite> {
    let (client, dir) = database().await?;
    let socket = dir.path().join("jobs.sock");
    let live = Live::fixed(Settings::defaults());
    let server = bind_socket(SocketOptions { path: socket.clone() }, client.clone(), live)?;
    let stop = CancellationToken::new();
    tokio::spawn(server.run(stop.clone()));
    Ok(WorkerSite { client, socket, _stop: stop.drop_guard(), _dir: dir })
}

impl WorkerSite {
    /// Enqueues a job and returns its id.
    pub(crate) async fn job(&self, more: &Value) -> Result<String> {
        let mut job = json!({ "type": "email.send", "payload": { "to": "a@example.org" } });
        for (name, value) in more.as_object().into_iter().flatten() {
            job[name] = value.clone();
        }
        let answer = self.raw(&post("/v1/jobs", &[], job.to_string().as_bytes())).await?;
        Ok(answer.json()["id"].as_str().context("an id")?.to_owned())
    }

    pub(crate) async fn call(&self, call: &str, request: &Value) -> Result<Answer> {
        self.raw(&post(&format!("/v1/worker/{call}"), &[], request.to_string().as_bytes())).await
    }

    /// A call that must be answered with success.
    pub(crate) async fn ok(&self, call: &str, request: &Value) -> Result<Value> {
        let answer = self.call(call, request).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(answer.json())
    }

    pub(crate) async fn claim(&self, wait_ms: u64) -> Result<Value> {
        self.ok("claim", &claim(wait_ms)).await
    }

    /// Claims the one job that must be there; returns its id and fence.
    pub(crate) async fn claim_one(&self) -> Result<(Value, Value)> {
        let claimed = self.claim(0).await?;
        let job = claimed["jobs"].get(0).context("a job")?;
        Ok((job["id"].clone(), job["fence"].clone()))
    }

    /// How the one attempt ended, and what the server says to that.
    pub(crate) async fn result(&self, result: &Value) -> Result<Value> {
        let answer = self.ok("results", &json!({ "worker_id": WORKER, "results": [result] })).await?;
        Ok(answer["results"][0].clone())
    }

    /// Has a worker in another process hold a job; returns both.
    pub(crate) async fn hold_as(&self, pid: u32) -> Result<(String, String)> {
        let process = process::of(pid).context("a process of this machine")?;
        let worker = NewWorker {
            id: WorkerId(WORKER.to_owned()),
            name: None,
            hostname: "build-7".to_owned(),
            pid,
            queues: vec!["default".to_owned()],
            types: None,
            slots: 1,
            lease: Duration::from_secs(60),
            lease_scales: false,
            place: Some(Place { process, up_for: clock::boot(), slot: None }),
            registered_by: None,
        };
        self.client.store().register(&worker, Now::Database).await?;
        let job = self.job(&json!({})).await?;
        self.claim_one().await?;
        Ok((worker.id.0, job))
    }

    pub(crate) async fn status(&self, id: &Value) -> Result<String> {
        let id = id.as_str().context("an id")?.parse()?;
        Ok(self.client.job(id).await?.status.to_string())
    }

    pub(crate) async fn connect(&self) -> Result<UnixStream> {
        Ok(UnixStream::connect(&self.socket).await?)
    }

    /// Sends bytes as they are and reads the answer to its end.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Result<Answer> {
        let talk = async {
            let mut stream = self.connect().await?;
            stream.write_all(bytes).await?;
            Answer::read(&mut stream).await
        };
        tokio::time::timeout(PATIENCE, talk).await.context("the server did not answer")?
    }
}

pub(crate) fn claim(wait_ms: u64) -> Value {
    json!({
        "worker_id": WORKER, "queues": [{ "name": "default", "max": 4 }], "types": ["email.send"], "wait_ms": wait_ms,
    })
}

/// A process that lives until it is killed, and its identity.
pub(crate) fn sleeper() -> Result<(Child, Value)> {
    let child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn()?;
    let process = process::of(child.id()).context("a Linux machine")?;
    let identity = json!({
        "boot_id": process.boot_id, "pid_namespace": process.pid_namespace, "pid": process.pid,
        "started": process.started,
    });
    Ok((child, identity))
}

/// What its parent would say of it when it was killed.
pub(crate) fn death(process: &Value) -> Value {
    let end = json!({ "kind": "signaled", "signal": 9, "name": "SIGKILL" });
    json!({ "process": process, "end": end, "last_output": ["writing page 1", "writing page 2"] })
}

pub(crate) fn post(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    if !headers.iter().any(|(name, _)| *name == "Content-Type") {
        head.push_str("Content-Type: application/json\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    [head.as_bytes(), b"\r\n", body].concat()
}
