//! The address guard: which targets an outgoing request may reach.
//!
//! A payload's author must not reach what only the worker can reach: its own host, its network, the metadata service
//! of its cloud. Three places ask here: the URL check (addresses written in the URL never meet a resolver), the
//! resolver of the HTTP client, and again both for every redirect.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// The longest name DNS can carry.
const HOST_BYTES: usize = 253;
const USUAL_PORTS: [u16; 2] = [80, 443];

/// Everything that is not the public internet, by the word a refusal names. The first match counts.
///
/// Sources: the IANA special-purpose registries for IPv4 and IPv6. Addresses that carry an IPv4 address inside
/// (translation and tunnels) are refused as a whole, since what is inside could be any of the private ones.
const FORBIDDEN: [(&str, Prefix); 38] = [
    ("this-network", v4(0, 0, 0, 0, 8)),
    ("private", v4(10, 0, 0, 0, 8)),
    ("shared-nat", v4(100, 64, 0, 0, 10)),
    ("loopback", v4(127, 0, 0, 0, 8)),
    ("link-local", v4(169, 254, 0, 0, 16)),
    ("private", v4(172, 16, 0, 0, 12)),
    ("protocol", v4(192, 0, 0, 0, 24)),
    ("documentation", v4(192, 0, 2, 0, 24)),
    ("6to4-relay", v4(192, 88, 99, 0, 24)),
    ("private", v4(192, 168, 0, 0, 16)),
    ("benchmark", v4(198, 18, 0, 0, 15)),
    ("documentation", v4(198, 51, 100, 0, 24)),
    ("documentation", v4(203, 0, 113, 0, 24)),
    ("multicast", v4(224, 0, 0, 0, 4)),
    ("reserved", v4(240, 0, 0, 0, 4)),
    ("unspecified", v6([0, 0, 0, 0, 0, 0, 0, 0], 128)),
    ("loopback", v6([0, 0, 0, 0, 0, 0, 0, 1], 128)),
    ("ipv4-compatible", v6([0, 0, 0, 0, 0, 0, 0, 0], 96)),
    // A mapped address was unmapped before; this line is for the day that somebody forgets to.
    ("ipv4-mapped", v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96)),
    ("ipv4-translated", v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96)),
    ("nat64", v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96)),
    ("nat64", v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48)),
    ("discard", v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64)),
    ("dummy", v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64)),
    ("teredo", v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32)),
    ("benchmark", v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48)),
    ("protocol", v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23)),
    ("documentation", v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32)),
    ("6to4", v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16)),
    ("documentation", v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20)),
    ("segment-routing", v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16)),
    ("private", v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7)),
    ("link-local", v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10)),
    ("site-local", v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10)),
    ("multicast", v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8)),
    // All of public unicast is in 2000::/3; what IANA has not opened is nobody's public address.
    ("not-global", v6([0, 0, 0, 0, 0, 0, 0, 0], 3)),
    ("not-global", v6([0x4000, 0, 0, 0, 0, 0, 0, 0], 2)),
    ("not-global", v6([0x8000, 0, 0, 0, 0, 0, 0, 0], 1)),
];

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Prefix {
    net: IpAddr,
    bits: u8,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Prefix {
    Prefix { net: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits }
}

const fn v6(s: [u16; 8], bits: u8) -> Prefix {
    Prefix { net: IpAddr::V6(Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7])), bits }
}

impl Prefix {
    fn contains(self, address: IpAddr) -> bool {
        match (self.net, address) {
            (IpAddr::V4(net), IpAddr::V4(address)) => {
                same_bits(net.to_bits().into(), address.to_bits().into(), 32, self.bits)
            }
            (IpAddr::V6(net), IpAddr::V6(address)) => {
                same_bits(net.to_bits(), address.to_bits(), 128, self.bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// Reads `10.1.2.0/24` or a single address.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (net, bits) = text.split_once('/').map_or((text, None), |(net, bits)| (net, Some(bits)));
        let net: IpAddr = net.parse().map_err(|_| "is not an IP address")?;
        if net.to_canonical() != net {
            return Err("is an IPv4 address in IPv6 spelling; write it as IPv4");
        }
        let width = if net.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), str::parse).map_err(|_| "has no number after `/`")?;
        if bits > width {
            return Err("has more bits after `/` than an address has");
        }
        let host_bits = match net {
            IpAddr::V4(net) => u128::from(net.to_bits()) << bits << 96,
            IpAddr::V6(net) => net.to_bits().checked_shl(bits.into()).unwrap_or(0),
        };
        if host_bits != 0 {
            return Err("has address bits set beyond its `/` length");
        }
        Ok(Self { net, bits })
    }
}

fn same_bits(a: u128, b: u128, width: u8, bits: u8) -> bool {
    ((a ^ b) >> (width - bits)) == 0 || bits == 0
}

/// An entry of the operator's list: a range, and one port of it or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Allowed {
    prefix: Prefix,
    port: Option<u16>,
}

impl Allowed {
    /// Reads `10.1.2.0/24`, `10.1.2.3:8080`, `fd00::/8` or `[fd00::/8]:8080`.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (range, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (range, rest) = rest.split_once(']').ok_or("has `[` without `]`")?;
                (
                    range,
                    rest.strip_prefix(':')
                        .or_else(|| rest.is_empty().then_some(""))
                        .ok_or("has text after `]`")?,
                )
            }
            None if text.matches(':').count() == 1 => text.split_once(':').unwrap_or((text, "")),
            None => (text, ""),
        };
        let port = match port {
            "" => None,
            number => Some(number.parse().map_err(|_| "has a port that is not a number from 0 to 65535")?),
        };
        Ok(Self { prefix: Prefix::parse(range)?, port })
    }

    fn covers(self, target: SocketAddr) -> bool {
        self.prefix.contains(target.ip()) && self.port.is_none_or(|port| port == target.port())
    }
}

/// An entry of the operator's list that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "JOBFORGE_HTTP_ALLOW_PRIVATE: {entry:?} {problem}; examples: 10.1.2.0/24, 10.1.2.3:8080, [fd00::/8]:8080"
)]
pub struct BadAllowEntry {
    /// The entry as given.
    pub entry: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Why a target is refused: the name of the rule, never the address it resolved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocked {
    /// `loopback`, `private`, `link-local`, …, or `port`.
    pub rule: &'static str,
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setting =
            if self.rule == "port" { "JOBFORGE_HTTP_ALLOW_PORTS" } else { "JOBFORGE_HTTP_ALLOW_PRIVATE" };
        write!(
            f,
            "the target is refused by the rule `{}`; the worker's operator can allow it with {setting}",
            self.rule
        )
    }
}

impl std::error::Error for Blocked {}

/// Why a URL is no target for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadUrl {
    /// The payload has to change.
    Malformed(&'static str),
    /// The URL names a forbidden address itself.
    Blocked(Blocked),
}

/// The rules of one worker.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    allowed: Vec<Allowed>,
    ports: Vec<u16>,
}

impl Policy {
    /// Reads the operator's lists: private ranges that may be reached, and ports beyond 80 and 443.
    ///
    /// # Errors
    /// Names the first entry that cannot be read.
    pub fn new(allow_private: &[String], allow_ports: &[u16]) -> Result<Self, BadAllowEntry> {
        let allowed = allow_private
            .iter()
            .map(|entry| {
                Allowed::parse(entry.trim())
                    .map_err(|problem| BadAllowEntry { entry: entry.clone(), problem })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { allowed, ports: allow_ports.to_vec() })
    }

    /// Judges one address and port.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn check(&self, target: SocketAddr) -> Result<(), Blocked> {
        // ::ffff:127.0.0.1 connects to 127.0.0.1, so it is judged as that.
        let target = SocketAddr::new(target.ip().to_canonical(), target.port());
        if self.allowed.iter().any(|allowed| allowed.covers(target)) {
            return Ok(());
        }
        if let Some((rule, _)) = FORBIDDEN.iter().find(|(_, prefix)| prefix.contains(target.ip())) {
            return Err(Blocked { rule });
        }
        if USUAL_PORTS.contains(&target.port()) || self.ports.contains(&target.port()) {
            return Ok(());
        }
        Err(Blocked { rule: "port" })
    }

    /// Judges what can be judged of a URL before its name is resolved, and returns its port.
    ///
    /// # Errors
    /// A shape we never request, or an address in the URL that is forbidden. The parser has already folded spellings
    /// such as `0x7f.1`, `2130706433` and full-width digits into plain addresses.
    pub fn check_url(&self, url: &Url) -> Result<u16, BadUrl> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BadUrl::Malformed("must begin with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadUrl::Malformed(
                "must not carry a user name or password; use a header with a secret_ref",
            ));
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(BadUrl::Malformed("has no host"));
        };
        let literal = match host {
            Host::Domain(name) if name.len() > HOST_BYTES => {
                return Err(BadUrl::Malformed("has a host of over 253 bytes"));
            }
            Host::Domain(_) => return Ok(port),
            Host::Ipv4(address) => IpAddr::V4(address),
            Host::Ipv6(address) => IpAddr::V6(address),
        };
        self.check(SocketAddr::new(literal, port)).map_err(BadUrl::Blocked)?;
        Ok(port)
    }

    /// Keeps the addresses that may be connected to.
    ///
    /// # Errors
    /// When none is left: the rule that refused the first.
    fn survivors(&self, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Blocked> {
        let mut refused = None;
        let mut kept = Vec::with_capacity(found.len());
        for target in found {
            match self.check(target) {
                Ok(()) => kept.push(target),
                Err(blocked) => refused = refused.or(Some(blocked)),
            }
        }
        match refused {
            Some(blocked) if kept.is_empty() => Err(blocked),
            _ => Ok(kept),
        }
    }
}

/// The resolver of the HTTP client for one port.
///
/// The client connects to what this returns and to nothing else, so the lookup that is checked *is* the lookup that is
/// used: an answer that changes between two questions (DNS rebinding) has no second question to change for.
#[derive(Debug)]
pub(super) struct GuardedResolver {
    pub policy: Arc<Policy>,
    pub port: u16,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, port) = (Arc::clone(&self.policy), self.port);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), port)).await?.collect();
            let kept: Addrs = Box::new(policy.survivors(found)?.into_iter());
            Ok(kept)
        })
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
