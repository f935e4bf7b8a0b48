//! Alert rules of a runbook: ours must be the same, and Prometheus must take them.

use std::process::Command;

use jobforge::core::alert::rules::rules;

use super::verdict::Verdict;

/// Judges a block of rules.
pub(super) fn check(block: &str) -> Verdict {
    Verdict::of(prometheus_takes(block).and_then(|()| ours_are_the_same(block)))
}

fn prometheus_takes(block: &str) -> Result<(), String> {
    let file = tempfile::NamedTempFile::new().map_err(|fault| fault.to_string())?;
    std::fs::write(file.path(), block).map_err(|fault| fault.to_string())?;
    let run = Command::new("promtool").args(["check", "rules"]).arg(file.path()).output();
    let run = run.map_err(|fault| format!("promtool: {fault}; Debian's package prometheus brings it"))?;
    if run.status.success() {
        return Ok(());
    }
    Err(format!("promtool refuses it: {}", String::from_utf8_lossy(&run.stderr)))
}

/// Each alert of the block is among ours, with the same condition and the same patience.
fn ours_are_the_same(block: &str) -> Result<String, String> {
    let mut seen = Vec::new();
    for text in block.split("- alert:").skip(1) {
        let name = text.lines().next().unwrap_or_default().trim();
        let ours = rules().into_iter().find(|rule| rule.name == name);
        let ours = ours.ok_or_else(|| format!("{name} is not among our alerts"))?;
        let (_, rest) = text.split_once("expr:").ok_or("a rule without an expression")?;
        let (expression, rest) =
            rest.split_once("for:").ok_or("a rule that says not how long it must hold")?;
        let squeezed =
            |text: &str| text.chars().filter(|c| !c.is_whitespace() && *c != '|').collect::<String>();
        if squeezed(expression) != squeezed(&ours.expr.to_string()) {
            return Err(format!("{name} fires when {}, not when {expression}", ours.expr));
        }
        let patience = rest.lines().next().unwrap_or_default().trim();
        if patience != jobforge::core::alert::expr::span(ours.hold) {
            return Err(format!("{name} fires after {:?}, not after {patience}", ours.hold));
        }
        seen.push(name);
    }
    Ok(format!("{} is shipped with this condition", seen.join(", ")))
}
