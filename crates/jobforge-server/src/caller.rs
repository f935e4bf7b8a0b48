//! Who asks: what they may do, for which tenant, and how the audit log names them.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use jobforge::core::audit::By;
use jobforge::core::token::{Scope, TokenRow};

use crate::api_error::ApiError;

/// The header in which a caller says why.
const REASON: &str = "x-reason";

/// Who asks while there is no token.
pub(crate) const LOCAL: &str = "local";
/// Who asks through the socket that only the server's own user can reach.
const SOCKET: &str = "socket";

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    by: By,
    /// What workers that they register belong to: a stored token's id, which outlives its name, or how they are named.
    id: String,
    scopes: Vec<Scope>,
    tenant: Option<String>,
    queues: Option<Vec<String>>,
}

impl Caller {
    /// Somebody with this scope, bound to nothing.
    pub(crate) fn new(actor: impl Into<String>, scope: Scope) -> Self {
        let by = By::named(actor);
        Self { id: by.actor.clone(), by, scopes: vec![scope], tenant: None, queues: None }
    }

    /// Whoever has this token.
    pub(crate) fn with(token: &TokenRow) -> Self {
        Self {
            by: By::named(format!("token:{} ({})", token.prefix(), token.name)),
            id: token.id.clone(),
            scopes: token.scopes.clone(),
            tenant: token.tenant_id.clone(),
            queues: token.queues.clone(),
        }
    }

    /// The server's own user, and root.
    pub(crate) fn of_socket() -> Self {
        Self::new(SOCKET, Scope::Admin)
    }

    /// The same, with what is known of the request.
    pub(crate) fn asking(
        mut self,
        headers: &HeaderMap,
        request_id: Option<String>,
        address: Option<String>,
    ) -> Self {
        let reason = headers.get(REASON).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
        self.by = By { request_id, address, ..self.by.because(reason) };
        self
    }

    /// How the audit log names them.
    pub(crate) fn by(&self) -> &By {
        &self.by
    }

    /// The same with a reason of the request's own, if it gives one.
    pub(crate) fn because(&self, reason: Option<&str>) -> By {
        match reason {
            Some(_) => self.by.clone().because(reason),
            None => self.by.clone(),
        }
    }

    /// Whether they may.
    pub(crate) fn may(&self, asked: Scope) -> bool {
        self.scopes.iter().any(|scope| scope.covers(asked))
    }

    /// Whether payloads and results are given to them as they are: whoever puts jobs in or runs them needs that, and could
    /// have them anyway.
    pub(crate) fn sees_secrets(&self) -> bool {
        self.may(Scope::Enqueue) || self.may(Scope::Worker)
    }

    /// Refuses who may not.
    pub(crate) fn require(&self, asked: Scope) -> Result<(), ApiError> {
        if self.may(asked) {
            return Ok(());
        }
        let has: Vec<&str> = self.scopes.iter().map(|scope| scope.as_str()).collect();
        Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "scope_missing",
            "the token may not do this",
            format!("this needs a token with the scope {asked}; yours has {}", has.join(", ")),
        ))
    }

    /// Refuses who is bound to one tenant where all are concerned.
    pub(crate) fn require_all_tenants(&self) -> Result<(), ApiError> {
        if self.tenant.is_none() {
            return Ok(());
        }
        let detail = "the token is bound to one tenant, and this concerns all of them";
        Err(ApiError::new(StatusCode::FORBIDDEN, "tenant_bound", "the token may not do this", detail))
    }

    /// The same, as somebody who acts for this reason.
    pub(crate) fn with_reason(mut self, reason: Option<&str>) -> Self {
        self.by = self.because(reason);
        self
    }

    /// Whether it is anybody on this machine, while there is no token.
    pub(crate) fn is_local(&self) -> bool {
        self.by.actor == LOCAL
    }

    /// Whether they come through the socket.
    pub(crate) fn is_of_socket(&self) -> bool {
        self.by.actor == SOCKET
    }

    /// What workers that they register belong to; `None` for the socket, whose workers belong to nobody in particular.
    pub(crate) fn registrar(&self) -> Option<&str> {
        (!self.is_of_socket()).then_some(self.id.as_str())
    }

    /// Whether they are bound to a tenant or to queues.
    pub(crate) fn is_narrow(&self) -> bool {
        self.tenant.is_some() || self.queues.is_some()
    }

    /// Whether a job of this tenant and queue is one of theirs.
    pub(crate) fn has(&self, tenant: &str, queue: &str) -> bool {
        self.sees(tenant) && self.queues.as_ref().is_none_or(|own| own.iter().any(|own| own == queue))
    }

    /// Refuses queues that the token is not for.
    pub(crate) fn require_queues<'a>(
        &self,
        asked: impl IntoIterator<Item = &'a String>,
    ) -> Result<(), ApiError> {
        let Some(own) = &self.queues else { return Ok(()) };
        let foreign: Vec<&str> =
            asked.into_iter().filter(|asked| !own.contains(asked)).map(String::as_str).collect();
        if foreign.is_empty() {
            return Ok(());
        }
        let detail =
            format!("the token is for the queues {}, not for {}", own.join(", "), foreign.join(", "));
        Err(ApiError::new(StatusCode::FORBIDDEN, "queue_bound", "the token may not do this", detail))
    }

    /// Whether they are bound to one tenant.
    pub(crate) fn is_bound(&self) -> bool {
        self.tenant.is_some()
    }

    /// Whether they may know of what belongs to this tenant.
    pub(crate) fn sees(&self, tenant: &str) -> bool {
        self.tenant.as_deref().is_none_or(|own| own == tenant)
    }

    /// The tenant that a request is about: the one that it names, or the caller's own.
    pub(crate) fn tenant(&self, asked: Option<String>) -> Result<Option<String>, ApiError> {
        match (&self.tenant, asked) {
            (None, asked) => Ok(asked),
            (Some(own), Some(asked)) if *own != asked => Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "tenant_mismatch",
                "the token is of another tenant",
                format!("the token is bound to one tenant, which is not {asked:?}; leave tenant_id out"),
            )),
            (Some(own), _) => Ok(Some(own.clone())),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let known = parts.extensions.get::<Self>().cloned();
        // Only a route that nobody guards comes here without one, which the tests would show.
        known.ok_or_else(|| ApiError::internal("a route asks who calls and nobody was asked".to_owned()))
    }
}

/// Who asks, where one may ask without saying so.
#[derive(Debug, Clone)]
pub(crate) struct Anybody(pub(crate) Option<Caller>);

impl<S: Sync> FromRequestParts<S> for Anybody {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(parts.extensions.get::<Caller>().cloned()))
    }
}

impl Anybody {
    /// Whether they may see everything that there is to see.
    pub(crate) fn sees_all(&self) -> bool {
        self.0.as_ref().is_some_and(|caller| caller.may(Scope::Read) && !caller.is_bound())
    }
}
