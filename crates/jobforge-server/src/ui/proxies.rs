//! Logging in through a reverse proxy that knows the people: it names them in a header.
//!
//! Believed only from addresses that the settings name, and only while they name a header, too: whoever reaches the server
//! past the proxy could write any header.

use std::net::IpAddr;

use axum::http::HeaderMap;
use jobforge::core::settings::Settings;
use jobforge::core::token::Scope;

use crate::api_error::ApiError;
use crate::caller::Caller;

/// The longest name of a person, in characters.
const MAX_NAME: usize = 100;

/// Whom a trusted proxy vouches for; `None` if none does.
pub(super) fn vouched(
    settings: &Settings,
    headers: &HeaderMap,
    address: Option<IpAddr>,
) -> Result<Option<Caller>, ApiError> {
    let user_header = settings.text("ui_user_header");
    let trusted = settings.list("ui_trusted_proxies");
    if user_header.is_empty() || trusted.is_empty() {
        return Ok(None);
    }
    let Some(address) = address.filter(|address| trusted.iter().any(|range| covers(range, *address))) else {
        return Ok(None);
    };
    let one = |name: &str| {
        let mut given = headers.get_all(name).iter();
        match (given.next(), given.next()) {
            (Some(value), None) => value.to_str().ok().map(str::trim).filter(|value| !value.is_empty()),
            _ => None,
        }
    };
    let Some(user) = one(user_header) else { return Ok(None) };
    let plain = |c: char| c.is_alphanumeric() || "@._+-".contains(c);
    if user.chars().count() > MAX_NAME || !user.chars().all(plain) {
        let detail = format!("the proxy at {address} sent a name in {user_header} that is none");
        return Err(ApiError::bad_request("bad_user", detail));
    }
    let role_header = settings.text("ui_role_header");
    let role = if role_header.is_empty() { None } else { one(role_header) };
    // Who is of no role that we know may look, as the proxy let them in.
    let scope = match role {
        Some("admin") => Scope::Admin,
        Some("operator") => Scope::Operate,
        _ => Scope::Read,
    };
    Ok(Some(Caller::new(format!("proxy:{user}"), scope)))
}

/// Whether an address, or a range as `10.0.0.0/8`, is or holds this one.
fn covers(range: &str, address: IpAddr) -> bool {
    let (base, bits) = match range.split_once('/') {
        Some((base, bits)) => (base, bits.parse::<u32>().ok()),
        None => (range, Some(u32::MAX)),
    };
    let (Ok(base), Some(bits)) = (base.trim().parse::<IpAddr>(), bits) else { return false };
    match (base.to_canonical(), address.to_canonical()) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            let differ = u32::from(base) ^ u32::from(address);
            differ.leading_zeros() >= bits.min(32)
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            let differ = u128::from(base) ^ u128::from(address);
            differ.leading_zeros() >= bits.min(128)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_what_they_say() {
        let covers = |range, address: &str| covers(range, address.parse().expect("an address"));
        assert!(covers("10.0.0.0/8", "10.255.0.1") && !covers("10.0.0.0/8", "11.0.0.1"));
        assert!(covers("127.0.0.1", "127.0.0.1") && !covers("127.0.0.1", "127.0.0.2"));
        assert!(covers("fd00::/8", "fd12::1") && !covers("fd00::/8", "fe80::1"));
        assert!(covers("0.0.0.0/0", "8.8.8.8") && !covers("0.0.0.0/0", "::1"));
        assert!(covers("10.0.0.1", "::ffff:10.0.0.1"));
        for nonsense in ["", "10.0.0.0/x", "localhost", "/8"] {
            assert!(!covers(nonsense, "10.0.0.1"), "{nonsense}");
        }
    }
}
