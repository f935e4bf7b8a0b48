//! The frame of every page, and the headers that keep it closed.

use askama::Template;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};

use super::Place;
use super::bar::Bar;
use super::copies::Copies;
use crate::api_error::ApiError;

/// Nothing comes from elsewhere, nothing is written into the page itself, nobody frames it.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                   form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// A place in the menu.
#[derive(Debug)]
pub(super) struct NavItem {
    pub(super) path: &'static str,
    pub(super) name: &'static str,
    /// The key behind `g`.
    pub(super) key: &'static str,
    pub(super) here: bool,
}

/// What the menu names; the flag says whether it concerns all tenants.
const NAV: [(&str, &str, &str, bool); 12] = [
    ("/ui", "Overview", "o", true),
    ("/ui/jobs", "Jobs", "j", false),
    ("/ui/workers", "Workers", "w", true),
    ("/ui/queues", "Queues", "q", true),
    ("/ui/tenants", "Tenants", "n", false),
    ("/ui/schedules", "Schedules", "s", true),
    ("/ui/dead", "Dead letters", "d", false),
    ("/ui/watchdog", "Watchdog", "h", true),
    ("/ui/alerts", "Alerts", "x", true),
    ("/ui/runbooks", "Runbooks", "r", true),
    ("/ui/audit", "Audit", "a", false),
    ("/ui/settings", "Settings", "u", true),
];

/// The menu of somebody.
pub(super) fn nav(here: &str, sees_all: bool) -> Vec<NavItem> {
    let named = NAV.iter().filter(|(_, _, _, all)| sees_all || !all);
    named.map(|(path, name, key, _)| NavItem { path, name, key, here: *path == here }).collect()
}

/// What every page shows around its own matter.
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) title: String,
    pub(super) nav: Vec<NavItem>,
    pub(super) bar: Option<Bar>,
    pub(super) place: Place,
    pub(super) engine: &'static str,
    pub(super) who: String,
    pub(super) role: &'static str,
    pub(super) may_operate: bool,
    /// Whether one can log out.
    pub(super) can_leave: bool,
    pub(super) theme: &'static str,
    pub(super) next_theme: &'static str,
    pub(super) proof: String,
    /// This page, to come back to.
    pub(super) back: String,
    /// What was just done.
    pub(super) receipt: Option<String>,
    pub(super) copies: Copies,
    pub(super) as_of: String,
    /// The time of day of that.
    pub(super) clock: String,
    /// Whether the page itself tells all that the bar would.
    pub(super) told_below: bool,
    pub(super) css: String,
    pub(super) js: String,
    pub(super) icon: String,
    pub(super) version: &'static str,
}

/// Writes a page.
pub(super) fn html(page: &impl Template) -> Result<Response, ApiError> {
    let text =
        page.render().map_err(|fault| ApiError::internal(format!("a page cannot be written: {fault}")))?;
    Ok(([(CONTENT_TYPE, "text/html; charset=utf-8")], Body::from(text)).into_response())
}

/// Puts the fences around an answer.
pub(super) fn close(headers: &mut HeaderMap) {
    let fences = [
        ("content-security-policy", CSP),
        ("x-frame-options", "DENY"),
        // Forms need it to say where they come from; nobody else learns of an address here.
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ];
    for (name, value) in fences {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

/// A path of the dashboard that a form or an address names; anything else is its first page.
pub(super) fn local_path(asked: Option<&str>) -> &str {
    let fits = |path: &&str| {
        let inside = *path == "/ui" || path.starts_with("/ui/") || path.starts_with("/ui?");
        inside && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') && !path.contains("//")
    };
    asked.filter(fits).unwrap_or("/ui")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        for path in ["/ui", "/ui/jobs?status=dead", "/ui?x=1"] {
            assert_eq!(local_path(Some(path)), path);
        }
        for path in [
            "//evil.example",
            "/ui//evil.example",
            "https://evil.example/ui",
            "/v1/jobs",
            "/uix",
            "/ui\r\nX: y",
            "/ui/\\evil",
        ] {
            assert_eq!(local_path(Some(path)), "/ui", "{path}");
        }
    }
}
