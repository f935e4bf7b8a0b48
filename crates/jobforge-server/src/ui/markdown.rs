//! Markdown as HTML that may stand in a page: whoever wrote it, nothing in it acts.

use std::fmt::Write as _;

use jobforge::runbook::fence::anchor;
use pulldown_cmark::{CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd};

/// A text as it stands in HTML.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Writes a page. The first heading is left out, for the page around it has it; `link` says where a link leads, if it leads
/// anywhere from here, and `block` writes a fenced block of which it is told what stands behind the fence.
pub(super) fn html(
    text: &str,
    link: impl Fn(&str) -> Option<String>,
    block: impl Fn(&str, &str) -> String,
) -> String {
    let events: Vec<Event<'_>> = Parser::new_ext(text, Options::ENABLE_TABLES).collect();
    let mut out = String::with_capacity(text.len() * 2);
    let mut links: Vec<bool> = Vec::new();
    let (mut in_head, mut first) = (false, true);
    let mut events = events.into_iter().peekable();
    while let Some(event) = events.next() {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                let mut inner = Vec::new();
                while let Some(event) =
                    events.next_if(|event| !matches!(event, Event::End(TagEnd::Heading(_))))
                {
                    inner.push(event);
                }
                events.next();
                let said = plain(&inner);
                if std::mem::take(&mut first) && level as u8 == 1 {
                    continue;
                }
                let depth = (level as u8).clamp(2, 6);
                let _ =
                    write!(out, "<h{depth} id=\"{}\">{}</h{depth}>", escaped(&anchor(&said)), escaped(&said));
            }
            Event::Start(Tag::CodeBlock(kind)) => {
                let mut code = String::new();
                while let Some(Event::Text(text)) = events.next_if(|event| matches!(event, Event::Text(_))) {
                    code.push_str(&text);
                }
                events.next();
                let info = match kind {
                    CodeBlockKind::Fenced(info) => info,
                    CodeBlockKind::Indented => CowStr::Borrowed(""),
                };
                out.push_str(&block(&info, &code));
            }
            Event::Start(Tag::Link { dest_url, .. }) => {
                let to = link(&dest_url);
                if let Some(to) = &to {
                    let _ = write!(out, "<a href=\"{}\" rel=\"noreferrer\">", escaped(to));
                }
                links.push(to.is_some());
            }
            Event::End(TagEnd::Link) => {
                if links.pop() == Some(true) {
                    out.push_str("</a>");
                }
            }
            Event::Start(Tag::TableHead) => {
                in_head = true;
                out.push_str("<thead><tr>");
            }
            Event::End(TagEnd::TableHead) => {
                in_head = false;
                out.push_str("</tr></thead><tbody>");
            }
            Event::Start(Tag::TableCell) => out.push_str(if in_head { "<th scope=\"col\">" } else { "<td>" }),
            Event::End(TagEnd::TableCell) => out.push_str(if in_head { "</th>" } else { "</td>" }),
            Event::Start(Tag::List(Some(start))) => {
                let _ = write!(out, "<ol start=\"{start}\">");
            }
            Event::Start(tag) => out.push_str(opened(&tag)),
            Event::End(tag) => out.push_str(closed(tag)),
            Event::Text(text) => out.push_str(&escaped(&text)),
            Event::Code(text) => {
                let _ = write!(out, "<code>{}</code>", escaped(&text));
            }
            // Notes for programs, such as the alert that a page is about.
            Event::Html(text) | Event::InlineHtml(text) if text.trim_start().starts_with("<!--") => {}
            Event::Html(text) | Event::InlineHtml(text) => out.push_str(&escaped(&text)),
            Event::SoftBreak => out.push('\n'),
            Event::HardBreak => out.push_str("<br>"),
            Event::Rule => out.push_str("<hr>"),
            // Not switched on.
            Event::FootnoteReference(_)
            | Event::TaskListMarker(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_) => {}
        }
    }
    out
}

fn plain(events: &[Event<'_>]) -> String {
    let text = |event: &Event<'_>| match event {
        Event::Text(text) | Event::Code(text) | Event::InlineHtml(text) => text.to_string(),
        _ => String::new(),
    };
    events.iter().map(text).collect()
}

/// How a part begins; pictures and what is not known are left with their text alone.
fn opened(tag: &Tag<'_>) -> &'static str {
    match tag {
        Tag::Paragraph => "<p>",
        Tag::BlockQuote(_) => "<blockquote>",
        Tag::List(_) => "<ul>",
        Tag::Item => "<li>",
        Tag::Table(_) => "<table>",
        Tag::TableRow => "<tr>",
        Tag::Emphasis => "<em>",
        Tag::Strong => "<strong>",
        _ => "",
    }
}

fn closed(tag: TagEnd) -> &'static str {
    match tag {
        TagEnd::Paragraph => "</p>",
        TagEnd::BlockQuote(_) => "</blockquote>",
        TagEnd::List(true) => "</ol>",
        TagEnd::List(false) => "</ul>",
        TagEnd::Item => "</li>",
        TagEnd::Table => "</tbody></table>",
        TagEnd::TableRow => "</tr>",
        TagEnd::Emphasis => "</em>",
        TagEnd::Strong => "</strong>",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(markdown: &str, expected: &str) {
        let link = |to: &str| to.starts_with('#').then(|| to.to_owned());
        let block = |info: &str, code: &str| format!("[{}|{}]", escaped(info), escaped(code));
        assert_eq!(html(markdown, link, block), expected, "{markdown}");
    }

    #[test]
    fn what_is_written_is_shown_and_nothing_in_it_acts() {
        check(
            "# Title\n\n## A *b*\n\ntext **c** `d<e`",
            "<h2 id=\"a-b\">A b</h2><p>text <strong>c</strong> <code>d&lt;e</code></p>",
        );
        check("<script>alert(1)</script>\n", "&lt;script&gt;alert(1)&lt;/script&gt;\n");
        check("a <img src=x onerror=alert(1)> b", "<p>a &lt;img src=x onerror=alert(1)&gt; b</p>");
        check("<!-- alert: X -->\n", "");
        check("[a](javascript:alert(1)) [b](#c)", "<p>a <a href=\"#c\" rel=\"noreferrer\">b</a></p>");
        check("![a](http://evil.example/x.png)", "<p>a</p>");
        check("## \"><script>", "<h2 id=\"script\">&quot;&gt;&lt;script&gt;</h2>");
    }

    #[test]
    fn lists_tables_and_blocks_keep_their_shape() {
        check("1. a\n2. b\n\n- c", "<ol start=\"1\"><li>a</li><li>b</li></ol><ul><li>c</li></ul>");
        check(
            "| a | b |\n|---|---|\n| 1 | 2 |",
            "<table><thead><tr><th scope=\"col\">a</th><th scope=\"col\">b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table>",
        );
        check("```sh jobforge:read\na <b\n```", "[sh jobforge:read|a &lt;b\n]");
    }
}
