//! The way between worker and server: it writes down what passes, and does to it what the weather says.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderMap, RETRY_AFTER, TRANSFER_ENCODING,
};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, client, server};
use hyper_util::rt::TokioIo;
use jobforge::clock;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::record::{Call, Exchange, Fate, Record};
use super::weather::{Coming, Going, Weather};

/// Most bytes of a request or an answer that are read.
const BODY: usize = 16 * 1024 * 1024;
/// Most exchanges that are written down; a worker that asks without pause shall not fill the memory.
const EXCHANGES: usize = 20_000;

type Body = BoxBody<Bytes, hyper::Error>;

/// A running proxy; it and all connections through it end when this is dropped.
pub(super) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

struct Shared {
    began: Instant,
    target: watch::Sender<Option<SocketAddr>>,
    gate: watch::Sender<bool>,
    weather: Mutex<Weather>,
    record: Mutex<Record>,
}

impl Proxy {
    pub(super) async fn start(target: SocketAddr) -> Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen as a proxy")?;
        let address = listener.local_addr().context("cannot listen as a proxy")?;
        let shared = Arc::new(Shared {
            began: clock::monotonic(),
            target: watch::channel(Some(target)).0,
            gate: watch::channel(false).0,
            weather: Mutex::default(),
            record: Mutex::default(),
        });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, _accepting: accepting })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the server is now; nowhere while there is none.
    pub(super) fn lead_to(&self, target: Option<SocketAddr>) {
        self.shared.target.send_replace(target);
    }

    /// Changes the weather for what comes from now on.
    pub(super) fn weather(&self, weather: Weather) {
        *lock(&self.shared.weather) = weather;
    }

    /// Lets go on what was told to be late.
    pub(super) fn open_gate(&self) {
        self.shared.gate.send_replace(true);
    }

    pub(super) fn record(&self) -> Record {
        lock(&self.shared.record).clone()
    }

    /// The time since the case began.
    pub(super) fn elapsed(&self) -> Duration {
        self.shared.elapsed()
    }
}

impl Shared {
    fn elapsed(&self) -> Duration {
        clock::monotonic().duration_since(self.began)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((near, _)) = accepted else { return };
                let _ = near.set_nodelay(true);
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let answer = service_fn(|request| pass(Arc::clone(&shared), request));
                    // A connection whose request is to be lost ends without an answer, as if the network had.
                    let _ = server::conn::http1::Builder::new().serve_connection(TokioIo::new(near), answer).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Writes down how an exchange went, also if the worker hangs up half way.
struct Line {
    shared: Arc<Shared>,
    index: Option<usize>,
    fate: Fate,
}

impl Line {
    fn begin(shared: &Arc<Shared>, call: Call, path: String, asked: Value) -> Self {
        let at = shared.elapsed();
        let (ended, status, answer, fate) = (None, None, Value::Null, Fate::Open);
        let mut record = lock(&shared.record);
        let index = (record.0.len() < EXCHANGES).then_some(record.0.len());
        if index.is_some() {
            record.0.push(Exchange { at, ended, call, path, asked, status, answer, fate });
        }
        drop(record);
        Self { shared: Arc::clone(shared), index, fate: Fate::HungUp }
    }

    fn change(&self, change: impl FnOnce(&mut Exchange)) {
        let mut record = lock(&self.shared.record);
        if let Some(exchange) = self.index.and_then(|index| record.0.get_mut(index)) {
            change(exchange);
        }
    }

    fn answered(&self, status: StatusCode, answer: &Value) {
        self.change(|exchange| {
            exchange.status = Some(status.as_u16());
            exchange.answer = answer.clone();
        });
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let (ended, fate) = (self.shared.elapsed(), self.fate);
        self.change(|exchange| {
            exchange.ended = Some(ended);
            exchange.fate = fate;
        });
    }
}

async fn pass(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>> {
    let (mut head, body) = request.into_parts();
    let whole = Limited::new(body, BODY).collect().await.map_err(|error| anyhow::anyhow!("{error}"))?;
    let whole = whole.to_bytes();
    let body: Value = serde_json::from_slice(&whole).unwrap_or_default();
    let path = head.uri.path().to_owned();
    let call = Call::of(&path);
    let mut line = Line::begin(&shared, call, path, body);
    hop_by_hop(&mut head.headers);
    let request = Request::from_parts(head, Full::new(whole));
    let going = (lock(&shared.weather).going)(call);
    let forwarded = match going {
        Going::Pass => forward(&shared, request).await,
        Going::Wait(time) => {
            tokio::time::sleep(time).await;
            forward(&shared, request).await
        }
        Going::Lose(after) => {
            tokio::time::sleep(after).await;
            line.fate = Fate::RequestLost;
            bail!("lost on its way");
        }
        Going::Cut(after) => match tokio::time::timeout(after, forward(&shared, request)).await {
            Ok(forwarded) => forwarded,
            Err(_) => {
                line.fate = Fate::Cut;
                bail!("cut");
            }
        },
        Going::Late => return late(shared, line, request).await,
        Going::Refuse => return Ok(refuse(&mut line)),
    };
    let forwarded = forwarded.inspect_err(|_| line.fate = Fate::Unreachable)?;
    let (status, answered) = match forwarded {
        Forwarded::Whole(mut head, bytes) => {
            let mut answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            line.answered(head.status, &answer);
            if (lock(&shared.weather).coming)(call, &answer) == Coming::Lose {
                line.fate = Fate::AnswerLost;
                bail!("lost on its way back");
            }
            let rewrite = lock(&shared.weather).rewrite;
            rewrite(&mut answer);
            let bytes = if answer.is_null() { bytes } else { Bytes::from(answer.to_string()) };
            hop_by_hop(&mut head.headers);
            (head.status, Response::from_parts(head, whole_body(bytes)))
        }
        Forwarded::Stream(response) => (response.status(), response),
    };
    if answered.headers().get(CONTENT_TYPE).is_some_and(is_stream) {
        line.answered(status, &Value::Null);
    }
    line.fate = Fate::Delivered;
    Ok(answered)
}

/// Waits for the gate, then goes on to the server whether or not the worker still listens.
async fn late(shared: Arc<Shared>, line: Line, request: Request<Full<Bytes>>) -> Result<Response<Body>> {
    let going_on = tokio::spawn(async move {
        let _ = shared.gate.subscribe().wait_for(|open| *open).await;
        let forwarded = forward(&shared, request).await;
        if let Ok(Forwarded::Whole(head, bytes)) = &forwarded {
            line.answered(head.status, &serde_json::from_slice(bytes).unwrap_or_default());
        }
        (line, forwarded)
    });
    let (mut line, forwarded) = going_on.await?;
    line.fate = Fate::Delivered;
    match forwarded? {
        Forwarded::Whole(mut head, bytes) => {
            hop_by_hop(&mut head.headers);
            Ok(Response::from_parts(head, whole_body(bytes)))
        }
        Forwarded::Stream(response) => Ok(response),
    }
}

/// What a server says whose database is away.
fn refuse(line: &mut Line) -> Response<Body> {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let problem = json!({
        "type": "about:blank", "title": "the database cannot be reached", "status": 503,
        "code": "database_unreachable", "detail": "said by protocol-test in the server's place",
    });
    line.answered(status, &problem);
    line.fate = Fate::Delivered;
    let mut response = Response::new(whole_body(Bytes::from(problem.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/problem+json"));
    headers.insert(RETRY_AFTER, hyper::header::HeaderValue::from_static("1"));
    response
}

enum Forwarded {
    Whole(hyper::http::response::Parts, Bytes),
    /// Signals, which go on as they come.
    Stream(Response<Body>),
}

/// Asks the server on a connection of its own, which ends when this is dropped.
async fn forward(shared: &Shared, request: Request<Full<Bytes>>) -> Result<Forwarded> {
    let Some(target) = *shared.target.borrow() else { bail!("there is no server") };
    let far = TcpStream::connect(target).await?;
    far.set_nodelay(true)?;
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(far)).await?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await?;
    if response.headers().get(CONTENT_TYPE).is_some_and(is_stream) {
        driver.detach_all();
        return Ok(Forwarded::Stream(response.map(BodyExt::boxed)));
    }
    let (head, body) = response.into_parts();
    let whole = Limited::new(body, BODY).collect().await.map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(Forwarded::Whole(head, whole.to_bytes()))
}

fn is_stream(kind: &hyper::header::HeaderValue) -> bool {
    kind.as_bytes().starts_with(b"text/event-stream")
}

fn whole_body(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

/// Takes out what is said from one end of a connection to the other; each connection here says its own.
fn hop_by_hop(headers: &mut HeaderMap) {
    for name in [CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING] {
        headers.remove(name);
    }
}
