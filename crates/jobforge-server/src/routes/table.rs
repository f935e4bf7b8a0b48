//! The routes as data: what each needs stands beside it, and the description of the API is made from the same lines.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::MethodRouter;
use jobforge::core::token::Scope;

use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::server::App;

/// What a caller needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: it is safe to tell everybody.
    Nobody,
    /// A scope; a token that is bound to a tenant sees and touches what is its own.
    Own(Scope),
    /// A scope, and a token that is not bound to a tenant.
    All(Scope),
}

/// One route.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) need: Need,
    /// What it does, in a line.
    pub(crate) says: &'static str,
    /// Parameters of the query string.
    pub(crate) query: &'static [&'static str],
    /// Fields of the body.
    pub(crate) body: &'static [&'static str],
    handler: MethodRouter<Arc<App>>,
}

impl Route {
    pub(crate) fn new(
        method: &'static str,
        path: &'static str,
        need: Need,
        says: &'static str,
        handler: MethodRouter<Arc<App>>,
    ) -> Self {
        Self { method, path, need, says, query: &[], body: &[], handler }
    }

    pub(crate) fn query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    pub(crate) fn body(self, body: &'static [&'static str]) -> Self {
        Self { body, ..self }
    }
}

/// Answers the routes, each to those who have what it needs.
pub(crate) fn answer(routes: Vec<Route>) -> Router<Arc<App>> {
    routes.into_iter().fold(Router::new(), |router, route| {
        let need = route.need;
        let guarded = move |request: Request, next: Next| guard(need, request, next);
        router.route(route.path, route.handler.route_layer(from_fn(guarded)))
    })
}

async fn guard(need: Need, request: Request, next: Next) -> Result<Response, ApiError> {
    let known = request.extensions().get::<Caller>().cloned();
    let caller = || {
        let unasked = || ApiError::internal("a route needs a scope and nobody was asked".to_owned());
        known.as_ref().ok_or_else(unasked)
    };
    match need {
        Need::Nobody => {}
        Need::Own(scope) => caller()?.require(scope)?,
        Need::All(scope) => {
            caller()?.require(scope)?;
            caller()?.require_all_tenants()?;
        }
    }
    Ok(next.run(request).await)
}
