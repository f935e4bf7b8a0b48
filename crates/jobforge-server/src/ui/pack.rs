//! Packing what is sent: pages are text that repeats itself, and go over the wire at about a fifth of their length.
//!
//! A page holds a secret, the proof of its forms, beside text that others may choose, and how long it is when packed tells
//! whether the two are alike (the attack is called BREACH). So the proof is never the same twice (`form.rs` masks it anew
//! for each page), every packed page is longer by a random number of bytes, and what a page of another site asks for is
//! not packed at all. Streams of events are never packed: they would be held back.

use std::io::Write;

use axum::body::{Body, HttpBody, to_bytes};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use flate2::{Compression, GzBuilder};
use uuid::Uuid;

/// What is shorter fits into a packet anyway.
const SHORT: u64 = 1024;
/// No page is longer.
const LONGEST: usize = 16 * 1024 * 1024;
/// By at most so many bytes is a packed page longer than it need be.
const PADDING: usize = 100;

/// Whether whoever asks can unpack, and is no page of another site.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let takes = |word: &str| {
        let (name, rest) = word.split_once(';').unwrap_or((word, ""));
        let weight = rest.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight != Some(0.0)
    };
    let foreign = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    !foreign && lines.flat_map(|line| line.split(',')).any(takes)
}

/// Packs a page.
pub(super) async fn page(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let is_page = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !is_page || headers.contains_key(CONTENT_ENCODING) {
        return response;
    }
    headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    if response.body().size_hint().exact().is_none_or(|length| length < SHORT) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(text) = to_bytes(body, LONGEST).await else {
        // It was whole in memory.
        return Response::from_parts(parts, Body::empty());
    };
    let padding = usize::from(Uuid::new_v4().as_bytes()[0]) % PADDING;
    let Some(packed) = gzip(&text, Compression::fast(), padding) else {
        return Response::from_parts(parts, text.into());
    };
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    Response::from_parts(parts, packed.into())
}

/// Packs a file as small as it gets, once for ever.
pub(super) fn file(text: &str) -> Option<Vec<u8>> {
    gzip(text.as_bytes(), Compression::best(), 0)
}

fn gzip(bytes: &[u8], level: Compression, padding: usize) -> Option<Vec<u8>> {
    // The name of a file that nobody reads is the one place where a packed text may be longer than it need be.
    let builder =
        if padding == 0 { GzBuilder::new() } else { GzBuilder::new().filename("x".repeat(padding)) };
    let mut packed = builder.write(Vec::with_capacity(bytes.len() / 4), level);
    packed.write_all(bytes).and_then(|()| packed.finish()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(pairs: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        is_wanted(&headers)
    }

    #[test]
    fn only_who_can_unpack_and_asks_from_here_is_sent_packed_pages() {
        assert!(wants(&[("accept-encoding", "gzip, deflate, br")]));
        assert!(wants(&[("accept-encoding", "br"), ("accept-encoding", "GZIP;q=0.5")]));
        assert!(wants(&[("accept-encoding", "gzip"), ("sec-fetch-site", "same-origin")]));
        for not in ["", "br", "gzip;q=0", "gzip; q=0.0", "xgzip"] {
            assert!(!wants(&[("accept-encoding", not)]), "{not}");
        }
        assert!(!wants(&[]));
        assert!(!wants(&[("accept-encoding", "gzip"), ("sec-fetch-site", "cross-site")]));
    }
}
