//! Fenced blocks of a Markdown file, what they are said to print, and what they are said to need.

use jobforge::runbook::fence::{self, Part};

/// What a fence says that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Language {
    None,
    Sql,
    Shell,
    /// Commands after `$ `, each followed by what it prints.
    Console,
    /// What the block before it prints.
    Text,
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
            "bash" | "sh" | "shell" => Self::Shell,
            "console" => Self::Console,
            "text" => Self::Text,
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
    /// The nearest heading, or bold line with a colon, above it.
    pub(super) heading: String,
    /// The nearest line of text above it, if no other block is between.
    pub(super) above: String,
    pub(super) language: Language,
    pub(super) text: String,
    /// What a `text` block behind it says that it prints.
    pub(super) shows: Option<String>,
    /// What `<!-- given: … -->` says that must be there first, and the line of that; it counts until the next heading.
    pub(super) given: Option<(usize, String)>,
}

/// Finds every block; fences may be indented, as in lists.
pub(super) fn of(book: &str, markdown: &str) -> Vec<Block> {
    let parts = fence::parts(markdown).unwrap_or_else(|line| panic!("{book}: block {line} has no end"));
    let mut blocks: Vec<Block> = Vec::new();
    let (mut heading, mut above, mut given) = (String::new(), String::new(), None);
    for part in parts {
        match part {
            Part::Line { number, text } => {
                let trimmed = text.trim_start();
                if !trimmed.is_empty() {
                    trimmed.trim_end().clone_into(&mut above);
                }
                if let Some(title) = trimmed.strip_prefix('#') {
                    title.trim_start_matches('#').trim().clone_into(&mut heading);
                    given = None;
                } else if let Some(what) = trimmed.strip_prefix("<!-- given: ") {
                    given = Some((number, what.trim_end_matches("-->").trim().to_owned()));
                } else if let Some(title) =
                    trimmed.strip_prefix("**").and_then(|rest| rest.strip_suffix(":**"))
                {
                    title.clone_into(&mut heading);
                }
            }
            Part::Block { number, info, text } => {
                let above = std::mem::take(&mut above);
                let language = Language::of(info.split_whitespace().next().unwrap_or_default());
                match blocks.last_mut() {
                    Some(Block { shows: shows @ None, .. })
                        if language == Language::Text && !above.starts_with("<!-- ") =>
                    {
                        *shows = Some(text);
                    }
                    _ => blocks.push(Block {
                        book: book.to_owned(),
                        line: number,
                        heading: heading.clone(),
                        above,
                        language,
                        text,
                        shows: None,
                        given: given.clone(),
                    }),
                }
            }
        }
    }
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

#[test]
fn a_text_block_is_what_the_block_before_it_prints_and_a_given_counts_until_the_next_heading() {
    let markdown = "## One\n<!-- given: a dead job -->\n```sql\nSELECT 1;\n```\nIt prints\n```text\n1\n```\n## Two\n```sh\nA=1\n```\n";
    let seen: Vec<_> = of("b", markdown).into_iter().map(|b| (b.line, b.shows, b.given)).collect();
    let given = Some((2, "a dead job".to_owned()));
    assert_eq!(seen, [(3, Some("1\n".to_owned()), given), (11, None, None)]);
}
