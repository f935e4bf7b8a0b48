//! Who may ask: bearer tokens where there are any, and without one only programs of this machine.
//!
//! Two tokens may come from the environment; any number are kept in the database, as digests. A stored token is looked up
//! by its public id and remembered for a few seconds, so one that was taken back stops opening as soon.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use jiff::Timestamp;
use jobforge::clock;
use jobforge::core::audit::{By, Deed};
use jobforge::core::throttle::{Failed, Throttle};
use jobforge::core::time::{Now, add};
use jobforge::core::token::{Scope, TokenRow, TokenStanding, TokenText};
use jobforge::store::Store;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tokio_util::sync::CancellationToken;

use crate::api_error::ApiError;
use crate::caller::{Caller, LOCAL};
use crate::error::ServerError;
use crate::local::check_local;
use crate::request_log::RequestId;

/// How long a looked-up token is remembered.
const REMEMBERED: Duration = Duration::from_secs(3);
/// Tokens that are remembered, each way.
const MOST_REMEMBERED: usize = 1000;
/// Between two looks whether there are stored tokens at all.
const LOOK_EVERY: Duration = Duration::from_secs(3);

type Fingerprint = [u8; 32];

/// The tokens that open the API.
pub(crate) struct Gate {
    configured: Vec<(Fingerprint, &'static str, Scope)>,
    store: Arc<dyn Store>,
    /// Whether the database has held a token since the start, one whose time is over included. Never false again: a server
    /// that was closed may be reachable from anywhere, and must not open when the last token ends.
    any_stored: AtomicBool,
    memory: Mutex<Memory>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("configured", &self.configured.len()).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Memory {
    throttle: Throttle,
    looked_up: HashMap<String, LookedUp>,
    /// What opened lately: an address that others misuse does not lock these out.
    opened: HashSet<Fingerprint>,
}

/// A token as it was at a moment, on both clocks.
#[derive(Clone)]
struct LookedUp {
    token: Option<TokenRow>,
    as_of: Timestamp,
    at: Instant,
}

impl Gate {
    /// Takes the configured tokens; a blank one is no token.
    pub(crate) async fn new(
        auth_token: Option<&str>,
        admin_token: Option<&str>,
        store: Arc<dyn Store>,
    ) -> Result<Self, ServerError> {
        let mut configured = Vec::new();
        let given = [("AUTH_TOKEN", auth_token, Scope::Operate), ("ADMIN_TOKEN", admin_token, Scope::Admin)];
        for (name, token, scope) in given {
            let token = token.unwrap_or_default().trim();
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(ServerError::BadToken { name });
            }
            if !token.is_empty() {
                configured.push((fingerprint(token), name, scope));
            }
        }
        let gate = Self { configured, store, any_stored: AtomicBool::new(false), memory: Mutex::default() };
        gate.look().await;
        Ok(gate)
    }

    /// Whether there is no token at all, so that only loopback may be trusted.
    pub(crate) fn is_open(&self) -> bool {
        self.configured.is_empty() && !self.any_stored.load(Ordering::Relaxed)
    }

    /// Keeps looking whether there are stored tokens, until `stop` fires.
    pub(crate) async fn keep_looking(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => self.look().await,
            }
        }
    }

    async fn look(&self) {
        let (Ok(tokens), Ok(now)) = (self.store.tokens().await, self.store.now().await) else { return };
        if tokens.iter().any(|token| token.standing(now) != TokenStanding::Revoked) {
            self.close();
        }
    }

    /// From now on a token is needed.
    fn close(&self) {
        if !self.any_stored.swap(true, Ordering::Relaxed) && self.configured.is_empty() {
            tracing::info!("There is a token now: the API answers only to tokens");
        }
    }

    /// Whether everything may be done without a token. One that was made since the last look counts as soon as it is used:
    /// what its owner registered as a program of this machine would not be theirs a moment later.
    async fn is_open_to(&self, headers: &HeaderMap) -> bool {
        if self.is_open()
            && let Ok(token) = bearer(headers)
            && self.known(token, &fingerprint(token)).await.is_ok()
        {
            self.close();
        }
        self.is_open()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says who it is that sends these headers.
    pub(crate) async fn caller(
        &self,
        headers: &HeaderMap,
        address: Option<IpAddr>,
        id: Option<&str>,
    ) -> Result<Caller, ApiError> {
        self.holder(bearer(headers)?, headers, address, id).await
    }

    /// Says who it is that has this token, wherever a request carries it.
    pub(crate) async fn holder(
        &self,
        token: &str,
        headers: &HeaderMap,
        address: Option<IpAddr>,
        id: Option<&str>,
    ) -> Result<Caller, ApiError> {
        let print = fingerprint(token);
        let waits = address.and_then(|address| {
            let memory = self.memory();
            if memory.opened.contains(&print) { None } else { memory.throttle.wait(address, clock::boot()) }
        });
        if let Some(wait) = waits {
            return Err(ApiError::too_many(
                "too_many_failures",
                "too many wrong tokens came from this address; wait, and check the token",
                wait,
            ));
        }
        match self.known(token, &print).await {
            Ok(caller) => {
                let mut memory = self.memory();
                if memory.opened.len() >= MOST_REMEMBERED {
                    memory.opened.clear();
                }
                memory.opened.insert(print);
                drop(memory);
                Ok(caller.asking(headers, id.map(str::to_owned), address.map(|address| address.to_string())))
            }
            Err(refusal) => {
                self.memory().opened.remove(&print);
                if refusal.is_unauthorized() {
                    self.failed(refusal.code(), address, id);
                }
                Err(refusal)
            }
        }
    }

    async fn known(&self, token: &str, print: &Fingerprint) -> Result<Caller, ApiError> {
        // Digests are compared, all of them and in constant time, so the answer's timing tells nothing of a token.
        let mut found = None;
        for (known, name, scope) in &self.configured {
            let same: Choice = known.ct_eq(print);
            if bool::from(same) {
                found = Some((*name, *scope));
            }
        }
        if let Some((name, scope)) = found {
            return Ok(Caller::new(format!("token:{name}"), scope));
        }
        let unknown = || {
            ApiError::unauthorized(
                "token_unknown",
                "the token is not one of this server's; check it for slips",
            )
        };
        let text = TokenText::parse(token).ok_or_else(unknown)?;
        let looked_up = self.look_up(text.id()).await?;
        let token = looked_up.token.as_ref().ok_or_else(unknown)?;
        if !bool::from(token.hash.as_bytes().ct_eq(text.hash().as_bytes())) {
            return Err(unknown());
        }
        let now = add(looked_up.as_of, clock::monotonic().duration_since(looked_up.at));
        match token.standing(now) {
            TokenStanding::Good => {}
            TokenStanding::Expired => {
                return Err(ApiError::unauthorized(
                    "token_expired",
                    "the token's time is over; ask for a new one",
                ));
            }
            TokenStanding::Revoked => {
                return Err(ApiError::unauthorized(
                    "token_revoked",
                    "the token was taken back; ask for a new one",
                ));
            }
        }
        self.note_use(token, now);
        Ok(Caller::with(token))
    }

    async fn look_up(&self, id: &str) -> Result<LookedUp, ApiError> {
        let now = clock::monotonic();
        let remembered = self.memory().looked_up.get(id).cloned();
        if let Some(known) = remembered.filter(|known| now.duration_since(known.at) < REMEMBERED) {
            return Ok(known);
        }
        let found = self.store.token(id, Now::Database).await?;
        let (token, as_of) = match found {
            Some((token, as_of)) => (Some(token), as_of),
            None => (None, Timestamp::UNIX_EPOCH),
        };
        let known = LookedUp { token, as_of, at: now };
        let mut memory = self.memory();
        if memory.looked_up.len() >= MOST_REMEMBERED {
            memory.looked_up.clear();
        }
        memory.looked_up.insert(id.to_owned(), known.clone());
        Ok(known)
    }

    /// Notes the use beside the request, once a minute.
    fn note_use(&self, token: &TokenRow, now: Timestamp) {
        let minute = Duration::from_secs(60);
        if token.last_used_at.is_some_and(|last| add(last, minute) > now) {
            return;
        }
        if let Some(known) = self.memory().looked_up.get_mut(&token.id)
            && let Some(row) = &mut known.token
        {
            row.last_used_at = Some(now);
        }
        let (store, id) = (Arc::clone(&self.store), token.id.clone());
        tokio::spawn(async move {
            if let Err(error) = store.token_used(&id, Now::Database).await {
                tracing::debug!(error = error.chain(), "could not note the use of token {id}");
            }
        });
    }

    /// Counts a failure. Of many from one address the first and the one that blocks it are written down.
    fn failed(&self, code: &str, address: Option<IpAddr>, request_id: Option<&str>) {
        let Some(address) = address else { return };
        let action = match self.memory().throttle.failed(address, clock::boot()) {
            Failed::First => "auth.failed",
            Failed::Blocked => "auth.blocked",
            Failed::Again => return,
        };
        tracing::warn!(%address, code, "{action}: a request from {address} had no good token ({code})");
        let address = address.to_string();
        let by = By {
            request_id: request_id.map(str::to_owned),
            address: Some(address.clone()),
            ..By::named("anonymous")
        };
        let after = serde_json::json!({ "code": code });
        let deed = Deed::new(action, address).changing(&serde_json::Value::Null, &after);
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            if let Err(error) = store.note(&by, &[deed], Now::Database).await {
                tracing::warn!(error = error.chain(), "could not write a failed login into the audit log");
            }
        });
    }
}

fn fingerprint(token: &str) -> Fingerprint {
    Sha256::digest(token.as_bytes()).into()
}

fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (first, second) = (given.next(), given.next());
    let Some(first) = first else {
        return Err(ApiError::unauthorized("token_missing", "send the header `Authorization: Bearer TOKEN`"));
    };
    let token = first
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .and_then(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()));
    match (token, second) {
        (Some(token), None) => Ok(token),
        (_, Some(_)) | (None, None) => Err(ApiError::unauthorized(
            "auth_header",
            "the Authorization header cannot be read; send it once, as `Authorization: Bearer TOKEN`",
        )),
    }
}

/// Lets a request through if it carries a token, or if none is needed, and says who it is.
pub(crate) async fn require_token(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    identified(&gate, request, next, true).await
}

/// Says who it is if the request carries a token, and lets it through as nobody's if it carries none.
pub(crate) async fn accept_token(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    identified(&gate, request, next, false).await
}

async fn identified(gate: &Gate, request: Request, next: Next, needed: bool) -> Response {
    let (mut parts, body) = request.into_parts();
    match identify(gate, &parts, needed).await {
        Ok(caller) => {
            if let Some(caller) = caller {
                parts.extensions.insert(caller);
            }
            next.run(Request::from_parts(parts, body)).await
        }
        Err(refusal) => refusal.into(),
    }
}

async fn identify(gate: &Gate, request: &Parts, needed: bool) -> Result<Option<Caller>, ApiError> {
    let address = request.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    let id = request.extensions.get::<RequestId>().map(|id| id.0.to_string());
    let query = request.uri.query().unwrap_or_default();
    if query.split('&').any(|pair| pair.starts_with("token=") || pair.starts_with("access_token=")) {
        let detail = "a token in the address ends up in logs: take it back, and send a new one in the header Authorization";
        return Err(ApiError::bad_request("token_in_url", detail));
    }
    if gate.is_open_to(&request.headers).await {
        // Nothing else is listened to without a token; should it ever come to that, nobody else gets in.
        if !address.is_some_and(|address| address.is_loopback()) {
            return Err(ApiError::unauthorized(
                "token_missing",
                "there is no token yet; make one on the server's machine, with `jobforge token create`",
            ));
        }
        let local = Caller::new(LOCAL, Scope::Admin);
        let address = address.map(|address| address.to_string());
        return Ok(Some(local.asking(&request.headers, id, address)));
    }
    if !needed && !request.headers.contains_key(AUTHORIZATION) {
        return Ok(None);
    }
    gate.caller(&request.headers, address, id.as_deref()).await.map(Some)
}

/// Without tokens, lets through only what programs and pages of this machine itself sent.
pub(crate) async fn require_local(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    if gate.is_open()
        && let Err(refusal) = check_local(request.uri(), request.headers())
    {
        return refusal.into();
    }
    next.run(request).await
}

/// Who speaks through the socket that only the server's own user can reach.
pub(crate) async fn trust_socket(mut request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().map(|id| id.0.to_string());
    let caller = Caller::of_socket().asking(request.headers(), id, None);
    request.extensions_mut().insert(caller);
    next.run(request).await
}
