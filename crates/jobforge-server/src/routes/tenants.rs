//! The tenants and what each has under way.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use jobforge::core::tenant::Order;
use jobforge::tenants::{self, Ask};

use super::json;
use crate::api_error::ApiError;
use crate::caller::Caller;
use crate::query;
use crate::server::App;

/// `GET /v1/tenants`
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, ApiError> {
    let mut asked = query::params(&uri, query::TENANTS)?;
    let limit = asked.limit()?;
    let (prefix, sort) = (asked.take("prefix").unwrap_or_default(), asked.take("sort"));
    let order = match &sort {
        None => Order::default(),
        Some(word) => Order::named(word).ok_or_else(|| {
            let words = Order::WORDS.map(|(word, _)| word).join(", ");
            ApiError::bad_request("bad_parameter", format!("sort must be one of {words}"))
        })?,
    };
    let ask = Ask { only: caller.tenant(None)?, prefix, order, limit };
    json(StatusCode::OK, &tenants::list(&**app.client.store(), &app.live.now(), &ask).await?)
}
