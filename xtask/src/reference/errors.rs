//! The page of error codes: what each means, and which calls may be refused with it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Result, ensure};

use super::{api, head, read};

/// Where the meanings are; a test of the server holds it against the sources.
const MEANINGS: &str = "docs/http-api.md";
/// A code of so many calls is one of all.
const COMMON: usize = 30;

pub(super) fn page() -> Result<String> {
    let http = read(MEANINGS)?;
    let rows =
        http.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "));
    let meanings: BTreeMap<&str, (&str, &str)> = rows
        .filter_map(|(code, rest)| {
            Some((code, rest.split_once(" | ").or_else(|| Some((rest.strip_suffix(" |")?, "")))?))
        })
        .collect();
    let mut callers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for call in api::calls(&api::description()?) {
        for code in call.refusals.values().flatten() {
            callers.entry(code.clone()).or_default().push(format!("{} {}", call.method, call.path));
        }
    }
    let unknown: Vec<&String> = callers.keys().filter(|code| !meanings.contains_key(code.as_str())).collect();
    ensure!(unknown.is_empty(), "{MEANINGS} does not tell what {unknown:?} mean");
    let mut text = head("Error codes", "docs/openapi.json and docs/http-api.md");
    text.push_str(
        "The word in `code` of a [problem](../http-api.md#codes), or in one of its `errors`. Codes are stable; texts are for people. \
         Codes without a call stand in `errors` only, or come before any route. What commands end with is in \
         [exit-codes.md](exit-codes.md); the words of SQL are in [sql.md](../sql.md#functions).\n",
    );
    for (code, (status, meaning)) in meanings {
        let _ = write!(text, "\n## {code}\n\n{status}");
        if !meaning.is_empty() {
            // Links are told from the folder above.
            let _ = write!(text, ": {}", meaning.trim().replace("](", "](../"));
        }
        text.push_str(".\n");
        if let Some(calls) = callers.get(code) {
            let told = if calls.len() >= COMMON {
                format!("{} calls", calls.len())
            } else {
                calls
                    .iter()
                    .map(|call| format!("[{call}](api.md#{})", anchor(call)))
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            let _ = write!(text, "\nRefuses {told}.\n");
        }
    }
    Ok(text)
}

/// What mdBook makes of a heading.
fn anchor(heading: &str) -> String {
    let signs = heading.to_lowercase().replace(' ', "-");
    signs.chars().filter(|&sign| sign.is_alphanumeric() || sign == '-' || sign == '_').collect()
}
