//! The only file that prints. Data goes to stdout, talk to stderr; colour only where a person looks.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anstream::{eprintln, println};
use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use jobforge::core::standing::Kind;
use serde::Serialize;

use crate::cli::Colour;
use crate::failure::Failure;

/// Applies `--color`; otherwise `NO_COLOR`, `CLICOLOR_FORCE` and the terminal decide.
pub(crate) fn choose_colour(colour: Colour) {
    let choice = match colour {
        Colour::Auto => anstream::ColorChoice::Auto,
        Colour::Always => anstream::ColorChoice::Always,
        Colour::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}

/// A line of data.
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// Data that is already complete, such as a log: no newline is added.
pub(crate) fn write(text: &str) {
    anstream::print!("{text}");
}

/// A line of talk.
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// A line of a machine-readable error.
pub(crate) fn complain(text: &str) {
    eprintln!("{text}");
}

/// One of the two streams that a program writes to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// What a worker process wrote, as it is. Output that nobody takes any more is dropped.
pub(crate) fn relay(stream: Stream, bytes: &[u8]) {
    let _ = match stream {
        Stream::Out => std::io::stdout().write_all(bytes),
        Stream::Err => std::io::stderr().write_all(bytes),
    };
}

/// Whether a person reads the talk.
pub(crate) fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// How many columns a line of an answer may have: those of the terminal, else as many as it takes.
pub(crate) fn width() -> usize {
    let terminal = std::io::stdout().is_terminal();
    let size = terminal.then(ratatui::crossterm::terminal::size).and_then(Result::ok);
    size.map_or(usize::MAX, |(columns, _)| usize::from(columns))
}

/// What went wrong and, on a line of its own, what to do.
pub(crate) fn error(message: &str, hint: Option<&str>) {
    let red = AnsiColor::Red.on_default().bold();
    eprintln!("{red}error{red:#}: {message}");
    if let Some(hint) = hint {
        let cyan = AnsiColor::Cyan.on_default().bold();
        eprintln!("{cyan}hint{cyan:#}: {hint}");
    }
}

/// One JSON document.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// One line of a JSON stream.
pub(crate) fn json_line<T: Serialize>(value: &T) -> Result<(), Failure> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}

/// A table without borders; columns named in `right` are aligned to the right.
pub(crate) fn table(header: &[&str], right: &[usize], rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|name| name.to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    for &index in right {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    for line in table.lines() {
        println!("{}", line.trim_end());
    }
}

/// Text from a job, without what would move the cursor or forge a line.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{FFFD}' } else { c }).collect()
}

/// The same for text of several lines.
pub(crate) fn printable_lines(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' && c != '\n' { '\u{FFFD}' } else { c }).collect()
}

/// A heading inside an answer.
pub(crate) fn bold(text: &str) -> String {
    let style = Style::new().bold();
    format!("{style}{text}{style:#}")
}

/// Something less important.
pub(crate) fn dim(text: &str) -> String {
    let style = Style::new().dimmed();
    format!("{style}{text}{style:#}")
}

/// How this program was called, so that what we tell people to type works where they are.
pub(crate) fn program() -> String {
    std::env::args().next().filter(|name| !name.is_empty()).unwrap_or_else(|| "jobforge".to_owned())
}

/// A command to type.
pub(crate) fn command(text: &str) -> String {
    let style = AnsiColor::Cyan.on_default();
    format!("{style}{text}{style:#}")
}

/// A standing in its colour; the word itself carries the meaning.
pub(crate) fn standing(kind: Kind, text: &str) -> String {
    let colour = match kind {
        Kind::Running => AnsiColor::Blue,
        Kind::Waiting => AnsiColor::Cyan,
        Kind::Recovering => AnsiColor::Yellow,
        Kind::Stuck | Kind::Dead => AnsiColor::Red,
        Kind::Finished => AnsiColor::Green,
        Kind::Canceled => AnsiColor::Magenta,
    };
    let style = colour.on_default().bold();
    format!("{style}{text}{style:#}")
}

/// How a part is, in as many letters each; the word itself carries the meaning.
pub(crate) fn state(word: &str) -> String {
    let colour = match word {
        "ok" => AnsiColor::Green,
        "warning" => AnsiColor::Yellow,
        _ => AnsiColor::Red,
    };
    let style = colour.on_default().bold();
    format!("{style}{word:<7}{style:#}")
}

/// A bar for long work, on stderr; on something that is no terminal a line now and then.
pub(crate) fn progress(total: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(total);
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// The same for work of which nobody knows how long it is.
pub(crate) fn spinner(what: &str) -> ProgressBar {
    let bar = progress(0, what);
    let style = ProgressStyle::with_template("{spinner} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar
}

/// Asks before something dangerous; who does not agree ends the command. Without a terminal, only `--yes` will do.
pub(crate) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if agrees(question, yes)? {
        Ok(())
    } else {
        Err(Failure::new(crate::failure::FAILED, "nothing was done"))
    }
}

/// Asks whether to do one thing of several.
pub(crate) fn agrees(question: &str, yes: bool) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!("{question} needs a yes"))
            .hint("add --yes to do it, or --dry-run to see what it would do"));
    }
    anstream::eprint!("{question} [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    Ok(read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes"))
}
