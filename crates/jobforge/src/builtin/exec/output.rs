//! What a program writes: lines, the reports among them, and the tail that is kept.

use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use crate::context::JobContext;

/// The longest line that is looked at; room for a result of 1 MiB and its `::result ` before it.
const LINE_BYTES: usize = (1 << 20) + 64;
const READ_BYTES: usize = 16 * 1024;
/// How much of standard output the job's output keeps.
pub(super) const STDOUT_TAIL_BYTES: usize = 16 * 1024;
/// How much of standard error is kept for the error message and for evidence.
pub(super) const STDERR_TAIL_BYTES: usize = 4 * 1024;

/// Calls `take` for every line of `source` until it ends, the last one with or without its line feed.
///
/// Of a line longer than 1 MiB only the beginning is kept (`cut` is true), so a program cannot fill our memory.
pub(super) async fn read_lines(source: impl AsyncRead + Unpin, mut take: impl FnMut(&str, bool)) {
    let mut source = BufReader::with_capacity(READ_BYTES, source);
    let mut line = Vec::new();
    let mut cut = false;
    // A pipe that cannot be read any more is at its end; how the program ended says the rest.
    while let Ok(chunk) = source.fill_buf().await {
        if chunk.is_empty() {
            break;
        }
        let end = chunk.iter().position(|&byte| byte == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        let room = LINE_BYTES - line.len();
        cut |= part.len() > room;
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = end.map_or(chunk.len(), |end| end + 1);
        source.consume(used);
        if end.is_some() {
            take(&clean(&line), cut);
            line.clear();
            cut = false;
        }
    }
    if !line.is_empty() {
        take(&clean(&line), cut);
    }
}

/// Text that can be stored: invalid UTF-8 and U+0000 become U+FFFD, a carriage return at the end goes.
fn clean(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8_lossy(line).replace('\0', "\u{FFFD}")
}

/// The newest lines of a stream, up to a number of bytes.
#[derive(Debug)]
pub(super) struct Tail {
    text: String,
    limit: usize,
    cut: bool,
}

impl Tail {
    pub(super) fn new(limit: usize) -> Self {
        Self { text: String::new(), limit, cut: false }
    }

    pub(super) fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        // Cut at twice the limit, so that a flood of short lines is not moved once for each of them.
        if self.text.len() > 2 * self.limit {
            self.trim();
        }
    }

    fn trim(&mut self) {
        if self.text.len() > self.limit {
            self.cut = true;
            let mut from = self.text.len() - self.limit;
            while !self.text.is_char_boundary(from) {
                from += 1;
            }
            self.text.drain(..from);
        }
    }

    /// Returns the text and whether something before it was dropped.
    pub(super) fn finish(mut self) -> (String, bool) {
        self.trim();
        (self.text, self.cut)
    }
}

/// What a program reported through its standard output.
#[derive(Debug)]
pub(super) struct Stdout {
    pub tail: Tail,
    /// The last `::result`; an error says what was wrong with it.
    pub result: Option<Result<Value, String>>,
}

impl Stdout {
    pub(super) fn new() -> Self {
        Self { tail: Tail::new(STDOUT_TAIL_BYTES), result: None }
    }

    /// Passes a report on to the job, or keeps an ordinary line.
    pub(super) fn take(&mut self, line: &str, cut: bool, ctx: &JobContext) {
        match Said::read(line, cut) {
            Said::Line => {
                self.tail.push(line);
                ctx.log(format!("out| {line}"));
            }
            Said::Result(result) => self.result = Some(result),
            Said::Report(report) => {
                if let Some(name) = report.phase {
                    ctx.phase(name);
                }
                match (report.progress, report.message) {
                    // The cast saturates, and the context takes more than 100 as 100.
                    (Some(percent), message) => ctx.progress(percent as u8, message.unwrap_or_default()),
                    (None, Some(message)) => ctx.log(format!("out| {message}")),
                    (None, None) => {}
                }
                if let Some(items) = report.items {
                    ctx.items(items.processed, items.failed, items.skipped);
                }
                if let Some(result) = report.result {
                    self.result = Some(Ok(result));
                }
            }
        }
    }
}

/// The meaning of one line.
#[derive(Debug, PartialEq)]
enum Said {
    Line,
    Report(Report),
    Result(Result<Value, String>),
}

/// A report, in the shape of its JSON form `{"jobforge": {…}}`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Report {
    progress: Option<f64>,
    message: Option<String>,
    phase: Option<String>,
    items: Option<Counts>,
    result: Option<Value>,
}

/// Numbers added to the job's counts.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Counts {
    processed: i64,
    failed: i64,
    skipped: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    jobforge: Report,
}

impl Said {
    /// Reads a line; what only looks like a report is an ordinary line, so that nothing is lost from the log.
    fn read(line: &str, cut: bool) -> Self {
        if let Some(rest) = line.strip_prefix("::result ") {
            return Self::Result(if cut {
                Err("it is longer than 1 MiB".to_owned())
            } else {
                serde_json::from_str(rest).map_err(|error| format!("it is not JSON: {error}"))
            });
        }
        let report = if cut {
            None
        } else if let Some(rest) = line.strip_prefix("::progress ") {
            progress(rest)
        } else if let Some(rest) = line.strip_prefix("::phase ") {
            let name = rest.trim();
            (!name.is_empty()).then(|| Report { phase: Some(name.to_owned()), ..Report::default() })
        } else if let Some(rest) = line.strip_prefix("::items ") {
            counts(rest).map(|items| Report { items: Some(items), ..Report::default() })
        } else if line.trim_start().starts_with("{\"jobforge\"") {
            serde_json::from_str(line).ok().map(|Envelope { jobforge }| jobforge)
        } else {
            None
        };
        match report {
            Some(report) if report.progress.is_none_or(|percent| percent >= 0.0) => Self::Report(report),
            Some(_) | None => Self::Line,
        }
    }
}

/// Reads `42 message`, `42% message` or `42.5`.
fn progress(rest: &str) -> Option<Report> {
    let (percent, message) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
    let percent: f64 = percent.strip_suffix('%').unwrap_or(percent).parse().ok()?;
    percent.is_finite().then(|| Report {
        progress: Some(percent),
        message: Some(message.trim().to_owned()),
        ..Report::default()
    })
}

/// Reads `processed=1 failed=0 skipped=0`, each at most once, in any order.
fn counts(rest: &str) -> Option<Counts> {
    let mut counts = Counts::default();
    let mut any = false;
    for word in rest.split_whitespace() {
        let (name, number) = word.split_once('=')?;
        let number = i64::from(number.parse::<u32>().ok()?);
        match name {
            "processed" => counts.processed = number,
            "failed" => counts.failed = number,
            "skipped" => counts.skipped = number,
            _ => return None,
        }
        any = true;
    }
    any.then_some(counts)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn lines(bytes: &[u8]) -> Vec<(String, bool)> {
        let mut seen = Vec::new();
        read_lines(bytes, |line, cut| seen.push((line.to_owned(), cut))).await;
        seen
    }

    #[tokio::test]
    async fn lines_are_made_fit_to_store() {
        let seen = lines(b"one\r\n\nbad \xff\0 bytes\nlast").await;
        let texts: Vec<&str> = seen.iter().map(|(line, _)| line.as_str()).collect();
        assert_eq!(texts, ["one", "", "bad \u{FFFD}\u{FFFD} bytes", "last"]);
    }

    #[tokio::test]
    async fn a_line_without_end_is_cut_and_the_next_one_is_whole() {
        let mut bytes = vec![b'x'; LINE_BYTES + 100_000];
        bytes.extend_from_slice(b"\nnext\n");
        let seen = lines(&bytes).await;
        assert_eq!((seen[0].0.len(), seen[0].1), (LINE_BYTES, true));
        assert_eq!(seen[1], ("next".to_owned(), false));
    }

    #[test]
    fn the_tail_keeps_the_newest_whole_characters() {
        let mut tail = Tail::new(10);
        for n in 0..100 {
            tail.push(&format!("ä{n}"));
        }
        let (text, cut) = tail.finish();
        assert_eq!((text.as_str(), cut), ("ä98\nä99\n", true));
        let mut tail = Tail::new(10);
        tail.push("short");
        assert_eq!(tail.finish(), ("short\n".to_owned(), false));
    }

    #[test]
    fn reports_are_told_from_ordinary_lines() {
        let percent = |progress, message: &str| {
            Said::Report(Report {
                progress: Some(progress),
                message: Some(message.to_owned()),
                ..Report::default()
            })
        };
        let phase = |name: &str| Said::Report(Report { phase: Some(name.to_owned()), ..Report::default() });
        let items = Counts { processed: 3, failed: 0, skipped: 1 };
        let cases = [
            ("::progress 42 half way", percent(42.0, "half way")),
            ("::progress 42.5%", percent(42.5, "")),
            ("::progress 250 too much", percent(250.0, "too much")),
            ("::progress -1 no", Said::Line),
            ("::progress NaN", Said::Line),
            ("::progress soon", Said::Line),
            ("::progress", Said::Line),
            ("::phase down loading ", phase("down loading")),
            ("::phase  ", Said::Line),
            (
                "::items processed=3 skipped=1",
                Said::Report(Report { items: Some(items), ..Report::default() }),
            ),
            ("::items processed=-3", Said::Line),
            ("::items", Said::Line),
            (r#"{"jobforge":{"progress":7,"message":"m"}}"#, percent(7.0, "m")),
            (r#"{"jobforge":{"phase":"p"}}"#, phase("p")),
            (r#"{"jobforge":{"progress":"x"}}"#, Said::Line),
            (r#"{"jobforge":{}, "other": 1}"#, Said::Line),
            (r#"{"other":{}}"#, Said::Line),
            (r#"::result {"a":1}"#, Said::Result(Ok(json!({"a": 1})))),
            ("plain", Said::Line),
        ];
        for (line, meaning) in cases {
            assert_eq!(Said::read(line, false), meaning, "{line}");
        }
        assert!(matches!(Said::read("::result {", false), Said::Result(Err(_))));
        assert!(matches!(Said::read("::result {}", true), Said::Result(Err(_))));
    }
}
