//! The files that pages load, under names that change with their content, so that browsers may keep them for ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::pack;
use crate::api_error::ApiError;

/// A file as it is served.
struct Asset {
    name: String,
    kind: &'static str,
    text: &'static str,
    /// The same for who can unpack it; empty if it cannot be packed.
    packed: Vec<u8>,
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        asset("app", "css", "text/css; charset=utf-8", include_str!("../../assets/app.css")),
        asset("app", "js", "text/javascript; charset=utf-8", include_str!("../../assets/app.js")),
        asset("icon", "svg", "image/svg+xml", include_str!("../../assets/icon.svg")),
    ]
});

fn asset(stem: &str, end: &str, kind: &'static str, text: &'static str) -> Asset {
    let digest = Sha256::digest(text.as_bytes());
    let hash: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let packed = pack::file(text).unwrap_or_default();
    Asset { name: format!("{stem}.{hash}.{end}"), kind, text, packed }
}

/// Where the style is.
pub(super) fn css() -> String {
    format!("/ui/assets/{}", ASSETS[0].name)
}

/// Where the script is.
pub(super) fn js() -> String {
    format!("/ui/assets/{}", ASSETS[1].name)
}

/// Where the icon is.
pub(super) fn icon() -> String {
    format!("/ui/assets/{}", ASSETS[2].name)
}

/// `GET /ui/assets/{file}`
pub(super) async fn serve(Path(file): Path<String>, asked: HeaderMap) -> Result<Response, ApiError> {
    let found = ASSETS.iter().find(|asset| asset.name == file).ok_or_else(|| {
        let detail = "there is no such file; reload the page, which names those of this version";
        ApiError::new(StatusCode::NOT_FOUND, "page_not_found", "there is no such file", detail)
    })?;
    let is_packed = !found.packed.is_empty() && pack::is_wanted(&asked);
    let body = if is_packed { found.packed.as_slice() } else { found.text.as_bytes() };
    let headers: [(HeaderName, HeaderValue); 3] = [
        (CONTENT_TYPE, HeaderValue::from_static(found.kind)),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        (VARY, HeaderValue::from_static("accept-encoding")),
    ];
    let mut response = (headers, body).into_response();
    if is_packed {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}
