//! Fenced blocks of a Markdown file.

/// What a fence says that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Language {
    None,
    Sql,
    Shell,
    Yaml,
    Ini,
    TypeScript,
    Other(String),
}

impl Language {
    fn of(word: &str) -> Self {
        match word {
            "" => Self::None,
            "sql" => Self::Sql,
            "bash" | "sh" | "shell" | "console" => Self::Shell,
            "yaml" | "yml" => Self::Yaml,
            "ini" => Self::Ini,
            "typescript" | "ts" => Self::TypeScript,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// One fenced block.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) book: String,
    /// The line of its first fence, from 1.
    pub(super) line: usize,
    /// The nearest heading or bold line above it.
    pub(super) heading: String,
    pub(super) language: Language,
    pub(super) text: String,
}

/// Finds every block; fences may be indented, as in lists.
pub(super) fn of(book: &str, markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut heading = String::new();
    let mut open: Option<(usize, Block)> = None;
    for (index, line) in markdown.lines().enumerate() {
        let trimmed = line.trim_start();
        match (&mut open, trimmed.strip_prefix("```")) {
            (None, Some(word)) => {
                let block = Block {
                    book: book.to_owned(),
                    line: index + 1,
                    heading: heading.clone(),
                    language: Language::of(word.trim()),
                    text: String::new(),
                };
                open = Some((line.len() - trimmed.len(), block));
            }
            (None, None) => {
                if let Some(title) = trimmed.strip_prefix('#') {
                    title.trim_start_matches('#').trim().clone_into(&mut heading);
                } else if let Some(title) = trimmed.strip_prefix("**").and_then(|rest| rest.split_once("**"))
                {
                    title.0.trim_end_matches(':').clone_into(&mut heading);
                }
            }
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(_, block)| block)),
            (Some((indent, block)), None) => {
                block.text.push_str(line.get(*indent..).unwrap_or_else(|| line.trim_start()));
                block.text.push('\n');
            }
        }
    }
    assert!(open.is_none(), "{book}: the last block has no end");
    blocks
}

#[test]
fn blocks_are_found_with_their_heading_language_and_text_wherever_they_are_indented() {
    let markdown = "# Book\n\n```\na drawing\n```\n\n## One\n\n**Look:**\n```sql\nSELECT 1;\n```\n\n1. Then\n   ```bash\n   psql \\\n     -c x\n   ```\n";
    let found = of("b", markdown);
    let seen: Vec<_> =
        found.iter().map(|b| (b.line, b.heading.as_str(), b.language.clone(), b.text.as_str())).collect();
    assert_eq!(
        seen,
        [
            (3, "Book", Language::None, "a drawing\n"),
            (10, "Look", Language::Sql, "SELECT 1;\n"),
            (15, "Look", Language::Shell, "psql \\\n  -c x\n"),
        ]
    );
}
