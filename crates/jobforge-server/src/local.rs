//! What a server without tokens trusts: programs of its own machine, and nobody who speaks through a browser.
//!
//! A web page in a browser on the same machine can reach the loopback address too: by a name of its own that it re-points
//! to 127.0.0.1 (so the `Host` must be a loopback name), or by plain cross-site requests (so what the browser marks as
//! coming from another site or port is refused).

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Uri};

use crate::api_error::ApiError;

/// Refuses what did not come from this machine itself.
pub(crate) fn check_local(uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    let named = headers.get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default());
    let hosts: Vec<&str> = named.chain(uri.authority().map(Authority::as_str)).collect();
    if hosts.is_empty() || !hosts.into_iter().all(is_loopback_name) {
        let advice = "without a token this server answers only to localhost, 127.0.0.1 and [::1]; use one of these, \
                      or set AUTH_TOKEN or ADMIN_TOKEN";
        return Err(ApiError::forbidden("host_not_local", advice));
    }
    // Another port of this machine is "same-site" to a browser, and still another program.
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let from_elsewhere = site.is_some_and(|site| site != b"same-origin" && site != b"none");
    let foreign_origin = headers.get(ORIGIN).is_some_and(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        !origin.split_once("://").is_some_and(|(_, authority)| is_loopback_name(authority))
    });
    if from_elsewhere || foreign_origin {
        let advice = "without a token this server refuses requests that a browser sends for pages of other sites; \
                      set AUTH_TOKEN or ADMIN_TOKEN and send it";
        return Err(ApiError::forbidden("cross_site", advice));
    }
    Ok(())
}

fn is_loopback_name(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else { return false };
    // `user@localhost` is not a host.
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_local() {
        for name in ["localhost", "LocalHost:80", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:8080"] {
            assert!(is_loopback_name(name), "{name}");
        }
        for name in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "10.0.0.1",
            "[::2]",
            "a@localhost",
        ] {
            assert!(!is_loopback_name(name), "{name}");
        }
    }
}
