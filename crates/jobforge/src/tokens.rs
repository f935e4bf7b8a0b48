//! Making bearer tokens, and reading the audit log from end to end.

use jiff::Timestamp;
use jobforge_core::audit::{Broken, Verifier};
use jobforge_core::time::Now;
use jobforge_core::token::{BadToken, NewToken, TokenRow, TokenText, check};
use jobforge_store::StoreError;
use uuid::Uuid;

use crate::client::Client;

/// Entries of the audit log that are read at once.
const PAGE: usize = 1000;

/// Why a token was not made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be one.
    #[error(transparent)]
    Bad(#[from] BadToken),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the audit log is not known to be whole.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// It is not.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How far the audit log is known to be whole.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AuditHead {
    /// Entries in the chain.
    pub entries: u64,
    /// The last one's hash. Kept elsewhere, it shows later whether the end was cut off.
    pub hash: String,
}

impl Client {
    /// Makes a token. Its text is known only now.
    ///
    /// # Errors
    /// When it cannot be one, or the database fails.
    pub async fn create_token(&self, new: NewToken) -> Result<(TokenText, TokenRow), TokenError> {
        let now = self.store().now().await?;
        check(&new, now)?;
        let text = TokenText::of_random(&new.scopes, random(), random_pair());
        let row = row(new, &text, self.by().actor.clone(), now);
        self.store().put_token(&row, self.by(), Now::Database).await?;
        Ok((text, row))
    }

    /// Seals what is not sealed yet, and reads the whole audit log.
    ///
    /// # Errors
    /// Where it is broken, or when the database fails.
    pub async fn verify_audit(&self) -> Result<AuditHead, AuditError> {
        while self.store().seal_audit().await? > 0 {}
        let mut verifier = Verifier::default();
        loop {
            let page = self.store().audit_chain(verifier.head().0, PAGE).await?;
            page.iter().try_for_each(|entry| verifier.next(entry))?;
            if page.len() < PAGE {
                let (entries, hash) = verifier.head();
                return Ok(AuditHead { entries, hash: hash.to_owned() });
            }
        }
    }
}

fn row(new: NewToken, text: &TokenText, created_by: String, now: Timestamp) -> TokenRow {
    TokenRow {
        id: text.id().to_owned(),
        name: new.name,
        scopes: new.scopes,
        tenant_id: new.tenant_id,
        queues: new.queues,
        hash: text.hash(),
        created_at: now,
        created_by,
        expires_at: new.expires_at,
        revoked_at: None,
        last_used_at: None,
    }
}

/// Random bytes of the operating system, by way of random UUIDs: six bits of each are fixed, which leaves a token 244.
fn random_pair() -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    bytes[16..].copy_from_slice(Uuid::new_v4().as_bytes());
    bytes
}

fn random() -> [u8; 8] {
    let mut bytes = [0; 8];
    // The last eight but two bits are random.
    bytes.copy_from_slice(&Uuid::new_v4().as_bytes()[8..]);
    bytes
}
