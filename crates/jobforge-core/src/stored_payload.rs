//! Large payloads lie in object storage, and the job's row holds a reference instead: the size and the SHA-256 of the text.
//!
//! The reference names no object. Where the object lies follows from the tenant and the id of the row that holds the
//! reference, so nobody can reach another job's data with one, whoever wrote it. The key that marks it is refused in the
//! payloads of users. Two references are the same when the texts are the same, so idempotency keys work as ever.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::audit::hex;
use crate::job::JobId;
use crate::payload::Payload;

/// The largest payload that object storage takes, whatever the settings say.
pub const MAX_STORED_BYTES: usize = 64 * 1024 * 1024;
/// What keys of the outermost object may not begin with in a user's payload.
pub const RESERVED: &str = "$jobforge";

/// The longest text of a reference, spaces included.
const MAX_REFERENCE_BYTES: usize = 200;
/// Digits of the name that objects made about the same time have in common.
const FOLDER_DIGITS: usize = 6;
/// Digits that stand for the tenant in an object's name.
const TENANT_DIGITS: usize = 32;

/// What a payload in object storage is known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StoredPayload {
    /// The size of its text.
    pub bytes: u64,
    /// The SHA-256 of its text, as 64 hex digits.
    pub sha256: String,
}

/// The reference as it stands in the row.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    #[serde(rename = "$jobforge.payload")]
    payload: StoredPayload,
}

impl StoredPayload {
    /// What a payload would be known by.
    pub fn describing(payload: &Payload) -> Self {
        let text = payload.as_str().as_bytes();
        Self { bytes: text.len() as u64, sha256: digest(text) }
    }

    /// Reads the reference of a row; `None` if the row holds the payload itself.
    pub fn of(payload: &Payload) -> Option<Self> {
        let text = payload.as_str();
        if text.len() > MAX_REFERENCE_BYTES || !text.starts_with('{') {
            return None;
        }
        let Reference { payload } = payload.decode().ok()?;
        let is_digest = payload.sha256.len() == 64 && payload.sha256.bytes().all(is_hex);
        is_digest.then_some(payload)
    }

    /// The reference that a row holds in place of the payload.
    pub fn reference(&self) -> Payload {
        let text = serde_json::to_string(&Reference { payload: self.clone() }).unwrap_or_default();
        Payload::from_stored(text)
    }

    /// Whether a text is the one that was stored.
    pub fn is_of(&self, text: &[u8]) -> bool {
        self.bytes == text.len() as u64 && self.sha256 == digest(text)
    }

    /// The name of the object of a job: hexadecimal digits, `-` and one `/`, whatever the tenant is called.
    ///
    /// Ids begin with the time, so names of about the same time (4.7 hours) lie in one folder, and lists go by age.
    pub fn name(&self, tenant_id: &str, job: JobId) -> String {
        let id = job.0.simple().to_string();
        let tenant = digest(tenant_id.as_bytes());
        format!("{}/{id}-{}-{}", &id[..FOLDER_DIGITS], &tenant[..TENANT_DIGITS], self.sha256)
    }
}

/// The job that an object belongs to, by its name; `None` for what is no object of ours.
pub fn job_of(name: &str) -> Option<JobId> {
    let (folder, rest) = name.split_once('/')?;
    let mut parts = rest.split('-');
    let (id, tenant, sha256) = (parts.next()?, parts.next()?, parts.next()?);
    let all_hex = [id, tenant, sha256].iter().all(|part| part.bytes().all(is_hex));
    let sizes_fit = (id.len(), tenant.len(), sha256.len()) == (32, TENANT_DIGITS, 64);
    if parts.next().is_some()
        || !all_hex
        || !sizes_fit
        || !id.starts_with(folder)
        || folder.len() != FOLDER_DIGITS
    {
        return None;
    }
    Uuid::try_parse(id).ok().map(JobId)
}

/// Whether a user's payload uses a key that only JobForge may write.
pub fn uses_reserved_key(payload: &Payload) -> bool {
    let text = payload.as_str();
    // A key may be written with escapes; without any of both it cannot be there.
    if !text.starts_with('{') || !(text.contains(RESERVED) || text.contains("\\u")) {
        return false;
    }
    let keys = payload.decode::<BTreeMap<String, IgnoredAny>>();
    keys.is_ok_and(|keys| keys.keys().any(|key| key.starts_with(RESERVED)))
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(text: &str) -> Payload {
        Payload::parse(text).expect(text)
    }

    #[test]
    fn a_reference_is_read_back_and_nothing_else_is_taken_for_one() {
        let stored = StoredPayload::describing(&payload(r#"{"a": 1}"#));
        assert_eq!(stored.bytes, 8);
        assert_eq!(StoredPayload::of(&stored.reference()), Some(stored.clone()));
        // As `jsonb` writes it.
        let spaced = stored.reference().as_str().replace(':', ": ").replace(',', ", ");
        assert_eq!(StoredPayload::of(&payload(&spaced)), Some(stored.clone()));
        assert!(stored.is_of(br#"{"a": 1}"#) && !stored.is_of(br#"{"a": 2}"#));
        for other in [
            "{}".to_owned(),
            "null".to_owned(),
            r#"{"$jobforge.payload": {"bytes": 8}}"#.to_owned(),
            r#"{"$jobforge.payload": {"bytes": 8, "sha256": "../../etc/passwd"}}"#.to_owned(),
            stored.reference().as_str().replace("}}", "}, \"more\": 1}"),
            stored.reference().as_str().replace("8,", "-8,"),
        ] {
            assert_eq!(StoredPayload::of(&payload(&other)), None, "{other}");
        }
    }

    #[test]
    fn reserved_keys_are_found_however_they_are_written() {
        for text in [
            r#"{"$jobforge.payload": {}}"#,
            r#"{"a": 1, "$jobforge": 2}"#,
            r#"{"\u0024jobforge.x": 1}"#,
            r#"{"$job\u0066orge.payload": 1}"#,
        ] {
            assert!(uses_reserved_key(&payload(text)), "{text}");
        }
        for text in
            [r#"{"a": "$jobforge"}"#, r#"{"a": {"$jobforge": 1}}"#, r#"["$jobforge"]"#, r#"{"\u0061": 1}"#]
        {
            assert!(!uses_reserved_key(&payload(text)), "{text}");
        }
    }

    #[test]
    fn an_object_is_named_by_its_job_and_by_nothing_that_a_user_chose() {
        let (stored, id) = (StoredPayload::describing(&payload("1")), JobId::new());
        let name = stored.name("../../etc", id);
        assert!(name.bytes().all(|byte| is_hex(byte) || matches!(byte, b'/' | b'-')), "{name}");
        assert_eq!(job_of(&name), Some(id));
        assert_ne!(name, stored.name("acme", id), "another tenant's job of the same id has another object");
        for other in ["", "a", "a/b", "../x", &name[1..], &format!("{name}-0"), &name.replace('-', "/")] {
            assert_eq!(job_of(other), None, "{other}");
        }
    }
}
