//! A server for a test, and a client that sends exactly what the test says.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use jobforge::core::settings::Settings;
use jobforge::live::Live;
use jobforge::{Client, JobContext, JobError, JobType, Worker};
use jobforge_server::{ServerError, ServerOptions, bind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Nothing in these tests takes this long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Site {
    pub(crate) client: Client,
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) draining: CancellationToken,
    pub(crate) running: JoinHandle<Result<(), ServerError>>,
    pub(crate) token: Option<String>,
    _dir: Option<TempDir>,
}

pub(crate) fn options(listen: &str) -> ServerOptions {
    ServerOptions { listen: listen.parse().expect("an address"), auth_token: None, admin_token: None }
}

pub(crate) async fn database() -> Result<(Client, TempDir)> {
    let dir = tempfile::tempdir()?;
    let client = Client::open(&format!("sqlite:{}", dir.path().join("jobs.db").display())).await?;
    Ok((client, dir))
}

/// A server on loopback without a token.
pub(crate) async fn site() -> Result<Site> {
    let (client, dir) = database().await?;
    Ok(Site { _dir: Some(dir), ..serve(client, options("127.0.0.1:0"), fixed()).await? })
}

/// A server whose API needs a token.
pub(crate) async fn guarded() -> Result<Site> {
    let (client, dir) = database().await?;
    Ok(Site { _dir: Some(dir), ..serve(client, with_tokens(), fixed()).await? })
}

/// The two tokens of the environment.
pub(crate) fn with_tokens() -> ServerOptions {
    ServerOptions {
        auth_token: Some("operator-key".to_owned()),
        admin_token: Some("admin-key".to_owned()),
        ..options("127.0.0.1:0")
    }
}

/// Settings that nothing changes.
pub(crate) fn fixed() -> Live {
    Live::fixed(Settings::defaults())
}

/// Asks again and again until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let asked = async {
        while !is_so().await? {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, asked).await.with_context(|| format!("it did not happen: {what}"))?
}

pub(crate) async fn serve(client: Client, options: ServerOptions, live: Live) -> Result<Site> {
    let server = bind(options, client.clone(), live).await?;
    let (address, draining, stop) = (server.address(), server.draining(), CancellationToken::new());
    let running = tokio::spawn(server.run(stop.clone()));
    Ok(Site { client, address, stop, draining, running, token: None, _dir: None })
}

impl Site {
    pub(crate) async fn get(&self, path: &str) -> Result<Answer> {
        self.send("GET", path, &[], b"").await
    }

    pub(crate) async fn post(&self, path: &str) -> Result<Answer> {
        self.send("POST", path, &[], b"").await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Answer> {
        self.send("DELETE", path, &[], b"").await
    }

    /// Posts text as a job.
    pub(crate) async fn enqueue(&self, body: &str) -> Result<Answer> {
        self.send("POST", "/v1/jobs", &[("Content-Type", "application/json")], body.as_bytes()).await
    }

    /// Enqueues a job that must be accepted, and returns its id.
    pub(crate) async fn job(&self, body: &str) -> Result<String> {
        let answer = self.enqueue(body).await?;
        anyhow::ensure!(answer.status == 201, "{answer:?}");
        Ok(answer.json()["id"].as_str().context("an id")?.to_owned())
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head.push_str(&format!("Host: {}\r\n", self.address));
        }
        if let Some(token) = &self.token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let raw = [head.as_bytes(), b"\r\n", body].concat();
        let answer = self.raw(&raw).await?;
        crate::described::check(method, path, &answer);
        Ok(answer)
    }

    /// Sends bytes as they are and reads the answer to its end.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Result<Answer> {
        let talk = async {
            let mut stream = TcpStream::connect(self.address).await?;
            stream.write_all(bytes).await?;
            Answer::read(&mut stream).await
        };
        tokio::time::timeout(PATIENCE, talk).await.context("the server did not answer")?
    }
}

/// An answer, with its header names in lower case.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Self> {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        let text = String::from_utf8(bytes)?;
        let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("no head in {text:?}"))?;
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("a status")?.parse()?;
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Ok(Self { status, headers, body: body.to_owned() })
    }

    /// Status and headers, without those that differ from one answer to the next.
    pub(crate) fn told(&self) -> String {
        let varies = ["x-request-id", "date", "ratelimit"];
        let fixed = self.headers.iter().filter(|(name, _)| !varies.contains(&name.as_str()));
        format!("{} {:?}", self.status, fixed.collect::<Vec<_>>())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|fault| panic!("{fault} in {self:?}"))
    }

    /// Every value of a header that may come several times.
    pub(crate) fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Checks that it is a problem of this status and code, and returns its detail.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem: jobforge_api::Problem = serde_json::from_str(&self.body).expect("a problem");
        assert_eq!((problem.status, problem.code.as_str()), (status, code), "{self:?}");
        assert_eq!(self.header("x-request-id").len(), 36, "{self:?}");
        problem.detail
    }

    /// `pointer code` of each single fault.
    pub(crate) fn faults(&self) -> Vec<String> {
        let problem: jobforge_api::Problem = serde_json::from_str(&self.body).expect("a problem");
        problem.errors.iter().map(|error| format!("{} {}", error.pointer, error.code)).collect()
    }
}

/// Logs a line and succeeds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Greet {
    pub(crate) name: String,
}

impl JobType for Greet {
    const TYPE: &'static str = "greet";
    type Output = String;
}

/// Runs until it is stopped.
#[derive(Serialize, Deserialize)]
pub(crate) struct Hold {}

impl JobType for Hold {
    const TYPE: &'static str = "hold";
    type Output = ();
}

/// A worker that knows the two.
pub(crate) async fn worker(client: &Client) -> Result<Worker> {
    Ok(Worker::builder(client).register(greet).register(hold).start().await?)
}

async fn greet(job: Greet, ctx: JobContext) -> Result<String, JobError> {
    ctx.log(format!("greeting {}", job.name));
    Ok(format!("hello {}", job.name))
}

pub(crate) async fn hold(_: Hold, ctx: JobContext) -> Result<(), JobError> {
    ctx.stopped().await;
    ctx.check()
}

/// Asks again until the job has this status.
pub(crate) async fn until_status(site: &Site, id: &str, status: &str) -> Result<Value> {
    let look = async {
        loop {
            let job = site.get(&format!("/v1/jobs/{id}")).await?.json();
            if job["status"] == status {
                return anyhow::Ok(job);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.with_context(|| format!("job {id} did not become {status}"))?
}
