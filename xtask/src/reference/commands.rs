//! The pages of commands and of exit codes, as the program tells of them.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::head;

const NAME: &str = "jobforge";
/// What every command has at the end of its help; told once.
const COMMON: &str = "\nOptions of every command:\n";

pub(super) fn page(program: &Path) -> Result<String> {
    let mut text = head("Commands", "what `jobforge` says of itself");
    text.push_str(
        "Every command tells its own part by `--help`; `jobforge man DIRECTORY` writes manual pages, `jobforge completion SHELL` a \
         completion script. [Exit codes](exit-codes.md) have a page of their own.\n",
    );
    let help = help(program, &[])?;
    let (own, common) = help.split_once(COMMON).context("the help has no options of every command")?;
    let _ = write!(
        text,
        "\n```text\n{}\n```\n\n## Options of every command\n\n```text\n{}\n```\n",
        own.trim_end(),
        common.trim_end()
    );
    for name in subcommands(own) {
        one(program, &mut text, &[&name])?;
    }
    Ok(text)
}

fn one(program: &Path, text: &mut String, path: &[&str]) -> Result<()> {
    let help = help(program, path)?;
    let own = help.split(COMMON).next().unwrap_or(&help);
    let marks = if path.len() == 1 { "##" } else { "###" };
    let _ = write!(text, "\n{marks} {NAME} {}\n\n```text\n{}\n```\n", path.join(" "), own.trim_end());
    for name in subcommands(own) {
        let mut deeper = path.to_vec();
        deeper.push(&name);
        one(program, text, &deeper)?;
    }
    Ok(())
}

fn help(program: &Path, path: &[&str]) -> Result<String> {
    said(Command::new(program).args(path).arg("--help"))
}

fn said(command: &mut Command) -> Result<String> {
    // What the shell has set must not show.
    let output = command.env_clear().env("COLUMNS", "100").output();
    let output = output.with_context(|| format!("failed to run {command:?}"))?;
    ensure!(output.status.success(), "{command:?} ended with {}", output.status);
    String::from_utf8(output.stdout).with_context(|| format!("{command:?} says no UTF-8"))
}

/// The names below `Commands:`.
fn subcommands(help: &str) -> Vec<String> {
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let is_name = |line: &&str| line.starts_with("  ") && !line[2..].starts_with(' ');
    let names = list.lines().take_while(|line| !line.is_empty()).filter(is_name);
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

pub(super) fn exit_codes(program: &Path) -> Result<String> {
    let codes: Vec<Value> =
        serde_json::from_str(&said(Command::new(program).args(["help-exit-codes", "--json"]))?)?;
    let mut text = head("Exit codes", "`jobforge help-exit-codes`");
    text.push_str("What a command ends with, for scripts. With `--json` the reason of a failure is printed as JSON too.\n\n");
    text.push_str("| Code | Means |\n|---:|---|\n");
    for code in codes {
        let meaning = code["meaning"].as_str().context("a code without a meaning")?;
        let _ = writeln!(text, "| {} | {meaning} |", code["code"]);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::subcommands;

    #[test]
    fn names_of_subcommands_stand_at_the_beginning_of_their_lines() {
        let help = "About\n\nUsage: a\n\nCommands:\n  one   Does\n          more words\n  two-x\n  help  Print\n\nOptions:\n  -h\n";
        assert_eq!(subcommands(help), ["one", "two-x"]);
        assert!(subcommands("Usage: a\n").is_empty());
    }
}
