//! `jobforge db backup`: the whole database in one file, as it is at one moment.

use std::time::Duration;

use indicatif::HumanBytes;
use jobforge::{OpenOptions, Purpose};

use super::file::Part;
use super::programs::Program;
use crate::cli::BackupArgs;
use crate::commands::{Context, asked_to_stop};
use crate::failure::{self, Failure};
use crate::output;

/// Between two looks at how large a dump has become.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(super) async fn run(context: &Context, args: &BackupArgs) -> Result<(), Failure> {
    let target = &args.file;
    if target.file_name().is_none() || target.is_dir() {
        return Err(Failure::usage(format!("{} is no file name", target.display())));
    }
    if target.exists() && !args.force {
        return Err(Failure::new(failure::CONFLICT, format!("{} exists already", target.display()))
            .hint("choose another name, or replace it with --force"));
    }
    let options = OpenOptions::from_settings(&context.settings, Purpose::Visit, false);
    let part = Part::beside(target)?;
    let make = async {
        if options.is_postgres() {
            postgres(context, &options, &part).await
        } else {
            sqlite(context, &options, &part).await
        }
    };
    // Whoever is asked to stop leaves no half of a file behind.
    tokio::select! {
        made = make => made?,
        stopped = asked_to_stop() => {
            stopped?;
            return Err(Failure::new(failure::INTERRUPTED, "interrupted; no backup was made"));
        }
    }
    let bytes = part.keep(target)?;
    if context.json {
        return output::json(&serde_json::json!({
            "file": target, "bytes": bytes, "engine": if options.is_postgres() { "postgres" } else { "sqlite" },
            "verified": true,
        }));
    }
    output::say(&format!("{}  {}, read back and found sound", target.display(), HumanBytes(bytes)));
    let restore = format!("jobforge db restore {}", target.display());
    output::note(&format!("restore it into an empty database with {}", output::command(&restore)));
    Ok(())
}

/// Beside the owner of the file, and while it writes: what the copy holds is what was committed when it began.
async fn sqlite(context: &Context, options: &OpenOptions, part: &Part) -> Result<(), Failure> {
    let store = options.open_sqlite().map_err(|error| context.explain_open(&error))?;
    jobforge::store::traits::Admin::verify_schema(&store).await?;
    let bar = output::progress(0, "copying pages");
    let told = {
        let bar = bar.clone();
        move |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        }
    };
    store.copy_to(part.path().to_owned(), Box::new(told)).await?;
    bar.finish_and_clear();
    Ok(())
}

/// By `pg_dump`, in one snapshot of the server.
async fn postgres(context: &Context, options: &OpenOptions, part: &Part) -> Result<(), Failure> {
    let store = options.open_postgres().await.map_err(|error| context.explain_open(&error))?;
    jobforge::store::traits::Admin::verify_schema(&store).await?;
    let environment = store.program_environment()?;
    let dump = Program::find("pg_dump", &context.settings, environment)?;
    dump.not_older_than(store.server_version().await?).await?;
    let reader = Program::find("pg_restore", &context.settings, Vec::new())?;
    let path = part.path().display().to_string();
    let file = format!("--file={path}");
    let arguments = [
        "--format=custom",
        "--encoding=UTF8",
        "--no-password",
        "--lock-wait-timeout=60s",
        "--table=jobforge_*",
        &file,
    ];
    let bar = output::spinner("dumping");
    let dumped = dump.output(&arguments);
    tokio::pin!(dumped);
    loop {
        tokio::select! {
            done = &mut dumped => {
                done?;
                break;
            }
            () = tokio::time::sleep(LOOK_EVERY) => {
                let size = std::fs::metadata(part.path()).map_or(0, |file| file.len());
                bar.set_message(format!("dumping, {} so far", HumanBytes(size)));
            }
        }
    }
    bar.set_message("reading it back");
    let contents = reader.output(&["--list", &path]).await?;
    if !contents.lines().any(|line| line.contains(" TABLE DATA ") && line.contains(" jobforge_jobs ")) {
        return Err(dump.failed("the dump holds no jobs; does this role see the tables of JobForge?"));
    }
    // Reads every block, so that one that cannot be unpacked is found now.
    reader.output(&["--file=/dev/null", &path]).await?;
    bar.finish_and_clear();
    Ok(())
}
