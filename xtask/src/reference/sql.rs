//! The page of what a PostgreSQL database offers, from the catalogue of one that the program has made.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;
use testkit::postgres::TestDatabase;

use super::{cell, head};
use crate::run as run_command;
use crate::stages::Run;

/// What programs may call, and who.
const FUNCTIONS: &str = "
SELECT p.proname AS name, pg_get_function_arguments(p.oid) AS takes, pg_get_function_result(p.oid) AS gives,
  (SELECT string_agg(r.rolname, ', ' ORDER BY r.rolname) FROM pg_roles r
   WHERE r.rolname LIKE 'jobforge\\_%' AND has_function_privilege(r.oid, p.oid, 'EXECUTE')) AS callers
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'public' AND p.proname LIKE 'jobforge\\_%' AND p.prorettype <> 'trigger'::regtype
  AND EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'jobforge_app' AND has_function_privilege(r.oid, p.oid, 'EXECUTE'))
ORDER BY 1, 2";

/// Tables and views with their columns.
const RELATIONS: &str = "
SELECT c.relname AS name, c.relkind = 'v' AS view,
  (SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'needed', a.attnotnull,
     'default', pg_get_expr(d.adbin, d.adrelid)) ORDER BY a.attnum)
   FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'v', 'p')
ORDER BY 2 DESC, 1";

pub(super) fn page(run: &Run, program: &Path) -> Result<String> {
    let cluster = run.cluster.as_ref().context("no PostgreSQL was started")?;
    let database = TestDatabase::create_on(cluster.server(), None)?;
    let mut migrate = Command::new(program);
    migrate.args(["db", "migrate", "--runbook-views", "--database-url", &database.url()]);
    run_command(&mut migrate)?;
    let ask = |sql: &str| -> Result<Vec<Value>> {
        let rows = database.psql(&format!("SELECT json_agg(r) FROM ({sql}) r"))?;
        serde_json::from_str(rows.trim()).context("the catalogue gave no JSON")
    };
    let mut text =
        head("SQL", "the catalogue of a PostgreSQL database after `jobforge db migrate --runbook-views`");
    text.push_str(
        "Functions, views and tables as PostgreSQL knows them. What they do, who may use them and how a worker is written in SQL is \
         told in [sql.md](../sql.md). Tables may change with every version; functions and views do not without a word in the \
         changelog.\n\n## Functions\n",
    );
    for function in ask(FUNCTIONS)? {
        let word = |key: &str| function[key].as_str().unwrap_or_default().to_owned();
        let _ = write!(text, "\n### {}\n\n", word("name"));
        let takes = word("takes");
        if !takes.is_empty() {
            let _ = write!(text, "```text\n{}\n```\n\n", takes.replace(", p_", "\np_"));
        }
        let _ = writeln!(text, "Gives `{}`. For {}.", word("gives"), word("callers"));
    }
    let relations = ask(RELATIONS)?;
    for (title, view) in [("Views", true), ("Tables", false)] {
        let _ = write!(text, "\n## {title}\n");
        for relation in relations.iter().filter(|relation| relation["view"] == view) {
            table(&mut text, relation, view);
        }
    }
    Ok(text)
}

fn table(text: &mut String, relation: &Value, view: bool) {
    let name = relation["name"].as_str().unwrap_or_default();
    let (titles, rule) = if view {
        ("| Column | Type |", "|---|---|")
    } else {
        ("| Column | Type | Default |", "|---|---|---|")
    };
    let _ = write!(text, "\n### {name}\n\n{titles}\n{rule}\n");
    for column in relation["columns"].as_array().into_iter().flatten() {
        let word = |key: &str| column[key].as_str().unwrap_or_default();
        let _ = write!(text, "| `{}` | {}", word("name"), word("type"));
        if !view {
            let may_be = if column["needed"] == true { "" } else { " or null" };
            let default = Some(word("default")).filter(|default| !default.is_empty());
            let _ = write!(
                text,
                "{may_be} | {}",
                default.map_or_else(String::new, |default| format!("`{}`", cell(default)))
            );
        }
        text.push_str(" |\n");
    }
}
