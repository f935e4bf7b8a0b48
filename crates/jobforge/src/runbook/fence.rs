//! A page of Markdown as lines of text and fenced blocks.

/// A piece of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'a> {
    /// A line outside of blocks.
    Line {
        /// Its number, from 1.
        number: usize,
        /// As it is.
        text: &'a str,
    },
    /// A fenced block.
    Block {
        /// The number of its first fence.
        number: usize,
        /// What stands behind the fence.
        info: &'a str,
        /// What is between the fences, without their indentation.
        text: String,
    },
}

/// Reads a page; fences may be indented, as in lists, and longer than three, around blocks that have fences themselves.
///
/// # Errors
/// The line of a fence that is never closed.
pub fn parts(markdown: &str) -> Result<Vec<Part<'_>>, usize> {
    let mut parts = Vec::new();
    let mut open: Option<Open<'_>> = None;
    for (index, line) in markdown.lines().enumerate() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        let info = trimmed.trim_start_matches('`');
        let ticks = trimmed.len() - info.len();
        match open.as_mut() {
            None if ticks >= 3 => {
                let info = info.trim();
                open = Some(Open { number: index + 1, indent, ticks, info, text: String::new() });
            }
            None => parts.push(Part::Line { number: index + 1, text: line }),
            Some(block) if ticks >= block.ticks && info.trim().is_empty() => {
                if let Some(Open { number, info, text, .. }) = open.take() {
                    parts.push(Part::Block { number, info, text });
                }
            }
            Some(block) => {
                block.text.push_str(line.get(block.indent..).unwrap_or(trimmed));
                block.text.push('\n');
            }
        }
    }
    match open {
        None => Ok(parts),
        Some(block) => Err(block.number),
    }
}

/// A block whose end has not come yet.
struct Open<'a> {
    number: usize,
    indent: usize,
    ticks: usize,
    info: &'a str,
    text: String,
}

/// What GitHub makes of a heading, to link to it.
pub fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars()
        .filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_'))
        .map(|character| if character == ' ' { '-' } else { character })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_fence_holds_shorter_ones_and_what_only_looks_like_an_end_is_none() {
        let markdown = "````markdown\n```sh\nls\n```\n````\n```sh\n```x\n```\n";
        let block = |number, info, text: &str| Part::Block { number, info, text: text.to_owned() };
        let expected = [block(1, "markdown", "```sh\nls\n```\n"), block(6, "sh", "```x\n")];
        assert_eq!(parts(markdown), Ok(expected.to_vec()));
        assert_eq!(parts("text\n````\n```\n"), Err(2));
    }
}
