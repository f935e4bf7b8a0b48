//! What `--fix` does: only what is harmless, whoever else works on the same thing.

use std::path::Path;

use jobforge::core::audit::Deed;
use jobforge::core::counted::counted;
use jobforge::core::doctor::Fix;
use jobforge::core::time::Now;
use serde_json::json;

use super::host::is_stale;
use crate::commands::Context;
use crate::failure::{self, Failure};

/// Does it, writes it into the audit log, and says in a sentence what it did.
pub(super) async fn mend(context: &Context, fix: &Fix) -> Result<String, Failure> {
    let client = context.visit().await?;
    let store = client.store();
    let (target, done, said) = match fix {
        Fix::Reconcile => {
            let mended = store.reconcile(Now::Database).await?;
            ("queue".to_owned(), json!({ "mended": mended }), format!("{} put right", counted(mended, "row")))
        }
        Fix::RemoveSocket { path } => {
            // A server may have come back since it was looked at.
            if !is_stale(Path::new(path)) {
                return Ok(format!("{path} is in use, or gone; nothing was done"));
            }
            std::fs::remove_file(path).map_err(|error| {
                Failure::new(failure::FAILED, format!("{path} cannot be removed: {error}"))
            })?;
            (path.clone(), json!({ "removed": true }), format!("{path} is removed"))
        }
    };
    let deed = Deed::new(fix.action(), target).changing(&serde_json::Value::Null, &done);
    store.note(client.by(), &[deed], Now::Database).await?;
    Ok(said)
}
