//! Who may ask: bearer tokens where there are any, and without one only programs of this machine.
//!
//! A server without tokens trusts its loopback address. A web page in a browser on the same machine can reach that
//! address too: by a name of its own that it re-points to 127.0.0.1 (so the `Host` must be a loopback name), or by
//! plain cross-site requests (so what the browser marks as coming from another site or port is refused).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::api_error::ApiError;
use crate::error::ServerError;

type Fingerprint = [u8; 32];

/// The tokens that open the API, kept as digests.
#[derive(Debug)]
pub(crate) struct Gate {
    tokens: Vec<Fingerprint>,
}

impl Gate {
    /// Takes the configured tokens; a blank one is no token.
    pub(crate) fn new(auth_token: Option<&str>, admin_token: Option<&str>) -> Result<Self, ServerError> {
        let mut tokens = Vec::new();
        for (name, token) in [("AUTH_TOKEN", auth_token), ("ADMIN_TOKEN", admin_token)] {
            let token = token.unwrap_or_default().trim();
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(ServerError::BadToken { name });
            }
            if !token.is_empty() {
                tokens.push(fingerprint(token));
            }
        }
        Ok(Self { tokens })
    }

    /// Whether no token is set, so that only loopback may be trusted.
    pub(crate) fn is_open(&self) -> bool {
        self.tokens.is_empty()
    }

    fn knows(&self, token: &str) -> bool {
        // Digests are compared, all of them and in constant time, so the answer's timing tells nothing of a token.
        let given = fingerprint(token);
        let found = self.tokens.iter().fold(Choice::from(0), |found, known| found | known.ct_eq(&given));
        found.into()
    }
}

fn fingerprint(token: &str) -> Fingerprint {
    Sha256::digest(token.as_bytes()).into()
}

/// Lets a request through to `/v1` if it carries a token, or if none is needed.
pub(crate) async fn require_token(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    if !gate.is_open()
        && let Err(refusal) = check_token(&gate, request.headers())
    {
        return refusal.into();
    }
    next.run(request).await
}

/// Without tokens, lets through only what programs and pages of this machine itself sent.
pub(crate) async fn require_local(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    if gate.is_open()
        && let Err(refusal) = check_local(request.uri(), request.headers())
    {
        return refusal.into();
    }
    next.run(request).await
}

fn check_token(gate: &Gate, headers: &HeaderMap) -> Result<(), ApiError> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (first, second) = (given.next(), given.next());
    let Some(first) = first else {
        return Err(ApiError::unauthorized("token_missing", "send the header `Authorization: Bearer TOKEN`"));
    };
    let token = first
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .and_then(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()));
    match (token, second) {
        (Some(token), None) if gate.knows(token) => Ok(()),
        (Some(_), None) => Err(ApiError::unauthorized(
            "token_unknown",
            "the token is not one of this server's; check AUTH_TOKEN",
        )),
        (_, Some(_)) | (None, None) => Err(ApiError::unauthorized(
            "auth_header",
            "the Authorization header cannot be read; send it once, as `Authorization: Bearer TOKEN`",
        )),
    }
}

fn check_local(uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
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

    #[test]
    fn either_token_opens_and_a_blank_one_is_none() {
        let gate = Gate::new(Some("one"), Some("two\n")).expect("fine tokens");
        assert!(gate.knows("one") && gate.knows("two") && !gate.knows("three") && !gate.knows(""));
        assert!(Gate::new(Some("  "), None).expect("no token").is_open());
        assert!(matches!(Gate::new(None, Some("a b")), Err(ServerError::BadToken { name: "ADMIN_TOKEN" })));
    }
}
