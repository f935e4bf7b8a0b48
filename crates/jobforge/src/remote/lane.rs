//! One connection for one concern: a request at a time, kept open, made anew when it broke.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jobforge_api::Problem;
use jobforge_api::worker::{PROTOCOL, PROTOCOL_HEADER};
use jobforge_store::StoreError;
use jobforge_store::error::{BoxError, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use super::SDK;
use super::path::ShortPath;

/// How long a server may take to answer; the database behind it waits at most 5 s for another process.
const ANSWER_TIME: Duration = Duration::from_secs(15);
/// Most items in one request.
const ITEMS: usize = 1000;
/// Most bytes of items in one request, well below what a server reads.
const BYTES: usize = 4 * 1024 * 1024;

/// A request's body.
type Whole = Full<Bytes>;
/// An open connection.
type Open = SendRequest<Whole>;

/// A connection to the server for one kind of calls.
#[derive(Debug)]
pub(super) struct Lane {
    socket: PathBuf,
    /// Taken while a request is under way, so that a call that is dropped half way takes its connection along.
    idle: Mutex<Option<Open>>,
}

impl Lane {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket, idle: Mutex::default() }
    }

    /// Sends a call of the worker protocol and reads its answer.
    pub(super) async fn post<Q: Serialize, A: DeserializeOwned>(
        &self,
        call: &'static str,
        request: &Q,
    ) -> Result<A> {
        let answer = self.call(call, request).await?;
        serde_json::from_slice(&answer).map_err(|fault| self.failed(call, fault.into()))
    }

    /// Sends a call whose answer is empty.
    pub(super) async fn tell<Q: Serialize>(&self, call: &'static str, request: &Q) -> Result<()> {
        self.call(call, request).await.map(drop)
    }

    async fn call<Q: Serialize>(&self, call: &'static str, request: &Q) -> Result<Bytes> {
        let body = serde_json::to_vec(request).map_err(|fault| self.failed(call, fault.into()))?;
        self.send(call, Method::POST, &format!("/v1/worker/{call}"), Bytes::from(body)).await
    }

    /// Asks for something, whatever it is.
    pub(super) async fn get(&self, call: &'static str, path: &str) -> Result<()> {
        self.send(call, Method::GET, path, Bytes::new()).await.map(drop)
    }

    async fn send(&self, call: &'static str, method: Method, path: &str, body: Bytes) -> Result<Bytes> {
        let mut idle = self.idle.lock().await;
        let exchange = async {
            loop {
                let kept = idle.take().filter(|open| !open.is_closed());
                let reused = kept.is_some();
                let mut open = match kept {
                    Some(open) => open,
                    None => connect(&self.socket).await.map_err(|source| self.unreachable(source))?,
                };
                match answer(&mut open, request(method.clone(), path, body.clone())).await {
                    Ok(answered) => return Ok((answered, open)),
                    // The server had closed it meanwhile. Every call may be sent again.
                    Err(_) if reused => {}
                    Err(source) => return Err(self.interrupted(call, source)),
                }
            }
        };
        let answered = match tokio::time::timeout(ANSWER_TIME, exchange).await {
            Ok(answered) => answered,
            Err(elapsed) => Err(self.interrupted(call, elapsed.into())),
        };
        let ((status, bytes), open) = answered?;
        *idle = Some(open);
        drop(idle);
        if status.is_success() { Ok(bytes) } else { Err(self.refused(call, status, &bytes)) }
    }

    fn location(&self) -> String {
        self.socket.display().to_string()
    }

    fn unreachable(&self, source: BoxError) -> StoreError {
        StoreError::Unreachable { location: self.location(), source }
    }

    fn interrupted(&self, call: &'static str, source: BoxError) -> StoreError {
        StoreError::Interrupted { location: self.location(), call, source }
    }

    fn failed(&self, call: &'static str, source: BoxError) -> StoreError {
        StoreError::Failed { location: self.location(), call, source }
    }

    /// What a refusal means to the caller: whether to try again, or to give this call up.
    fn refused(&self, call: &'static str, status: StatusCode, body: &[u8]) -> StoreError {
        let problem = serde_json::from_slice::<Problem>(body).ok();
        let source = problem.as_ref().map_or_else(
            || format!("the server answered {status}"),
            |problem| format!("{} ({}): {}", problem.title, problem.code, problem.detail),
        );
        let location = self.location();
        match status {
            StatusCode::INSUFFICIENT_STORAGE => StoreError::Full { location, source: source.into() },
            StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::CONFLICT => StoreError::Interrupted { location, call, source: source.into() },
            _ => StoreError::Failed { location, call, source: source.into() },
        }
    }
}

/// Opens a connection; it lives as long as the value that is returned.
pub(super) async fn connect(socket: &Path) -> std::result::Result<Open, BoxError> {
    let short = ShortPath::of(socket)?;
    let stream = UnixStream::connect(short.as_path()).await?;
    let (open, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(open)
}

/// A request of the protocol.
pub(super) fn request(method: Method, path: &str, body: Bytes) -> Request<Whole> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    // Paths are our own; one that is no path would be answered with 404.
    *request.uri_mut() = path.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("localhost"));
    headers.insert(USER_AGENT, HeaderValue::from_static(SDK));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(PROTOCOL_HEADER, HeaderValue::from_static(PROTOCOL));
    request
}

/// Sends a request and waits for the head of the answer.
pub(super) async fn head(
    open: &mut Open,
    request: Request<Whole>,
) -> std::result::Result<Response<Incoming>, BoxError> {
    open.ready().await?;
    Ok(open.send_request(request).await?)
}

async fn answer(
    open: &mut Open,
    request: Request<Whole>,
) -> std::result::Result<(StatusCode, Bytes), BoxError> {
    let response = head(open, request).await?;
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

/// Items in portions that fit into one request each. An item that is too large by itself goes alone, and is refused.
pub(super) fn portions<T: Serialize>(items: Vec<T>) -> Vec<Vec<T>> {
    let mut portions: Vec<Vec<T>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let more = size(&item);
        match portions.last_mut() {
            Some(last) if last.len() < ITEMS && bytes + more <= BYTES => {
                bytes += more;
                last.push(item);
            }
            Some(_) | None => {
                bytes = more;
                portions.push(vec![item]);
            }
        }
    }
    portions
}

/// How many bytes an item has as JSON, counted without keeping them.
fn size(item: &impl Serialize) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // What cannot be written as JSON fails when it is sent.
    let _ = serde_json::to_writer(&mut count, item);
    count.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_are_bounded_by_count_and_by_bytes_and_lose_nothing() {
        let sizes = |items: Vec<String>| -> Vec<usize> { portions(items).iter().map(Vec::len).collect() };
        assert_eq!(sizes(vec!["x".to_owned(); 2500]), [1000, 1000, 500]);
        assert_eq!(sizes(vec!["x".repeat(BYTES / 3); 5]), [2, 2, 1]);
        assert_eq!(sizes(vec!["x".repeat(BYTES * 2); 2]), [1, 1]);
        assert!(sizes(Vec::new()).is_empty());
    }
}
