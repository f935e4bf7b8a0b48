//! The routes as data: what each needs, takes and answers stands beside it, and the description of the API is made from
//! the same lines. To add one, write a line in `v1.rs`:
//!
//! ```text
//! act("/v1/things/{id}/poke", Own(Operate), "Poke a thing", post(things::poke))
//!     .takes::<PokeRequest>()              // a type of jobforge-api; leave it out if there is no body
//!     .gives::<ThingView>(200)
//!     .refuses(404, &["thing_not_found"]), // what every route may refuse is added by itself
//! ```

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::MethodRouter;
use jobforge::core::token::Scope;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::query::{Kind, Param};
use crate::server::App;
use crate::{body, query};

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

/// Makes the schema of a type.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a body must be.
pub(crate) struct Takes {
    pub(crate) schema: SchemaOf,
    /// Whether the header Content-Type is looked at.
    pub(crate) strict: bool,
    /// Whether there may be none.
    pub(crate) optional: bool,
}

/// What an answer holds.
pub(crate) enum Holds {
    Json(SchemaOf),
    /// Text of one of these types.
    Text(&'static [&'static str]),
    Nothing,
}

/// One route.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) need: Need,
    /// What it does, in a line.
    pub(crate) says: &'static str,
    /// Parameters of the query string.
    pub(crate) query: &'static [Param],
    /// Headers of the request that mean something here.
    pub(crate) hears: Vec<Param>,
    /// What the part of the path in braces is; told by its name if this does not.
    pub(crate) at: Option<Kind>,
    pub(crate) takes: Option<Takes>,
    pub(crate) answers: Vec<(u16, Holds)>,
    /// Headers of answers beside those that all have: status and name.
    pub(crate) tells: Vec<(u16, &'static str)>,
    /// What only this route refuses: statuses and stable words.
    pub(crate) refusals: Vec<(u16, &'static [&'static str])>,
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
        let (query, hears, answers) = (&[] as &[Param], Vec::new(), Vec::new());
        let (tells, refusals) = (Vec::new(), Vec::new());
        Self {
            method,
            path,
            need,
            says,
            query,
            hears,
            at: None,
            takes: None,
            answers,
            tells,
            refusals,
            handler,
        }
    }

    pub(crate) fn query(self, query: &'static [Param]) -> Self {
        Self { query, ..self }
    }

    pub(crate) fn hears(mut self, header: Param) -> Self {
        self.hears.push(header);
        self
    }

    pub(crate) fn at(self, kind: Kind) -> Self {
        Self { at: Some(kind), ..self }
    }

    /// It takes JSON, and says so.
    pub(crate) fn takes<T: JsonSchema>(self) -> Self {
        Self {
            takes: Some(Takes { schema: SchemaGenerator::subschema_for::<T>, strict: true, optional: false }),
            ..self
        }
    }

    /// It takes JSON whatever the content type says.
    pub(crate) fn reads<T: JsonSchema>(self) -> Self {
        Self {
            takes: Some(Takes {
                schema: SchemaGenerator::subschema_for::<T>,
                strict: false,
                optional: false,
            }),
            ..self
        }
    }

    /// The same where the body may be left out.
    pub(crate) fn may_read<T: JsonSchema>(self) -> Self {
        let schema = SchemaGenerator::subschema_for::<T>;
        Self { takes: Some(Takes { schema, strict: false, optional: true }), ..self }
    }

    pub(crate) fn gives<T: JsonSchema>(self, status: u16) -> Self {
        self.answers_with(status, Holds::Json(SchemaGenerator::subschema_for::<T>))
    }

    pub(crate) fn gives_text(self, content_types: &'static [&'static str]) -> Self {
        self.answers_with(200, Holds::Text(content_types))
    }

    pub(crate) fn gives_nothing(self) -> Self {
        self.answers_with(204, Holds::Nothing)
    }

    fn answers_with(mut self, status: u16, holds: Holds) -> Self {
        self.answers.push((status, holds));
        self
    }

    pub(crate) fn tells(mut self, status: u16, header: &'static str) -> Self {
        self.tells.push((status, header));
        self
    }

    pub(crate) fn refuses(mut self, status: u16, codes: &'static [&'static str]) -> Self {
        self.refusals.push((status, codes));
        self
    }

    /// Whether it only looks.
    pub(crate) fn is_look(&self) -> bool {
        self.method == "GET"
    }
}

/// Answers the routes, each to those who have what it needs and ask for what it knows.
pub(crate) fn answer(routes: Vec<Route>) -> Router<Arc<App>> {
    routes.into_iter().fold(Router::new(), |router, route| {
        let guards = Guard {
            need: route.need,
            // What is told to everybody is asked by probes and browsers, which may add what they like.
            is_bare: route.query.is_empty() && route.need != Need::Nobody,
            is_empty: route.takes.is_none() && !route.is_look(),
        };
        let guarded = move |request: Request, next: Next| guard(guards, request, next);
        router.route(route.path, route.handler.route_layer(from_fn(guarded)))
    })
}

/// What is looked at before a handler is asked.
#[derive(Debug, Clone, Copy)]
struct Guard {
    need: Need,
    /// There may be no parameters.
    is_bare: bool,
    /// There may be no body.
    is_empty: bool,
}

async fn guard(guards: Guard, request: Request, next: Next) -> Result<Response, ApiError> {
    let known = request.extensions().get::<Caller>().cloned();
    let caller = || {
        let unasked = || ApiError::internal("a route needs a scope and nobody was asked".to_owned());
        known.as_ref().ok_or_else(unasked)
    };
    match guards.need {
        Need::Nobody => {}
        Need::Own(scope) => caller()?.require(scope)?,
        Need::All(scope) => {
            caller()?.require(scope)?;
            caller()?.require_all_tenants()?;
        }
    }
    if guards.is_bare {
        query::none(request.uri())?;
    }
    if !guards.is_empty {
        return Ok(next.run(request).await);
    }
    let (parts, sent) = request.into_parts();
    body::none(&parts.headers, sent).await?;
    Ok(next.run(Request::from_parts(parts, Body::empty())).await)
}
