//! Holds back who asks too often, by token, or by address where there is none. Each server counts for itself.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jobforge::clock;
use jobforge::core::rate::{Allowance, BURST, Rates};
use jobforge::live::Live;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api_error::ApiError;
use crate::caller::Caller;

/// Streams of events that may be open at once.
const MOST_STREAMS: usize = 64;
/// Those of one caller, so that one alone cannot keep others out.
const MOST_STREAMS_EACH: usize = 32;

/// Who asked how often.
#[derive(Debug)]
pub(crate) struct RateLimit {
    live: Live,
    hasher: RandomState,
    rates: Mutex<Rates>,
}

impl RateLimit {
    pub(crate) fn new(live: Live) -> Self {
        Self { live, hasher: RandomState::new(), rates: Mutex::default() }
    }

    /// `None` where nothing is limited.
    fn take(&self, request: &Request) -> Option<Allowance> {
        let per_second = self.live.now().integer("http_requests_per_second");
        if per_second == 0 {
            return None;
        }
        let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| network(info.0.ip()));
        let caller = match request.extensions().get::<Caller>() {
            Some(caller) if !caller.is_local() => self.hasher.hash_one(("token", &caller.by().actor)),
            Some(_) | None => self.hasher.hash_one(("address", address)),
        };
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        Some(rates.take(caller, per_second, clock::boot()))
    }
}

/// What one host can ask from: of IPv6 a whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::from((u128::from(address) >> 64 << 64).to_be_bytes()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Lets a request through, or says when to try again. Comes after those who find out who asks.
pub(crate) async fn limit(State(limit): State<Arc<RateLimit>>, request: Request, next: Next) -> Response {
    let Some(allowance) = limit.take(&request) else { return next.run(request).await };
    let mut response = match allowance.wait {
        None => next.run(request).await,
        Some(wait) => {
            let told = format!(
                "more than {} requests came at once; slow down, or raise http_requests_per_second",
                allowance.burst
            );
            ApiError::too_many("rate_limited", &told, wait).into_response()
        }
    };
    tell(response.headers_mut(), allowance);
    response
}

/// RateLimit header fields for HTTP, draft-ietf-httpapi-ratelimit-headers-10.
fn tell(headers: &mut HeaderMap, allowance: Allowance) {
    let Allowance { burst, left, full_in, .. } = allowance;
    let whole = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let fields = [
        ("ratelimit-policy", format!("\"caller\";q={burst};w={}", BURST.as_secs())),
        ("ratelimit", format!("\"caller\";r={left};t={}", whole(full_in))),
    ];
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

/// Seats for those whose requests last: who listens to events, and workers that wait for jobs.
#[derive(Debug)]
pub(crate) struct Seats {
    all: Arc<Semaphore>,
    most_each: usize,
    each: Mutex<HashMap<String, usize>>,
}

/// A seat that is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    caller: String,
    _permit: OwnedSemaphorePermit,
}

impl Seats {
    pub(crate) fn new(most: usize, most_each: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(most)), most_each, each: Mutex::default() }
    }

    /// Those of streams of events.
    pub(crate) fn of_streams() -> Self {
        Self::new(MOST_STREAMS, MOST_STREAMS_EACH)
    }

    fn each(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.each.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for a caller; `None` while there is none.
    pub(crate) fn seat(self: Arc<Self>, caller: &str) -> Option<Seat> {
        let permit = Arc::clone(&self.all).try_acquire_owned().ok()?;
        {
            let mut each = self.each();
            let taken = each.entry(caller.to_owned()).or_default();
            if *taken >= self.most_each {
                return None;
            }
            *taken += 1;
        }
        Some(Seat { seats: self, caller: caller.to_owned(), _permit: permit })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut each = self.seats.each();
        if let Some(taken) = each.get_mut(&self.caller) {
            *taken -= 1;
            if *taken == 0 {
                each.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_cannot_take_every_seat_and_seats_come_back() {
        let seats = Arc::new(Seats::of_streams());
        let seat = |caller: &str| Arc::clone(&seats).seat(caller);
        let taken: Vec<Seat> = (0..MOST_STREAMS_EACH).filter_map(|_| seat("a")).collect();
        assert_eq!(taken.len(), MOST_STREAMS_EACH);
        assert!(seat("a").is_none());
        assert!(seat("b").is_some(), "others still may listen");
        drop(taken);
        assert!(seat("a").is_some());
        assert!(seats.each().is_empty(), "who listens no more is forgotten");
    }

    #[test]
    fn hosts_of_one_ipv6_network_count_as_one() {
        let read = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(read("2001:db8::1"), read("2001:db8::ffff:1"));
        assert_ne!(read("2001:db8::1"), read("2001:db8:0:1::1"));
        assert_eq!(read("::ffff:10.0.0.1"), read("10.0.0.1"));
        assert_ne!(read("10.0.0.1"), read("10.0.0.2"));
    }
}
