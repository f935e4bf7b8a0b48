//! Outgoing HTTP of the connectors: one request under the address guard, the circuit breakers and the limits.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, LOCATION};
use reqwest::{Client, Method, Response, StatusCode, redirect, retry};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::breaker::{Breakers, Ending, Pass};
use super::guard::{BadAllowEntry, BadUrl, Blocked, GuardedResolver, Policy};
use super::secrets::{Secrets, SecretsConfig};
use crate::clock;
use crate::context::JobContext;
use crate::job_error::JobError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How many redirects are followed where a payload allows any.
pub(super) const REDIRECTS_MAX: usize = 3;
/// What goes along when a redirect leads to another origin; any other header could be a credential.
const HARMLESS_HEADERS: [&str; 6] =
    ["accept", "accept-language", "content-type", "user-agent", "idempotency-key", "x-jobforge-fence"];

/// What the operator allows outgoing requests to reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpConfig {
    /// Private targets that may be reached all the same: `10.1.2.0/24`, `10.1.2.3:8080`, `[fd00::/8]:8080`.
    pub allow_private: Vec<String>,
    /// Ports of public targets beyond 80 and 443.
    pub allow_ports: Vec<u16>,
}

/// The outgoing side of one worker, shared by all its connector jobs.
#[derive(Debug)]
pub struct Outbound {
    policy: Arc<Policy>,
    /// One client per port, because a client tells its resolver the name but not the port, and our rules are about both.
    ///
    /// Within a client, a pooled connection is reused only for the same scheme, host and port, and it was opened under
    /// this same policy: a request to one host cannot ride on a connection that was allowed for another.
    clients: Mutex<HashMap<u16, Client>>,
    breakers: Mutex<Breakers>,
    pub(super) secrets: Secrets,
}

/// One request, with its limits.
#[derive(Debug)]
pub(super) struct Call {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Vec<u8>>,
    pub timeout: Duration,
    pub max_response_bytes: usize,
    pub max_redirects: usize,
}

/// What came back; any status is an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub truncated: bool,
    pub duration_ms: u64,
}

impl Outbound {
    /// Reads the operator's lists and prepares to send.
    ///
    /// # Errors
    /// Names the entry of `allow_private` that cannot be read.
    pub fn new(http: &HttpConfig, secrets: SecretsConfig) -> Result<Self, BadAllowEntry> {
        Ok(Self {
            policy: Arc::new(Policy::new(&http.allow_private, &http.allow_ports)?),
            clients: Mutex::default(),
            breakers: Mutex::default(),
            secrets: Secrets::new(secrets),
        })
    }

    /// Sends `call` and reads the answer, through redirects if the call allows them.
    ///
    /// # Errors
    /// `http_network` and `http_timeout` (retryable), a snooze while the host's circuit is open, `target_blocked` and the
    /// redirect errors (fatal), and [`JobError::stopped`].
    pub(super) async fn exchange(&self, call: Call, ctx: &JobContext) -> Result<Answer, JobError> {
        tokio::select! {
            biased;
            _ = ctx.stopped() => Err(JobError::stopped()),
            answer = self.follow(call, ctx) => answer,
        }
    }

    async fn follow(&self, mut call: Call, ctx: &JobContext) -> Result<Answer, JobError> {
        let started = Instant::from_std(clock::monotonic());
        let deadline = started + call.timeout;
        let mut redirects = 0;
        loop {
            let (response, mut permit) = self.send(&call, deadline, ctx).await?;
            let Some(target) = redirect_target(&call, &response) else {
                let ending = if response.status().is_server_error() { Ending::Ill } else { Ending::Well };
                permit.ending = Ending::Ill;
                let mut answer = read(&call, response, deadline).await?;
                permit.ending = ending;
                answer.duration_ms =
                    Instant::from_std(clock::monotonic()).duration_since(started).as_millis() as u64;
                return Ok(answer);
            };
            permit.ending = Ending::Well;
            redirects += 1;
            if redirects > call.max_redirects {
                let text = format!("{} redirected more than {} times", origin(&call.url), call.max_redirects);
                return Err(JobError::fatal("too_many_redirects", text));
            }
            redirect(&mut call, target?, response.status())?;
        }
    }

    /// Sends one request and waits for the head of its answer.
    async fn send(
        &self,
        call: &Call,
        deadline: Instant,
        ctx: &JobContext,
    ) -> Result<(Response, Permit<'_>), JobError> {
        let port = self.policy.check_url(&call.url).map_err(|bad| match bad {
            BadUrl::Malformed(problem) => super::invalid_payload("url", problem),
            BadUrl::Blocked(blocked) => refused(&blocked),
        })?;
        let client = self.client(port)?;
        let mut permit = self.enter(call, port, ctx)?;
        let mut request = client.request(call.method.clone(), call.url.clone()).headers(call.headers.clone());
        if let Some(body) = &call.body {
            request = request.body(body.clone());
        }
        let outcome = timeout_at(deadline, request.send()).await;
        let problem = match outcome {
            Ok(Ok(response)) => return Ok((response, permit)),
            Ok(Err(error)) => match find::<Blocked>(&error) {
                Some(blocked) => return Err(refused(blocked)),
                None => failed(call, &error),
            },
            Err(_) => timed_out(call),
        };
        permit.ending = Ending::Ill;
        Err(problem)
    }

    fn enter(&self, call: &Call, port: u16, ctx: &JobContext) -> Result<Permit<'_>, JobError> {
        let host = format!("{}:{port}", call.url.host_str().unwrap_or_default());
        match lock(&self.breakers).enter(&host, clock::monotonic()) {
            Ok(pass) => Ok(Permit { breakers: &self.breakers, host, pass, ending: Ending::BrokenOff }),
            Err(wait) => {
                ctx.log(format!(
                    "{host} failed repeatedly and is left alone; asking again in {} s",
                    wait.as_secs() + 1
                ));
                Err(JobError::snooze(wait))
            }
        }
    }

    fn client(&self, port: u16) -> Result<Client, JobError> {
        let mut clients = lock(&self.clients);
        if let Some(client) = clients.get(&port) {
            return Ok(client.clone());
        }
        let resolver = GuardedResolver { policy: Arc::clone(&self.policy), port };
        let client = build(resolver).map_err(|error| {
            JobError::retry("http_client", format!("the HTTP client could not be set up: {error}"))
        })?;
        clients.insert(port, client.clone());
        Ok(client)
    }
}

/// A client for addresses that the operator named, which no payload can: any address, within a time.
pub(crate) fn plain_client(within: Duration) -> reqwest::Result<Client> {
    choose_crypto();
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(within)
        .user_agent(concat!("jobforge/", env!("CARGO_PKG_VERSION")))
        .build()
}

fn choose_crypto() {
    static CRYPTO: Once = Once::new();
    CRYPTO.call_once(|| {
        // Someone else in this process may have chosen already; theirs is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// Builds a client that does nothing on its own: no proxy of the environment, no redirect, no retry, no `Referer`.
fn build(resolver: GuardedResolver) -> reqwest::Result<Client> {
    choose_crypto();
    Client::builder()
        .dns_resolver(Arc::new(resolver))
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .user_agent(concat!("jobforge/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Leave to send to one host; tells the circuit breaker how it went when dropped.
#[derive(Debug)]
struct Permit<'a> {
    breakers: &'a Mutex<Breakers>,
    host: String,
    pass: Pass,
    ending: Ending,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        lock(self.breakers).ended(&self.host, self.pass, self.ending, clock::monotonic());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Both maps are whole after every statement, so a panic elsewhere leaves them usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads the body up to the limit; what is beyond stays unread and the connection is closed.
async fn read(call: &Call, mut response: Response, deadline: Instant) -> Result<Answer, JobError> {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    let mut truncated = false;
    while !truncated {
        let chunk = match timeout_at(deadline, response.chunk()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => break,
            Ok(Err(error)) => return Err(failed(call, &error)),
            Err(_) => return Err(timed_out(call)),
        };
        let room = call.max_response_bytes - body.len();
        truncated = chunk.len() > room;
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Ok(Answer { status, headers, body, truncated, duration_ms: 0 })
}

/// Where an answer wants us to go; `None` if it is to be taken as it is.
fn redirect_target(call: &Call, response: &Response) -> Option<Result<Url, JobError>> {
    if call.max_redirects == 0 || !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION)?;
    let target = location.to_str().ok().and_then(|location| call.url.join(location).ok());
    Some(target.ok_or_else(|| {
        JobError::fatal(
            "bad_redirect",
            format!("{} redirected to something that is no URL", origin(&call.url)),
        )
    }))
}

/// Turns `call` into the request that a redirect asks for. The new URL is checked like the first when it is sent.
fn redirect(call: &mut Call, target: Url, status: StatusCode) -> Result<(), JobError> {
    if call.url.scheme() == "https" && target.scheme() != "https" {
        let text = format!("{} redirected to an unencrypted URL", origin(&call.url));
        return Err(JobError::fatal("insecure_redirect", text));
    }
    if call.url.origin() != target.origin() {
        let harmless = |name: &HeaderName| HARMLESS_HEADERS.contains(&name.as_str());
        call.headers = call
            .headers
            .iter()
            .filter(|(name, _)| harmless(name))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect();
    }
    // As browsers do: 303 always turns into a GET, 301 and 302 do for a POST, 307 and 308 repeat the request.
    let to_get = match status {
        StatusCode::SEE_OTHER => call.method != Method::HEAD,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => call.method == Method::POST,
        _ => false,
    };
    if to_get {
        call.method = Method::GET;
        call.body = None;
        call.headers.remove(CONTENT_TYPE);
    }
    call.url = target;
    Ok(())
}

fn refused(blocked: &Blocked) -> JobError {
    JobError::fatal("target_blocked", blocked.to_string())
}

fn timed_out(call: &Call) -> JobError {
    let text = format!(
        "{} {} did not answer within {} ms",
        call.method,
        origin(&call.url),
        call.timeout.as_millis()
    );
    JobError::retry("http_timeout", text)
}

fn failed(call: &Call, error: &reqwest::Error) -> JobError {
    // The innermost cause is the one that says something ("connection refused"); the outer ones repeat the URL,
    // and paths and queries carry tokens.
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let said = if error.is_timeout() {
        format!("no connection within {} s", CONNECT_TIMEOUT.as_secs())
    } else if error.source().is_none() {
        "the request failed".to_owned()
    } else {
        cause.to_string()
    };
    JobError::retry("http_network", format!("{} {}: {said}", call.method, origin(&call.url)))
}

/// Finds an error of ours in the chain of causes.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}

/// Scheme, host and port: all of a URL that may be printed.
pub(crate) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}
