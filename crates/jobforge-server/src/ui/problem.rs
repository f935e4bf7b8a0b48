//! Refusals and failures as pages. What a page asked for is refused with the same problem as over the API; here it is
//! written for people, with the last known state when the database does not answer.

use std::sync::Arc;

use askama::Template;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use jobforge::clock;
use jobforge::core::state::Status;
use jobforge::core::time::words;
use jobforge_api::Problem;

use super::page::{close, html};
use super::session::Theme;
use super::words::at_least;
use super::{Place, Ui, assets, pack};
use crate::caller::Caller;
use crate::request_log::Cause;

/// What a page says that only looks while the database is away.
const GONE: &str = "The database does not answer, so nothing current can be shown. Jobs that run go on until their leases end, \
                    and nothing is lost. See whether the database runs and can be reached from the machine of this server";
/// Problems are short.
const MAX_PROBLEM: usize = 64 * 1024;

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    css: String,
    icon: String,
    js: String,
    theme: &'static str,
    place: Place,
    status: u16,
    title: String,
    detail: String,
    code: String,
    /// Whether it may be over in a moment.
    passes: bool,
    last: Option<LastKnown>,
}

/// How all was when the database last answered.
struct LastKnown {
    ago: String,
    counts: Vec<(&'static str, String)>,
}

/// Makes pages of the problems below `/ui`, and closes every answer there.
pub(crate) async fn pages(State(ui): State<Arc<Ui>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path != "/ui" && !path.starts_with("/ui/") {
        return next.run(request).await;
    }
    let theme = Theme::of(request.headers()).word();
    let looks = request.method() == Method::GET;
    let may_pack = pack::is_wanted(request.headers());
    let wants_json = request.headers().get(ACCEPT).is_some_and(|accept| accept == "application/json");
    let mut response = next.run(request).await;
    if !wants_json
        && response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json")
    {
        response = page(&ui, theme, looks, response).await;
    }
    close(response.headers_mut());
    if may_pack { pack::page(response).await } else { response }
}

async fn page(ui: &Ui, theme: &'static str, looks: bool, refusal: Response) -> Response {
    let (mut parts, body) = refusal.into_parts();
    let bytes = to_bytes(body, MAX_PROBLEM).await.unwrap_or_default();
    let Ok(problem) = serde_json::from_slice::<Problem>(&bytes) else {
        return Response::from_parts(parts, bytes.into());
    };
    let status = parts.status;
    let sees_all = parts.extensions.get::<Caller>().is_some_and(|caller| !caller.is_bound());
    let made = html(&ProblemPage {
        css: assets::css(),
        icon: assets::icon(),
        js: assets::js(),
        theme,
        place: ui.place.clone(),
        status: problem.status,
        title: sentence(&problem.title),
        detail: if looks && problem.code.starts_with("database_") {
            // Nothing was to be changed.
            GONE.to_owned()
        } else {
            sentence(&problem.detail)
        },
        code: problem.code,
        passes: status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS,
        last: if status.is_server_error() && sees_all { last_known(ui) } else { None },
    });
    let Ok(mut made) = made else { return Response::from_parts(parts, bytes.into()) };
    *made.status_mut() = status;
    parts.headers.remove(CONTENT_TYPE);
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    made.headers_mut().extend(parts.headers);
    if let Some(cause) = parts.extensions.remove::<Cause>() {
        made.extensions_mut().insert(cause);
    }
    made
}

fn last_known(ui: &Ui) -> Option<LastKnown> {
    let (at, whole) = ui.pulse.last()?;
    let ago = words(clock::monotonic().duration_since(at));
    let count = |status: Status| {
        let (count, more) = whole.facts.count(status);
        (status.as_str(), at_least(count, more))
    };
    Some(LastKnown { ago, counts: Status::ALL.into_iter().map(count).collect() })
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
