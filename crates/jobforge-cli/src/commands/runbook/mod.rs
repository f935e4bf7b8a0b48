//! `jobforge runbook`: pages that say what to do, and do it with whoever reads them.

mod run;

use std::path::{Path, PathBuf};

use jobforge::runbook::{Page, Section, ShelfError, shelf};
use serde_json::json;

use super::Context;
use crate::cli::{Global, RunbookCommand};
use crate::failure::{self, Failure};
use crate::output;
use run::Reader;

pub(crate) async fn run(context: Context, global: &Global, command: RunbookCommand) -> Result<(), Failure> {
    match command {
        RunbookCommand::List { dir } => list(&context, own(&context, dir).as_deref()),
        RunbookCommand::Show { name, dir } => show(&context, own(&context, dir).as_deref(), &name),
        RunbookCommand::Run(args) => {
            let page = shelf::find(&shelf::all(own(&context, args.dir.clone()).as_deref())?, &args.name)?;
            let given = args.set.iter().map(|pair| value(pair)).collect::<Result<_, _>>()?;
            Reader { context: &context, global, page: &page, args: &args, given }.run().await
        }
    }
}

impl From<ShelfError> for Failure {
    fn from(error: ShelfError) -> Self {
        let message = error.to_string();
        match error {
            ShelfError::Unreadable { .. } => Self::new(failure::CONFIG, message),
            ShelfError::Broken(_) => Self::new(failure::FAILED, message),
            ShelfError::Missing { hint, .. } => Self::new(failure::NOT_FOUND, message).hint(hint),
        }
    }
}

/// Where an operator's own runbooks are.
fn own(context: &Context, dir: Option<PathBuf>) -> Option<PathBuf> {
    let set = context.settings.text("runbooks_dir");
    dir.or_else(|| (!set.is_empty()).then(|| PathBuf::from(set)))
}

fn value(pair: &str) -> Result<(String, String), Failure> {
    let bad = || Failure::usage(format!("--set is {pair:?}; write NAME=VALUE, such as JOB=01890a5d-…"));
    let (name, value) = pair.split_once('=').ok_or_else(bad)?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_name { Ok((name.to_owned(), value.to_owned())) } else { Err(bad()) }
}

fn sections(page: &Page) -> Vec<&Section> {
    page.sections.iter().filter(|section| !section.steps.is_empty()).collect()
}

fn list(context: &Context, own: Option<&Path>) -> Result<(), Failure> {
    let pages = shelf::all(own)?;
    if context.json {
        let page = |page: &Page| {
            let steps = |section: &&Section| json!({ "section": section.anchor, "title": section.title, "steps": section.steps.len() });
            json!({
                "name": page.name, "title": page.title, "from": page.origin.as_str(), "alerts": page.alerts,
                "sections": sections(page).iter().map(steps).collect::<Vec<_>>(),
            })
        };
        return output::json(&pages.iter().map(page).collect::<Vec<_>>());
    }
    let mut rows = Vec::new();
    for page in &pages {
        rows.push(vec![page.name.clone(), page.origin.as_str().to_owned(), page.title.clone()]);
        if page.sections.len() > 1 {
            let row = |section: &&Section| {
                vec![format!("  {}#{}", page.name, section.anchor), String::new(), section.title.clone()]
            };
            rows.extend(sections(page).iter().map(row));
        }
    }
    output::table(&["runbook", "from", "about"], &[], rows);
    Ok(())
}

fn show(context: &Context, own: Option<&Path>, name: &str) -> Result<(), Failure> {
    let page = shelf::find(&shelf::all(own)?, name)?;
    if !context.json {
        output::say(&output::printable_lines(page.text.trim_end()));
        return Ok(());
    }
    let steps = |section: &Section| {
        let steps =
            section.steps.iter().map(|step| json!({ "kind": step.kind.as_str(), "command": step.command }));
        json!({ "section": section.anchor, "title": section.title, "steps": steps.collect::<Vec<_>>() })
    };
    output::json(&json!({
        "name": page.name, "title": page.title, "from": page.origin.as_str(), "alerts": page.alerts,
        "text": page.text, "sections": page.sections.iter().map(steps).collect::<Vec<_>>(),
    }))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use jobforge::runbook::{Kind, arguments, shelf::all};

    use crate::cli::Cli;

    #[test]
    fn every_command_of_ours_in_a_marked_block_is_one_that_can_be_typed() {
        let given =
            ["JOB", "GROUP"].map(|name| (name.to_owned(), "01890a5d-ac96-774b-bcce-b302099a8057".to_owned()));
        let mut typed = 0;
        for page in all(None).expect("pages") {
            for step in page.sections.iter().flat_map(|section| &section.steps) {
                assert_ne!(step.kind, Kind::Shell, "{}: nothing of ours is for a shell", page.name);
                let Ok(words) = arguments(&step.command, &given) else { continue };
                let words = [vec!["jobforge".to_owned()], words].concat();
                Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{}: {error}", page.name));
                typed += 1;
            }
        }
        assert!(typed > 50, "{typed}");
    }
}
