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

/// Reads a page; fences may be indented, as in lists.
///
/// # Errors
/// The line of a fence that is never closed.
pub fn parts(markdown: &str) -> Result<Vec<Part<'_>>, usize> {
    let mut parts = Vec::new();
    let mut open: Option<(usize, usize, &str, String)> = None;
    for (index, line) in markdown.lines().enumerate() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        match (open.as_mut(), trimmed.strip_prefix("```")) {
            (None, Some(info)) => open = Some((index + 1, indent, info.trim(), String::new())),
            (None, None) => parts.push(Part::Line { number: index + 1, text: line }),
            (Some(_), Some(_)) => {
                if let Some((number, _, info, text)) = open.take() {
                    parts.push(Part::Block { number, info, text });
                }
            }
            (Some((_, indent, _, text)), None) => {
                text.push_str(line.get(*indent..).unwrap_or(trimmed));
                text.push('\n');
            }
        }
    }
    match open {
        None => Ok(parts),
        Some((number, ..)) => Err(number),
    }
}

/// What GitHub makes of a heading, to link to it.
pub fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars()
        .filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_'))
        .map(|character| if character == ' ' { '-' } else { character })
        .collect()
}
