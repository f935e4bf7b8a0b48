//! Who did what, when and why, in a chain that shows what was changed or taken out.
//!
//! An entry is stored in the transaction of the action that it tells of, and sealed soon after: it then gets the next
//! place in the chain, and a hash over itself and the hash before. Sealing apart keeps actions from waiting for each other.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::time::parse_duration;

/// What the first entry follows.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Entries that are sealed in one step.
pub const SEAL_STEP: usize = 1000;
/// The longest reason, in characters; what is longer is cut.
pub const MAX_REASON: usize = 500;

/// By whom, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct By {
    /// Who: `cli:ada@host`, `token:1f2e3d4c (deploy)`, `sql:role`.
    pub actor: String,
    /// Why, in the actor's words.
    pub reason: Option<String>,
    /// The request that it came with, as in the server's log.
    pub request_id: Option<String>,
    /// Where the request came from.
    pub address: Option<String>,
}

/// Who does what nobody has asked for, such as making the schedules that come with JobForge.
pub const ITSELF: &str = "jobforge";

impl By {
    /// Somebody who gives no reason.
    pub fn named(actor: impl Into<String>) -> Self {
        Self { actor: actor.into(), ..Self::default() }
    }

    /// The same, with a reason; a blank one is none.
    #[must_use]
    pub fn because(mut self, reason: Option<&str>) -> Self {
        let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
        // What would forge lines of a log, or what a database cannot keep, becomes a space.
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        self.reason = reason.map(|reason| reason.chars().map(plain).take(MAX_REASON).collect());
        self
    }
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deed {
    /// In two words: `job.cancel`, `setting.set`.
    pub action: String,
    /// To what: a job's id, a queue's name, a setting's key.
    pub target: Option<String>,
    /// Whose it is.
    pub tenant_id: Option<String>,
    /// How it was, as JSON.
    pub before: Option<String>,
    /// How it is now, as JSON.
    pub after: Option<String>,
}

impl Deed {
    /// Something done to something.
    pub fn new(action: &str, target: impl Into<String>) -> Self {
        Self { action: action.to_owned(), target: Some(target.into()), ..Self::default() }
    }

    /// Whose it is.
    #[must_use]
    pub fn of(mut self, tenant_id: impl Into<String>) -> Self {
        self.tenant_id = Some(tenant_id.into());
        self
    }

    /// How it was before and how it is now.
    #[must_use]
    pub fn changing(mut self, before: &serde_json::Value, after: &serde_json::Value) -> Self {
        self.before = (!before.is_null()).then(|| before.to_string());
        self.after = (!after.is_null()).then(|| after.to_string());
        self
    }
}

/// One entry as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Entry {
    /// Its number, in the order of writing.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// By whom and why.
    #[serde(flatten)]
    pub by: By,
    /// In two words.
    pub action: String,
    /// To what.
    pub target: Option<String>,
    /// Whose it is.
    pub tenant_id: Option<String>,
    /// How it was, as JSON.
    pub before: Option<String>,
    /// How it is now, as JSON.
    pub after: Option<String>,
    /// Its place in the chain; none until it is sealed.
    pub place: Option<u64>,
    /// What its place is proven by.
    pub hash: Option<String>,
}

/// SHA-256 over the hash before and everything that an entry says, as hex.
///
/// Each field goes in with its length, so that no two entries read the same; the place counts, the number does not.
pub fn hash(previous: &str, place: u64, entry: &Entry) -> String {
    let mut text = format!("jobforge-audit-1\n{previous}\n{place}\n{}\n", entry.at.as_microsecond());
    let fields = [
        Some(&entry.by.actor),
        entry.by.reason.as_ref(),
        entry.by.request_id.as_ref(),
        entry.by.address.as_ref(),
        Some(&entry.action),
        entry.target.as_ref(),
        entry.tenant_id.as_ref(),
        entry.before.as_ref(),
        entry.after.as_ref(),
    ];
    for field in fields {
        match field {
            Some(field) => text.push_str(&format!("{}:{field}\n", field.len())),
            None => text.push_str("-\n"),
        }
    }
    hex(&Sha256::digest(text.as_bytes()))
}

/// Bytes in lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Seals entries in the given order behind the last place and hash of the chain; returns the new place and hash of each.
pub fn seal(last: Option<(u64, String)>, entries: &[Entry]) -> Vec<(u64, String)> {
    let (mut place, mut previous) = last.unwrap_or((0, GENESIS.to_owned()));
    let seal_one = |entry: &Entry| {
        place += 1;
        previous = hash(&previous, place, entry);
        (place, previous.clone())
    };
    entries.iter().map(seal_one).collect()
}

/// Reads a chain entry by entry, and says where it first breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    place: u64,
    hash: String,
}

impl Default for Verifier {
    fn default() -> Self {
        Self { place: 0, hash: GENESIS.to_owned() }
    }
}

/// Where and how a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// An entry is missing.
    #[error("place {expected} of the audit log is missing: {found} comes next; entries were taken out")]
    Missing {
        /// The place that is not there.
        expected: u64,
        /// The one that comes instead.
        found: u64,
    },
    /// An entry says something else than when it was sealed.
    #[error("entry {id} at place {place} of the audit log was changed, or what came before it")]
    Changed {
        /// Its number.
        id: i64,
        /// Its place.
        place: u64,
    },
}

impl Verifier {
    /// Takes the next sealed entry; one that is not sealed yet is passed over.
    ///
    /// # Errors
    /// When it does not follow.
    pub fn next(&mut self, entry: &Entry) -> Result<(), Broken> {
        let (Some(place), Some(hashed)) = (entry.place, entry.hash.as_ref()) else { return Ok(()) };
        if place != self.place + 1 {
            return Err(Broken::Missing { expected: self.place + 1, found: place });
        }
        let expected = hash(&self.hash, place, entry);
        if expected != *hashed {
            return Err(Broken::Changed { id: entry.id, place });
        }
        (self.place, self.hash) = (place, expected);
        Ok(())
    }

    /// How far it came: the last place and its hash. Kept elsewhere, it shows later whether the end was cut off.
    pub fn head(&self) -> (u64, &str) {
        (self.place, &self.hash)
    }
}

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only by this actor.
    pub actor: Option<String>,
    /// Only this action, or all of a group: `job.cancel`, `setting.`.
    pub action: Option<String>,
    /// Only about this.
    pub target: Option<String>,
    /// Only of this tenant.
    pub tenant_id: Option<String>,
    /// Only from then on.
    pub since: Option<Timestamp>,
    /// Only written before this number: the next page.
    pub before: Option<i64>,
    /// Only from this number on: where a search that finds little shall stop.
    pub down_to: Option<i64>,
}

/// Reads the beginning of a time: a moment, or how long ago it was; what lies before 1970 means from the beginning, for
/// not every database knows what was before Caesar.
///
/// # Errors
/// When it is neither, with what is accepted.
pub fn parse_since(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let moment = text.parse::<Timestamp>().ok();
    let moment = moment.or_else(|| parse_duration(text).ok().map(|ago| crate::time::sub(now, ago)));
    let told = || format!("{text:?} is neither a moment such as 2026-01-31T12:00:00Z nor a time such as 2h");
    moment.map(|moment| moment.max(Timestamp::UNIX_EPOCH)).ok_or_else(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: i64, action: &str) -> Entry {
        Entry {
            id,
            at: Timestamp::from_second(id).expect("a moment"),
            by: By::named("ada").because(Some(" because ")),
            action: action.to_owned(),
            target: Some("job".to_owned()),
            tenant_id: None,
            before: None,
            after: Some("{}".to_owned()),
            place: None,
            hash: None,
        }
    }

    fn chain(length: i64) -> Vec<Entry> {
        let mut entries: Vec<Entry> = (1..=length).map(|id| entry(id, "job.cancel")).collect();
        let seals = seal(None, &entries);
        for (entry, (place, hash)) in entries.iter_mut().zip(seals) {
            (entry.place, entry.hash) = (Some(place), Some(hash));
        }
        entries
    }

    fn verify(entries: &[Entry]) -> Result<(u64, String), Broken> {
        let mut verifier = Verifier::default();
        entries.iter().try_for_each(|entry| verifier.next(entry))?;
        Ok((verifier.head().0, verifier.head().1.to_owned()))
    }

    #[test]
    fn what_began_before_any_database_begins_in_1970() {
        let now = Timestamp::from_second(1_700_000_000).expect("a moment");
        let began = |text: &str| parse_since(text, now).expect(text);
        assert_eq!(began("734444342m"), Timestamp::UNIX_EPOCH);
        assert_eq!(began("-009998-01-01T00:00:00Z"), Timestamp::UNIX_EPOCH);
        assert_eq!(began("1h"), Timestamp::from_second(1_700_000_000 - 3600).expect("a moment"));
        assert!(parse_since("yesterday", now).is_err());
    }

    #[test]
    fn a_sound_chain_is_verified_to_its_head() {
        let entries = chain(5);
        assert_eq!(verify(&entries), Ok((5, entries[4].hash.clone().expect("sealed"))));
        let mut open = entries.clone();
        open.push(entry(6, "job.retry"));
        assert_eq!(verify(&open).map(|(place, _)| place), Ok(5), "the last one is not sealed yet");
    }

    #[test]
    fn what_was_changed_or_taken_out_is_found_where_it_is() {
        type Tamper = fn(&mut Vec<Entry>);
        let changes: [Tamper; 9] = [
            |chain| chain[2].by.actor = "eve".to_owned(),
            |chain| chain[2].by.reason = None,
            |chain| chain[2].by.address = Some("::1".to_owned()),
            |chain| chain[2].action = "job.delete".to_owned(),
            |chain| chain[2].target = None,
            |chain| chain[2].tenant_id = Some(String::new()),
            |chain| chain[2].before = Some("null".to_owned()),
            |chain| chain[2].after = None,
            |chain| chain[2].at = Timestamp::UNIX_EPOCH,
        ];
        for change in changes {
            let mut entries = chain(5);
            change(&mut entries);
            assert_eq!(verify(&entries), Err(Broken::Changed { id: 3, place: 3 }));
        }
        let mut entries = chain(5);
        entries.remove(2);
        assert_eq!(verify(&entries), Err(Broken::Missing { expected: 3, found: 4 }));
        let mut entries = chain(5);
        let forged = seal(entries[1].place.zip(entries[1].hash.clone()), &[entry(9, "job.delete")]);
        (entries[2].place, entries[2].hash) = (Some(forged[0].0), Some(forged[0].1.clone()));
        assert_eq!(verify(&entries), Err(Broken::Changed { id: 3, place: 3 }));
    }

    #[test]
    fn fields_cannot_flow_into_each_other() {
        let (mut a, mut b) = (entry(1, "a"), entry(1, "a"));
        (a.before, a.after) = (Some("x\n1:y".to_owned()), None);
        (b.before, b.after) = (Some("x".to_owned()), Some("y".to_owned()));
        assert_ne!(hash(GENESIS, 1, &a), hash(GENESIS, 1, &b));
    }

    #[test]
    fn a_blank_reason_is_none_and_a_long_one_is_cut() {
        assert_eq!(By::named("a").because(Some("  ")).reason, None);
        let long = By::named("a").because(Some(&"é".repeat(600))).reason.expect("a reason");
        assert_eq!(long.chars().count(), MAX_REASON);
    }
}
