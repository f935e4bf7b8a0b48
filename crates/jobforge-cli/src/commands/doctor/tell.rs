//! How a diagnosis is told: for programs as JSON, for people in lines that fit their terminal.

use jobforge::core::counted::counted;
use jobforge::core::doctor::{self, Area, Finding, Severity};
use serde_json::json;

use crate::failure::{self, Failure};
use crate::output;

/// Before whatever belongs to a finding.
const INDENT: &str = "      ";
/// Programs that a line which mends may begin with; any other line is one to read.
const PROGRAMS: [&str; 7] =
    ["jobforge ", "psql ", "kill ", "SELECT ", "pg_isready ", "timedatectl", "chronyc "];

pub(super) fn tell(areas: &[Area], as_json: bool) -> Result<(), Failure> {
    let findings: Vec<&Finding> = areas.iter().flat_map(|area| &area.findings).collect();
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if as_json {
        let areas: Vec<_> = areas
            .iter()
            .map(|area| {
                json!({ "name": area.name, "state": area.state(), "summary": area.summary, "findings": area.findings })
            })
            .collect();
        output::json(&json!({ "errors": errors, "warnings": warnings, "areas": areas }))?;
    } else {
        let width = output::width();
        areas.iter().for_each(|area| tell_area(area, width));
        let verdict = match (errors, warnings) {
            (0, 0) => "Nothing is wrong.".to_owned(),
            (errors, warnings) => format!("{}, {}", counted(errors, "error"), counted(warnings, "warning")),
        };
        output::say(&output::bold(&verdict));
    }
    match doctor::worst(areas) {
        None => Ok(()),
        // Everything was said.
        Some(Severity::Warning) => Err(Failure::new(failure::FOUND_WARNINGS, "")),
        Some(Severity::Error) => Err(Failure::new(failure::FOUND, "")),
    }
}

fn tell_area(area: &Area, width: usize) {
    // As wide as the state and the name before it, but for what is indented anyway.
    for (index, line) in wrapped(&area.summary, width.saturating_sub(13)).into_iter().enumerate() {
        match index {
            0 => output::say(&format!("{} {:<10} {line}", output::state(area.state()), area.name)),
            _ => output::say(&format!("{:19}{line}", "")),
        }
    }
    for finding in &area.findings {
        let mark = output::state(finding.severity.as_str());
        output::say(&format!("  {mark} {}", finding.name));
        for line in wrapped(&finding.what, width) {
            output::say(&format!("{INDENT}{}", output::bold(&line)));
        }
        for line in finding.evidence.iter().flat_map(|line| hanging("- ", line, width)) {
            output::say(&line);
        }
        let told = [("likely cause: ", &finding.cause), ("because: ", &finding.because)];
        for line in told.into_iter().flat_map(|(lead, text)| hanging(lead, text, width)) {
            output::say(&line);
        }
        output::say(&format!("{INDENT}mend:"));
        for mend in &finding.mend {
            if PROGRAMS.iter().any(|program| mend.starts_with(program)) {
                // In one piece, so that it can be copied.
                output::say(&format!("{INDENT}  {}", output::command(&output::printable(mend))));
            } else {
                hanging("  ", mend, width).iter().for_each(|line| output::say(line));
            }
        }
        output::say(&output::dim(&format!("{INDENT}more: jobforge runbook show {}", finding.runbook)));
    }
}

/// A paragraph after its lead; further lines stand below the first word that follows it.
fn hanging(lead: &str, text: &str, width: usize) -> Vec<String> {
    let room = width.saturating_sub(lead.len());
    let blank = " ".repeat(lead.len());
    let line =
        |(index, line): (usize, String)| format!("{INDENT}{}{line}", if index == 0 { lead } else { &blank });
    wrapped(text, room).into_iter().enumerate().map(line).collect()
}

/// Parts a text at blanks so that with its indent each line fits; a word that is longer stays whole.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let room = width.saturating_sub(INDENT.len());
    let mut lines: Vec<String> = Vec::new();
    for word in output::printable(text).split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_hang_below_their_lead_and_long_words_stay_whole() {
        let told =
            hanging("because: ", "the kernel says that it does not let postgres://db.internal/jobs run", 40);
        assert_eq!(
            told,
            [
                "      because: the kernel says that it",
                "               does not let",
                "               postgres://db.internal/jobs",
                "               run"
            ]
        );
        assert_eq!(wrapped("as it is", usize::MAX), ["as it is"]);
    }
}
