//! What a console block says: commands after `$ `, and below each what it prints.

/// A command and the lines that it prints. Where none are shown, it may print anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) command: String,
    pub(super) shows: Vec<String>,
}

/// Reads a block. A command goes on in the next line after a backslash, and while a quotation is open.
pub(super) fn of(text: &str) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        let is_open = |command: &str| command.ends_with('\\') || command.matches('\'').count() % 2 == 1;
        let goes_on = steps.last().is_some_and(|step| step.shows.is_empty() && is_open(&step.command));
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.to_owned(), shows: Vec::new() }),
            (None, Some(step)) if goes_on => {
                step.command.push('\n');
                step.command.push_str(line);
            }
            (None, Some(step)) => step.shows.push(line.to_owned()),
            (None, None) => return Err(format!("it begins with {line:?} instead of a command after `$ `")),
        }
    }
    Ok(steps)
}

/// Compares what a block shows with what was printed. `…` stands for anything within a line, and alone on a line for any
/// lines. How wide columns are and empty lines do not count.
pub(super) fn compare(shown: &[String], printed: &str) -> Result<(), String> {
    let shown: Vec<String> = shown.iter().map(|line| plain(line)).filter(|line| !line.is_empty()).collect();
    let lines: Vec<String> = printed.lines().map(plain).filter(|line| !line.is_empty()).collect();
    if fit(&shown, &lines) {
        return Ok(());
    }
    Err(format!("it shows\n{}\nand prints\n{}", shown.join("\n"), printed.trim_end()))
}

/// A line without what depends on the width of its neighbours.
fn plain(line: &str) -> String {
    if line.contains("--") && line.chars().all(|character| "-+ ".contains(character)) {
        return "---".to_owned();
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn fit(shown: &[String], lines: &[String]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == "…" => {
            (0..=lines.len()).any(|skipped| fit(rest, &lines[skipped..]))
        }
        Some((first, rest)) => {
            lines.split_first().is_some_and(|(line, more)| fits(first, line) && fit(rest, more))
        }
    }
}

/// Whether the parts between the `…` of a pattern are found in their order, the outer ones at the ends.
fn fits(pattern: &str, line: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('…') else { return pattern == line };
    let Some(mut line) = line.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('…').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = line.split_once(part) else { return false };
        line = after;
    }
    line.ends_with(last)
}

#[test]
fn a_transcript_is_commands_with_what_they_print() {
    let steps = of("$ one \\\n    two\nout\n$ three '{\n}' four\n").unwrap();
    let step = |command: &str, shows: &[&str]| Step {
        command: command.to_owned(),
        shows: shows.iter().map(|&line| line.to_owned()).collect(),
    };
    assert_eq!(steps, [step("one \\\n    two", &["out"]), step("three '{\n}' four", &[])]);
    assert!(of("out\n").is_err());
}

#[test]
fn what_is_printed_fits_what_is_shown_but_for_what_varies() {
    let fits = |shown: &str, printed: &str| {
        compare(&shown.lines().map(str::to_owned).collect::<Vec<_>>(), printed).is_ok()
    };
    assert!(fits(" id | n\n----+---\n … | 1", "  id   | n\n-------+---\n abc   | 1\n"));
    assert!(fits("job … waits … s", "job 1 of 2 waits 29 s"));
    assert!(fits("a\n…\nd", "a\nb\nc\nd") && fits("a\n…\nd", "a\nd") && fits("…", ""));
    assert!(!fits("a\n…\nd", "a\nb") && !fits("a", "a\nb") && !fits("a … c", "a b") && !fits("a", "ab"));
}
