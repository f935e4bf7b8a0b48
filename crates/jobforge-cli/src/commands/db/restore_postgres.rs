//! Restoring a dump: our schema, the dump's rows, in one transaction.

use std::sync::Arc;

use indicatif::HumanBytes;
use jobforge::OpenOptions;
use jobforge::store::postgres::{DumpedStep, PostgresStore};
use jobforge::store::traits::{Admin, Upkeep};
use jobforge::store::{Store, StoreError};
use tokio::io::{AsyncReadExt, BufReader};

use super::programs::Program;
use super::restore::{Contents, Restored, finish};
use crate::cli::RestoreArgs;
use crate::commands::Context;
use crate::failure::{self, Failure};
use crate::output;

/// What other tables refer to comes first.
const REFERRED_TO: [&str; 2] = ["jobforge_jobs", "jobforge_schedules"];
/// Kept right from the jobs, or by our own migrations; their rows in a dump are of no use.
const NOT_LOADED: [&str; 6] = [
    "jobforge_migrations",
    "jobforge_ready",
    "jobforge_scheduled",
    "jobforge_kinds",
    "jobforge_listed",
    "jobforge_tagged",
];
/// Bytes of a program's complaint that are read.
const COMPLAINT: u64 = 64 * 1024;

pub(super) async fn run(
    context: &Context,
    args: &RestoreArgs,
    options: &OpenOptions,
) -> Result<Option<Restored>, Failure> {
    let store = options.open_postgres().await.map_err(|error| context.explain_open(&error))?;
    let reader = Program::find("pg_restore", &context.settings, Vec::new())?;
    let path = args.file.display().to_string();
    let list = Contained::read(&reader.output(&["--list", &path]).await?);
    if !list.tables.iter().any(|entry| entry.name == "jobforge_jobs") {
        return Err(Failure::usage(format!("{path} holds no rows of jobforge_jobs"))
            .hint("`jobforge db backup FILE` makes a dump of all that JobForge has"));
    }
    let steps = steps(&reader, &list, &path).await?;
    let store = Arc::new(store);
    let holds = contents(&store).await?;
    if holds.may_be_replaced(args, store.location())? {
        return Ok(None);
    }
    if steps.is_empty() {
        output::note("the dump does not say which schema it has; taking it for this program's");
    }
    store.migrate_for(&steps, &path).await?;
    let workers = load(&store, &reader, &list, &path).await?;
    store.migrate().await?;
    let shared: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    for sentence in shared.sql_surface(false).await? {
        output::note(&sentence);
    }
    finish(context, shared.as_ref(), args, workers).await.map(Some)
}

async fn contents(store: &PostgresStore) -> Result<Contents, Failure> {
    match store.verify_schema().await {
        Ok(()) => Contents::of(store).await,
        Err(StoreError::SchemaTooOld { found: 0, .. }) if store.sizes().await?.is_empty() => {
            Ok(Contents::default())
        }
        Err(error) => Err(Failure::from(error)),
    }
}

/// What of a dump is loaded, and in which order.
struct Contained {
    tables: Vec<Entry>,
    sequences: Vec<Entry>,
    says_schema: bool,
}

struct Entry {
    name: String,
    line: String,
}

impl Contained {
    /// Reads lines such as `4242; 0 16405 TABLE DATA public jobforge_jobs owner`.
    fn read(list: &str) -> Self {
        let entries = |kind: &str| -> Vec<Entry> {
            let of = |line: &str| {
                let (_, rest) = line.split_once(kind)?;
                let name = rest.split(' ').find(|word| word.starts_with("jobforge_"))?.to_owned();
                Some(Entry { name, line: line.to_owned() })
            };
            list.lines().filter(|line| !line.starts_with(';')).filter_map(of).collect()
        };
        let mut tables = entries(" TABLE DATA ");
        let says_schema = tables.iter().any(|entry| entry.name == "jobforge_migrations");
        tables.retain(|entry| !NOT_LOADED.contains(&entry.name.as_str()));
        tables.sort_by_key(|entry| !REFERRED_TO.contains(&entry.name.as_str()));
        Self { tables, sequences: entries(" SEQUENCE SET "), says_schema }
    }

    fn lines(&self) -> String {
        self.tables.iter().chain(&self.sequences).map(|entry| entry.line.clone() + "\n").collect()
    }
}

/// Which migrations had been applied where the dump was made.
async fn steps(reader: &Program, list: &Contained, path: &str) -> Result<Vec<DumpedStep>, Failure> {
    if !list.says_schema {
        return Ok(Vec::new());
    }
    let rows = reader.output(&["--data-only", "--table=jobforge_migrations", "--file=-", path]).await?;
    read_steps(&rows).ok_or_else(|| {
        Failure::new(failure::FAILED, format!("{path} has a table of migrations that cannot be read"))
    })
}

fn read_steps(script: &str) -> Option<Vec<DumpedStep>> {
    let mut lines = script.lines();
    let header = lines.find(|line| line.starts_with("COPY "))?;
    let columns: Vec<&str> = header.split_once('(')?.1.split_once(')')?.0.split(", ").collect();
    let place = |name: &str| columns.iter().position(|column| *column == name);
    let (version, checksum) = (place("version")?, place("checksum")?);
    lines
        .take_while(|line| *line != "\\.")
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            Some(DumpedStep {
                version: fields.get(version)?.parse().ok()?,
                checksum: (*fields.get(checksum)?).to_owned(),
            })
        })
        .collect()
}

async fn load(
    store: &PostgresStore,
    reader: &Program,
    list: &Contained,
    path: &str,
) -> Result<usize, Failure> {
    let arguments = ["--data-only", "--use-list=/dev/stdin", "--file=-", path];
    let mut child = reader.start(&arguments, &list.lines()).await?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
        return Err(reader.failed("its output cannot be read"));
    };
    let complaint = tokio::spawn(async move {
        let mut text = String::new();
        let _ = stderr.take(COMPLAINT).read_to_string(&mut text).await;
        text
    });
    let whole = async {
        match child.wait().await {
            Ok(status) if status.success() => Ok(()),
            Ok(_) | Err(_) => Err(complaint.await.unwrap_or_default()),
        }
    };
    let bar = output::spinner("restoring");
    let told = |table: &str, bytes| bar.set_message(format!("restoring {table}, {}", HumanBytes(bytes)));
    let loaded = store.load(BufReader::new(stdout), told, whole).await?;
    bar.finish_and_clear();
    Ok(loaded.workers.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_loaded_first_and_what_is_made_from_them_not_at_all() {
        let list = "; Archive created\n\
            1; 0 1 TABLE DATA public jobforge_job_results o\n\
            2; 0 2 TABLE DATA public jobforge_jobs o\n\
            3; 0 3 TABLE DATA public jobforge_ready o\n\
            4; 1259 4 TABLE public jobforge_jobs o\n\
            5; 0 0 SEQUENCE SET public jobforge_audit_id_seq o\n\
            6; 0 6 TABLE DATA public jobforge_migrations o\n\
            7; 0 7 TABLE DATA public customers o\n";
        let contained = Contained::read(list);
        let numbers: Vec<_> = contained.lines().lines().map(|line| line[..1].to_owned()).collect();
        assert_eq!(numbers, ["2", "1", "5"]);
        assert!(contained.says_schema);
    }

    #[test]
    fn applied_steps_are_read_by_the_names_of_their_columns() {
        let script = "SET x;\nCOPY public.jobforge_migrations (version, name, checksum, applied_at) FROM stdin;\n\
                      1\tcore\tab12\t2026-01-01\n2\tsurface\tcd34\t2026-01-01\n\\.\n";
        let steps = read_steps(script).expect("steps");
        assert_eq!(steps[1], DumpedStep { version: 2, checksum: "cd34".to_owned() });
        assert_eq!(steps.len(), 2);
    }
}
