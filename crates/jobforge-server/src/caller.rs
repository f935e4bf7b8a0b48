//! Who asks: what they may do, for which tenant, and how the audit log names them.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use jobforge::core::audit::By;
use jobforge::core::token::Scope;

use crate::api_error::ApiError;

/// The header in which a caller says why.
const REASON: &str = "x-reason";

/// Who asks while there is no token.
pub(crate) const LOCAL: &str = "local";

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    by: By,
    scopes: Vec<Scope>,
    tenant: Option<String>,
}

impl Caller {
    /// Somebody with these scopes, bound to a tenant or not.
    pub(crate) fn new(actor: impl Into<String>, scopes: Vec<Scope>, tenant: Option<String>) -> Self {
        Self { by: By::named(actor), scopes, tenant }
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

    /// Whether it is anybody on this machine, while there is no token.
    pub(crate) fn is_local(&self) -> bool {
        self.by.actor == LOCAL
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
