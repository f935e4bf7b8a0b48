//! Forms: read within bounds, and only if this dashboard's own page sent them.
//!
//! Three fences, each enough alone: the browser says that the request comes from this site (`Sec-Fetch-Site`, else
//! `Origin`); the session's cookie does not travel with posts of other sites; and the form holds a proof that only a page
//! read from here can know. Whoever takes a [`Form`] has passed all three.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::form_urlencoded;

use super::session::Guard;
use crate::api_error::ApiError;
use crate::caller::Caller;

/// The longest form: 500 ids of jobs and a reason.
const MAX_FORM: usize = 64 * 1024;
/// The field of the proof.
pub(super) const PROOF: &str = "proof";
/// The digits of a proof.
const DIGITS: usize = 32;

/// What was sent.
#[derive(Debug)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// A field, if it is there and not blank.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim());
        found.filter(|value| !value.is_empty())
    }

    /// Every value of a field.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl<S: Sync> FromRequest<S> for Form {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        check_site(&parts.headers)?;
        let too_long =
            |_| ApiError::bad_request("bad_form", "the form is too long or broke off; send it again");
        let bytes = to_bytes(body, MAX_FORM).await.map_err(too_long)?;
        let form = Self(form_urlencoded::parse(&bytes).into_owned().collect());
        let caller = parts.extensions.get::<Caller>();
        let guard = parts.extensions.get::<Guard>();
        let expected = guard.map(|guard| proof(guard, caller)).unwrap_or_default();
        let given = form.get(PROOF).unwrap_or_default();
        if expected.is_empty() || !bool::from(expected.as_bytes().ct_eq(given.as_bytes())) {
            let detail = "the form is not one of your session: it was open for too long, or another site sent it. \
                          Nothing was changed; go back, reload the page and try again";
            return Err(refused("form_not_yours", detail));
        }
        Ok(form)
    }
}

/// What a form of this session must hold: nobody else knows the cookie that it is made of.
pub(super) fn proof(guard: &Guard, caller: Option<&Caller>) -> String {
    let who = caller.map_or("", |caller| caller.by().actor.as_str());
    let digest = Sha256::digest(format!("jobforge form 1\n{}\n{who}", guard.0).as_bytes());
    digest.iter().take(DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
}

/// Refuses what a browser sent for a page of another site.
fn check_site(headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name: &str| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default());
    let same = match (text("sec-fetch-site"), text(ORIGIN.as_str())) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            let hosts = [text(HOST.as_str()), text("x-forwarded-host")];
            authority.is_some_and(|authority| hosts.contains(&Some(authority)))
        }
        // No browser; the proof decides.
        (None, None) => true,
    };
    if same {
        return Ok(());
    }
    Err(refused("cross_site", "the form was sent by a page of another site; nothing was changed"))
}

fn refused(code: &str, detail: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, code, "the form was not accepted", detail)
}
