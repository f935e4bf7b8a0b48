//! `jobforge db check`: the rules of a consistent database.

use jobforge::core::counted::counted;
use jobforge::core::time::Now;
use jobforge::store::rows::Finding;

use crate::commands::Context;
use crate::failure::{self, Failure};
use crate::output;

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let client = context.visit().await?;
    let findings = client.store().check(Now::Database).await?;
    if context.json {
        output::json(&findings)?;
    } else {
        tell(&findings, client.store().location());
    }
    verdict(&findings)
}

/// Says which rules are broken, or that none is.
pub(super) fn tell(findings: &[Finding], location: &str) {
    if findings.is_empty() {
        output::note(&format!("{location} keeps every rule"));
    }
    for finding in findings {
        output::say(&format!("{}: {}", output::bold(&finding.rule), finding.meaning));
        let healing =
            if finding.self_healing { "mends itself while a server runs" } else { "needs a person" };
        output::say(&format!("    {healing}; {}", finding.rows.join(", ")));
    }
}

/// Fails if any rule is broken.
pub(super) fn verdict(findings: &[Finding]) -> Result<(), Failure> {
    if findings.is_empty() {
        return Ok(());
    }
    Err(Failure::new(failure::FOUND, format!("{} broken", counted(findings.len(), "rule")))
        .hint("`jobforge job explain JOB` says what is known about a job"))
}
