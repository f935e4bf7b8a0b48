//! What both engines' migrations share: numbered steps with checksums, and the checks before using a schema.
//!
//! Migrations are forward-only. A program refuses a schema that is older than it needs, and one that is newer than it
//! knows: a newer program may have changed what this one relies on.

use sha2::{Digest, Sha256};

use crate::error::{Result, StoreError};

/// One step, embedded in the program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Migration {
    pub(crate) version: i64,
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

impl Migration {
    /// Identifies the text that was applied.
    pub(crate) fn checksum(&self) -> String {
        let digest = Sha256::digest(self.sql.as_bytes());
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What the database says it has applied.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    pub(crate) version: i64,
    pub(crate) checksum: String,
}

/// Returns the steps that are still to be applied.
pub(crate) fn pending(known: &[Migration], applied: &[Applied], location: &str) -> Result<Vec<Migration>> {
    let newest = known.last().map_or(0, |migration| migration.version);
    let found = applied.iter().map(|row| row.version).max().unwrap_or(0);
    if found > newest {
        return Err(StoreError::SchemaTooNew { location: location.to_owned(), found, known: newest });
    }
    for row in applied {
        let matching = known.iter().find(|migration| migration.version == row.version);
        if matching.is_none_or(|migration| migration.checksum() != row.checksum) {
            return Err(StoreError::MigrationDrift { location: location.to_owned(), version: row.version });
        }
    }
    Ok(known.iter().filter(|m| applied.iter().all(|row| row.version != m.version)).copied().collect())
}

/// Fails unless every known step is applied and no other is.
pub(crate) fn verify(known: &[Migration], applied: &[Applied], location: &str) -> Result<()> {
    if pending(known, applied, location)?.is_empty() {
        return Ok(());
    }
    let needed = known.last().map_or(0, |migration| migration.version);
    let found = applied.iter().map(|row| row.version).max().unwrap_or(0);
    Err(StoreError::SchemaTooOld { location: location.to_owned(), found, needed })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Migration; 2] =
        [Migration { version: 1, name: "one", sql: "a" }, Migration { version: 2, name: "two", sql: "b" }];

    fn applied(steps: &[Migration]) -> Vec<Applied> {
        steps.iter().map(|m| Applied { version: m.version, checksum: m.checksum() }).collect()
    }

    #[test]
    fn missing_steps_are_pending_and_an_older_schema_is_refused_for_use() {
        let pending = pending(&KNOWN, &applied(&KNOWN[..1]), "db").expect("pending");
        assert_eq!(pending.iter().map(|m| m.version).collect::<Vec<_>>(), [2]);
        assert!(matches!(
            verify(&KNOWN, &applied(&KNOWN[..1]), "db"),
            Err(StoreError::SchemaTooOld { found: 1, needed: 2, .. })
        ));
        assert!(verify(&KNOWN, &applied(&KNOWN), "db").is_ok());
    }

    #[test]
    fn a_newer_schema_and_a_changed_step_are_refused() {
        let newer = [Applied { version: 3, checksum: String::new() }];
        assert!(matches!(
            pending(&KNOWN, &newer, "db"),
            Err(StoreError::SchemaTooNew { found: 3, known: 2, .. })
        ));
        let drifted = [Applied { version: 1, checksum: "other".to_owned() }];
        assert!(matches!(
            pending(&KNOWN, &drifted, "db"),
            Err(StoreError::MigrationDrift { version: 1, .. })
        ));
    }
}
