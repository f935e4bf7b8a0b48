//! `/ui/runbooks`: what to do, with what JobForge knows itself beside each step.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path as FilePath, PathBuf};

use askama::Template;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::response::Response;
use jobforge::clock;
use jobforge::runbook::{Kind, NotRun, Page, ShelfError, arguments, shelf, steps};
use url::form_urlencoded;

use super::copies::{Copies, shell};
use super::markdown::{self, escaped};
use super::page::{Shell, html};
use super::pulse::{self, Whole};
use super::runbook_steps::{Answer, answer, page_of_deed};
use super::visit::Visit;
use crate::api_error::ApiError;

/// How our runbooks write the address of a server.
const ANY_HOST: &str = "http://127.0.0.1:8080";
/// The longest value of a name such as `JOB`, in characters.
const LONGEST_VALUE: usize = 200;
/// Steps of a page that are answered; the rest is only shown.
const MOST_ANSWERS: usize = 40;

#[derive(Template)]
#[template(path = "runbooks.html")]
struct ListPage {
    shell: Shell,
    fault: String,
    books: Vec<Book>,
    alerts: Vec<Book>,
}

struct Book {
    name: String,
    title: String,
    from: &'static str,
    sections: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "runbook.html")]
struct OnePage {
    shell: Shell,
    /// Whether the database does not answer, so that nothing stands beside the steps.
    gone: bool,
    title: String,
    from: &'static str,
    path: String,
    /// Names that its commands lack, with what was given for them.
    values: Vec<(String, String)>,
    text: String,
}

/// All runbooks, and what is wrong with those of the operator's own.
async fn books(visit: &Visit) -> Result<(Vec<Page>, String), ApiError> {
    let set = visit.app.live.now().text("runbooks_dir").to_owned();
    let own = (!set.is_empty()).then(|| PathBuf::from(set));
    // Files are read: not on the threads that answer everybody.
    let read = tokio::task::spawn_blocking(move || match shelf::all(own.as_deref()) {
        Err(fault @ ShelfError::Unreadable { .. }) => Ok((shelf::all(None::<&FilePath>)?, fault.to_string())),
        other => other.map(|pages| (pages, String::new())),
    });
    let read = read.await.map_err(|fault| ApiError::internal(format!("runbooks were not read: {fault}")))?;
    read.map_err(|fault| ApiError::internal(format!("a runbook that ships with JobForge is broken: {fault}")))
}

/// How a command is told of the operator's own ones, where this server was.
fn own_dir(visit: &Visit) -> String {
    match visit.app.live.now().text("runbooks_dir") {
        "" => String::new(),
        dir => format!(" --dir {}", shell(dir)),
    }
}

/// `GET /ui/runbooks`
pub(super) async fn list(visit: Visit) -> Result<Response, ApiError> {
    let (pages, fault) = books(&visit).await?;
    // They are files, and needed most while the database is away.
    let as_of = visit.app.client.store().now().await.unwrap_or_else(|_| clock::wall());
    let book = |page: &Page| Book {
        name: page.name.clone(),
        title: page.title.clone(),
        from: page.origin.as_str(),
        sections: match page.sections.len() {
            0 | 1 => Vec::new(),
            _ => {
                let own = page.sections.iter().filter(|section| !section.steps.is_empty());
                own.map(|section| (section.anchor.clone(), section.title.clone())).collect()
            }
        },
    };
    let (alerts, books): (Vec<Book>, Vec<Book>) =
        pages.iter().map(book).partition(|book| book.from == "alert");
    let copies = Copies::only_cli(format!("jobforge runbook list{}", own_dir(&visit)));
    html(&ListPage {
        shell: visit.shell("/ui/runbooks", "Runbooks", as_of, copies).await,
        fault,
        books,
        alerts,
    })
}

/// `GET /ui/runbooks/{name}`
pub(super) async fn one(
    visit: Visit,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let missing = |hint: String| {
        let detail = format!("there is no runbook of that name; {hint}");
        ApiError::new(StatusCode::NOT_FOUND, "page_not_found", "there is no such runbook", detail)
    };
    let Path(name) = name.map_err(|_| missing("the list shows all".to_owned()))?;
    let (pages, _) = books(&visit).await?;
    let page = shelf::find(&pages, &name).map_err(|fault| match fault {
        ShelfError::Missing { hint, .. } => missing(hint),
        other => ApiError::internal(other.to_string()),
    })?;
    // The text is a file, and needed most while the database is away.
    let whole = pulse::look(&visit.ui).await.ok();
    let values = values(&visit, &page);
    let text = page.text.replace(ANY_HOST, &host(&visit));
    let (beside, gone) = beside(&visit, whole.as_deref(), &page, &values).await?;
    let link = |to: &str| leads(to, &pages);
    let left = RefCell::new(beside.into_iter());
    let block = |info: &str, code: &str| {
        let mut out = format!("<pre tabindex=\"0\">{}</pre>", escaped(code));
        let marked = steps(info, code).unwrap_or_default();
        if !marked.is_empty() {
            out.push_str("<ul class=\"verdicts\">");
            for _ in marked {
                out.push_str(&left.borrow_mut().next().unwrap_or_default());
            }
            out.push_str("</ul>");
        }
        out
    };
    let text = markdown::html(&text, link, block);
    let as_of = whole.as_deref().filter(|_| !gone).map_or_else(clock::wall, |whole| whole.facts.as_of);
    let copies = Copies::only_cli(format!("jobforge runbook show {}{}", shell(&page.name), own_dir(&visit)));
    html(&OnePage {
        shell: visit.shell("/ui/runbooks", page.title.clone(), as_of, copies).await,
        gone,
        title: page.title,
        from: page.origin.as_str(),
        path: visit.uri.path().to_owned(),
        values,
        text,
    })
}

/// The names that commands of the page lack, and what the address gives for them.
fn values(visit: &Visit, page: &Page) -> Vec<(String, String)> {
    let mut lacks = BTreeSet::new();
    for step in
        page.sections.iter().flat_map(|section| &section.steps).filter(|step| step.kind != Kind::Shell)
    {
        let mut given: Vec<(String, String)> = Vec::new();
        // Ends because each round knows one name more than the last.
        while let Err(NotRun::Lacks(name)) = arguments(&step.command, &given) {
            given.push((name.clone(), "x".to_owned()));
            // What stands in an address is kept by browsers and proxies, so no secret is asked for.
            let secret = ["TOKEN", "SECRET", "PASSWORD", "KEY", "URL"].iter().any(|word| name.contains(word));
            if !secret && step.command.starts_with("jobforge ") {
                lacks.insert(name);
            }
        }
    }
    let given = |name: &String| {
        let value = visit.param(name).unwrap_or_default();
        value.chars().filter(|c| !c.is_control()).take(LONGEST_VALUE).collect::<String>()
    };
    lacks.into_iter().map(|name| (name.clone(), given(&name))).collect()
}

/// Where this server is reached, as far as it knows.
fn host(visit: &Visit) -> String {
    let set = visit.app.live.now().text("public_url").trim_end_matches('/').to_owned();
    if set.is_empty() { format!("http://{}", visit.host) } else { set }
}

/// Where a link of a runbook leads: to another one, within the page, or to the net; nowhere if the file is not here.
fn leads(to: &str, pages: &[Page]) -> Option<String> {
    if to.starts_with('#') || to.starts_with("https://") || to.starts_with("http://") {
        return Some(to.to_owned());
    }
    let (file, part) = to.split_once('#').unwrap_or((to, ""));
    let name = file.strip_suffix(".md").filter(|name| pages.iter().any(|page| page.name == *name))?;
    let mark = if part.is_empty() { "" } else { "#" };
    let name: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    Some(format!("/ui/runbooks/{name}{mark}{part}"))
}

/// What stands beside each step, in their order, and whether the database does not answer.
async fn beside(
    visit: &Visit,
    whole: Option<&Whole>,
    page: &Page,
    values: &[(String, String)],
) -> Result<(Vec<String>, bool), ApiError> {
    let given: Vec<_> = values.iter().filter(|(_, value)| !value.is_empty()).cloned().collect();
    let (host, mut out) = (host(visit), Vec::new());
    let mut answered = 0;
    // Asked for no longer once it did not answer: each further step would wait for it anew.
    let mut known = whole;
    for step in page.sections.iter().flat_map(|section| &section.steps) {
        let words = match arguments(&step.command, &given) {
            Err(NotRun::Lacks(name)) if !values.iter().any(|(known, _)| *known == name) => {
                Err(NotRun::NotOurs)
            }
            words => words,
        };
        let told = match (&words, step.kind, known) {
            (Ok(words), Kind::Read | Kind::Mend, Some(whole)) if answered < MOST_ANSWERS => {
                answered += 1;
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                match answer(visit, whole, &words).await {
                    Ok(told) => told,
                    Err(fault) if fault.is_of_database() => {
                        known = None;
                        None
                    }
                    Err(fault) => return Err(fault),
                }
            }
            _ => None,
        };
        let command = step.command.split_whitespace().collect::<Vec<_>>().join(" ").replace(ANY_HOST, &host);
        out.push(line(visit, step.kind, &command, words.as_deref(), told));
    }
    Ok((out, known.is_none()))
}

/// One step with what is known of it.
fn line(
    visit: &Visit,
    kind: Kind,
    command: &str,
    words: Result<&[String], &NotRun>,
    told: Option<Answer>,
) -> String {
    let mut out = format!(
        "<li><span class=\"badge {}\">{}</span> <code>{}</code>",
        tone(kind),
        kind.as_str(),
        escaped(command)
    );
    match (words, kind, told) {
        (_, _, Some(Answer { lines, path })) => {
            for said in lines {
                let _ = write!(out, "<span class=\"sub\" dir=\"auto\">{}</span>", escaped(&said));
            }
            let _ = write!(
                out,
                "<span class=\"sub\"><a href=\"{}\">More<span class=\"hide\"> on: {}</span></a></span>",
                escaped(&path),
                escaped(command)
            );
        }
        (Err(NotRun::Lacks(name)), ..) => {
            let _ = write!(out, "<span class=\"sub\">needs {}; give it above</span>", escaped(name));
        }
        (Ok(words), Kind::Mend, _) => {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let here = visit.uri.path_and_query().map_or("/ui/runbooks", |path| path.as_str());
            match page_of_deed(visit, &words, here) {
                Some((path, verb)) => {
                    let _ = write!(
                        out,
                        " <a class=\"button small\" href=\"{}\">{} …<span class=\"hide\"> {}</span></a>",
                        escaped(&path),
                        escaped(verb),
                        escaped(words.last().copied().unwrap_or_default())
                    );
                }
                None => out.push_str("<span class=\"sub\">for a shell: copy it</span>"),
            }
        }
        _ => out.push_str("<span class=\"sub\">for a shell: copy it</span>"),
    }
    out.push_str("</li>");
    out
}

fn tone(kind: Kind) -> &'static str {
    match kind {
        Kind::Read => "succeeded",
        Kind::Mend => "recovering",
        Kind::Shell => "scheduled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_other_runbooks_and_never_to_a_script() {
        let pages = shelf::all(None).expect("pages");
        let to = |to: &str| leads(to, &pages);
        assert_eq!(to("workers.md#a-worker-died").as_deref(), Some("/ui/runbooks/workers#a-worker-died"));
        assert_eq!(to("#here").as_deref(), Some("#here"));
        assert_eq!(to("https://example.org/x").as_deref(), Some("https://example.org/x"));
        for nowhere in
            ["../docs/sql.md", "javascript:alert(1)", "//evil.example", "data:text/html,x", "none.md"]
        {
            assert_eq!(to(nowhere), None, "{nowhere}");
        }
    }
}
