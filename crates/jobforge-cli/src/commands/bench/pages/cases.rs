//! What is asked: every page, and the filters that lead a search to its limits.

use crate::commands::bench::month::Known;

/// One request.
pub(super) struct Case {
    pub(super) path: String,
    /// Whether it is sent with the token that is bound to a tenant.
    pub(super) bound: bool,
    /// Whether nobody has looked for so long that nothing is remembered.
    pub(super) cold: bool,
}

/// Filters of the list of jobs: what many match, what few do, and what none does.
const FILTERS: &[&str] = &[
    "status=succeeded",
    "status=queued",
    "status=running",
    "status=failed",
    "status=dead",
    "status=canceled",
    "status=failed,dead",
    "type=mail.send-3",
    "type=report.rare",
    "type=nothing",
    "tenant_id=big",
    "tenant_id=small-77",
    "tenant_id=nobody",
    "queue=queue-3",
    "queue=rare",
    "tag=customer-40",
    "tag=rare",
    "tag=nothing",
    "idempotency_key=key-500000",
    "idempotency_key=nothing",
    "worker=bench-worker-1",
    "worker=nobody",
    "payload=seq:nothing",
    "tenant_id=big&payload=seq:nothing",
    "status=dead&payload=seq:nothing",
    "type=report.rare&payload=seq:17",
    "error=nothing",
    "error=of+block",
    "status=dead&error=TIMEOUT",
    "type=mail.send-3&error=worker_lost",
    "tenant_id=small-77&status=dead",
    "tenant_id=big&status=queued",
    "type=mail.send-3&status=dead",
    "type=report.rare&status=dead",
    "queue=queue-3&type=mail.send-3&status=failed",
    "tag=customer-40&status=dead",
    "tag=customer-40&type=report.rare",
    "tenant_id=big&type=mail.send-3&queue=queue-3&status=succeeded",
];

/// What else needs no id.
const OTHERS: &[&str] = &[
    "/ui/operations",
    "/ui/jobs?q=colour:red",
    "/ui/dead?tenant_id=small-77",
    "/ui/dead?queue=queue-3",
    "/ui/workers/bench-worker-1",
    "/ui/schedules/bench-007",
    "/ui/act/queue-pause/queue-3",
    "/ui/audit?actor=person-7",
    "/ui/audit?actor=nobody",
    "/ui/audit?action=job.",
    "/ui/audit?action=nothing",
    "/ui/audit?target=target-77",
    "/ui/audit?tenant_id=small-77",
    "/ui/audit?since=2h",
    "/ui/audit?before=5000",
];

/// Pages whose numbers the server remembers for a while.
const COLD: &[&str] = &["/ui", "/ui/dead"];

/// What somebody bound to a tenant may ask too.
const BOUND: &[&str] = &[
    "/ui/jobs",
    "/ui/jobs?status=dead",
    "/ui/jobs?type=report.rare",
    "/ui/jobs?tag=nothing",
    "/ui/dead",
    "/ui/operations",
    "/ui/audit",
];

/// Everything; the menu says which pages there are.
pub(super) fn all(menu: &[String], known: &Known) -> Vec<Case> {
    let mut paths: Vec<String> = menu.to_vec();
    for filter in FILTERS {
        paths.push(format!("/ui/jobs?{filter}"));
        paths.push(format!("/ui/jobs?{filter}&before={}", known.middle));
    }
    paths.push(format!("/ui/jobs?before={}", known.late));
    paths.push(format!("/ui/jobs?type=nothing&before={}", known.late));
    paths.extend(OTHERS.iter().map(|path| (*path).to_owned()));
    for id in [&known.queued, &known.running, &known.succeeded, &known.failed, &known.dead, &known.canceled] {
        paths.push(format!("/ui/jobs/{id}"));
    }
    paths.push(format!("/ui/act/job-retry/{}", known.dead));
    paths.push(format!("/ui/dead/{}", known.group));
    paths.push(format!("/ui/dead/{}?before={}", known.group, known.middle));
    paths.push(format!("/ui/act/dead-retry/{}", known.group));
    let case = |path, bound, cold| Case { path, bound, cold };
    let mut cases: Vec<Case> = paths.into_iter().map(|path| case(path, false, false)).collect();
    cases.extend(BOUND.iter().map(|path| case((*path).to_owned(), true, false)));
    cases.extend(COLD.iter().map(|path| case((*path).to_owned(), false, true)));
    cases
}

/// The pages that the menu of a page names, in its order.
pub(super) fn menu(page: &str) -> Vec<String> {
    let Some((_, menu)) = page.split_once("<nav class=\"menu\"") else { return Vec::new() };
    let menu = menu.split("</nav>").next().unwrap_or_default();
    menu.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

/// How many rows of a list a page shows.
pub(super) fn rows(page: &str) -> usize {
    page.matches("<tr data-id=").count()
}

/// The files that a page loads.
pub(super) fn assets(page: &str) -> Vec<String> {
    let mut found: Vec<String> =
        page.split('"').filter(|word| word.starts_with("/ui/assets/")).map(str::to_owned).collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_which_pages_there_are_and_what_it_loads() {
        let page = "<script src=\"/ui/assets/app.1.js\"></script><img src=\"/ui/assets/icon.2.svg\"> \
                    <img src=\"/ui/assets/icon.2.svg\"> <nav class=\"menu\" aria-label=\"Pages\"><a href=\"/ui\" data-go=\"o\">\
                    <a href=\"/ui/jobs\" data-go=\"j\"></nav><a href=\"/ui/elsewhere\">";
        assert_eq!(menu(page), ["/ui", "/ui/jobs"]);
        assert_eq!(assets(page), ["/ui/assets/app.1.js", "/ui/assets/icon.2.svg"]);
        assert!(menu("<p>login</p>").is_empty());
    }
}
