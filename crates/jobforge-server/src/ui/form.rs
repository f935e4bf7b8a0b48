//! Forms: read within bounds, and only if this dashboard's own page sent them.
//!
//! Three fences, each enough alone: the browser says that the request comes from this site (`Sec-Fetch-Site`, else
//! `Origin`); the session's cookies travel with nothing that another site sends; and the form holds a proof that only a
//! page read from here can know. Whoever takes a [`Form`] has passed all three.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::form_urlencoded;
use uuid::Uuid;

use super::session::Guard;
use crate::api_error::ApiError;
use crate::caller::Caller;

/// The longest form: 500 ids of jobs and a reason.
const MAX_FORM: usize = 64 * 1024;
/// The field of the proof.
pub(super) const PROOF: &str = "proof";
/// The bytes of a proof, and of its mask.
const HALF: usize = 16;

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
        let expected = guard.map(|guard| bare(guard, caller));
        let given = form.get(PROOF).and_then(unmasked);
        if !expected.zip(given).is_some_and(|(expected, given)| bool::from(expected.ct_eq(&given))) {
            let detail = "the form is not one of your session: it was open for too long, or another site sent it. \
                          Nothing was changed; go back, reload the page and try again";
            return Err(refused("form_not_yours", detail));
        }
        Ok(form)
    }
}

/// What a form of this session must hold, as one page writes it: behind a mask that no other page has. A page is sent packed,
/// and a secret that stays the same can be guessed from how long many packed pages are.
pub(super) fn proof(guard: &Guard, caller: Option<&Caller>) -> String {
    let mask = first_half(Uuid::new_v4().as_bytes());
    let masked = bare(guard, caller).into_iter().zip(mask).map(|(byte, mask)| byte ^ mask);
    mask.into_iter().chain(masked).map(|byte| format!("{byte:02x}")).collect()
}

/// The same without its mask: nobody else knows the cookie that it is made of.
fn bare(guard: &Guard, caller: Option<&Caller>) -> [u8; HALF] {
    let who = caller.map_or("", |caller| caller.by().actor.as_str());
    first_half(format!("jobforge form 1\n{}\n{who}", guard.0).as_bytes())
}

fn first_half(text: &[u8]) -> [u8; HALF] {
    let digest = Sha256::digest(text);
    std::array::from_fn(|at| digest[at])
}

/// Takes the mask off.
fn unmasked(given: &str) -> Option<[u8; HALF]> {
    let digits = given.as_bytes();
    if digits.len() != HALF * 4 {
        return None;
    }
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Vec<u8> = digits.chunks(2).map(byte).collect::<Option<_>>()?;
    Some(std::array::from_fn(|at| bytes[at] ^ bytes[at + HALF]))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_never_written_the_same_twice_and_says_the_same() {
        let guard = Guard("a".repeat(64));
        let (one, other) = (proof(&guard, None), proof(&guard, None));
        assert_ne!(one[..32], other[..32]);
        assert_ne!(one[32..], other[32..]);
        assert_eq!(unmasked(&one), Some(bare(&guard, None)));
        assert_eq!(unmasked(&one), unmasked(&other));
        for wrong in ["", "00", &one[1..], &format!("{one}0"), &"zz".repeat(32), &"é".repeat(32)] {
            assert!(unmasked(wrong).is_none(), "{wrong}");
        }
        assert_ne!(unmasked(&proof(&Guard("b".repeat(64)), None)), unmasked(&one));
    }
}
