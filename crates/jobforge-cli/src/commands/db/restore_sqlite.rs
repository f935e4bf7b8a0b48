//! Restoring a file: made ready under another name, then put in its place.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jobforge::core::time::Now;
use jobforge::store::sqlite::{close_log, copy_file, own_file};
use jobforge::store::traits::Admin;
use jobforge::store::{Store, StoreError};
use jobforge::{OpenOptions, open_store};

use super::file::{cannot, rename};
use super::restore::{Contents, Restored, finish};
use crate::cli::RestoreArgs;
use crate::commands::Context;
use crate::failure::{self, Failure};
use crate::output;

pub(super) async fn run(
    context: &Context,
    args: &RestoreArgs,
    options: &OpenOptions,
) -> Result<Option<Restored>, Failure> {
    let Some(target) = options.embedded()? else { return Ok(None) };
    let directory = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory).map_err(|error| cannot("make", directory, &error))?;
    // From here on no server can start on it.
    let _owner = own_file(&target).map_err(|error| match &error {
        StoreError::InUse { .. } => {
            Failure::from_store(&error).hint("stop `jobforge up` or `serve`, restore, and start it again")
        }
        _ => Failure::from_store(&error),
    })?;
    let holds = contents(&target, options, args).await?;
    if holds.may_be_replaced(args, &target.display().to_string())? {
        return Ok(None);
    }
    let fresh = Fresh(beside(&target, ".restoring"));
    fresh.clear();
    let mut restored = prepare(context, args, options, &fresh.0, holds.epoch).await?;
    restored.location = target.display().to_string();
    restored.set_aside = put(&fresh.0, &target)?.map(|path| path.display().to_string());
    Ok(Some(restored))
}

/// A file that is being made ready; whatever is left of it at the end is removed.
struct Fresh(PathBuf);

impl Fresh {
    fn clear(&self) {
        for tail in ["", "-wal", "-shm", "-journal", ".lock"] {
            // Mostly there is none.
            let _ = fs::remove_file(beside(&self.0, tail));
        }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        self.clear();
    }
}

fn beside(path: &Path, tail: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(tail);
    PathBuf::from(name)
}

/// What the file in its place holds; a file that is not ours is never replaced unasked.
async fn contents(target: &Path, options: &OpenOptions, args: &RestoreArgs) -> Result<Contents, Failure> {
    let length = fs::metadata(target).map_or(0, |file| file.len());
    if length == 0 {
        return Ok(Contents::default());
    }
    match open_store(&OpenOptions { create: false, ..options.clone() }).await {
        Ok(store) => Ok(Contents::of(store.as_ref()).await?.owned()),
        Err(_) if args.force && args.yes => Ok(Contents::default()),
        Err(error) => Err(Failure::new(
            failure::CONFLICT,
            format!("{} cannot be looked at: {}", target.display(), error.chain()),
        )
        .hint("set it aside and restore in its place with --force --yes")),
    }
}

async fn prepare(
    context: &Context,
    args: &RestoreArgs,
    options: &OpenOptions,
    fresh: &Path,
    replaced: i64,
) -> Result<Restored, Failure> {
    let (from, to) = (args.file.clone(), fresh.to_owned());
    let bar = output::progress(0, "copying pages");
    let told = {
        let bar = bar.clone();
        move |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        }
    };
    let copied = tokio::task::spawn_blocking(move || copy_file(&from, &to, Box::new(told))).await;
    copied.map_err(|error| Failure::new(failure::FAILED, format!("the copy was broken off: {error}")))??;
    bar.finish_and_clear();
    let mut here = options.clone();
    here.database_url = format!("sqlite:{}", fresh.display());
    let store = here.open_sqlite()?;
    // A file that is a database, but not one of ours, would be made into one.
    if store.migrations().await?.iter().all(|step| step.applied_at.is_none()) {
        return Err(Failure::usage(format!("{} is no database of JobForge", args.file.display())));
    }
    store.migrate().await?;
    let store: Arc<dyn Store> = Arc::new(store);
    let workers = store.begin_anew(replaced, Now::Database).await?.len();
    finish(context, store.as_ref(), args, workers).await
}

/// Puts the file in its place; returns where the one is that was there. At every moment there is a whole file in the place,
/// for a server that found none would begin with an empty one.
fn put(fresh: &Path, target: &Path) -> Result<Option<PathBuf>, Failure> {
    close_log(fresh)?;
    let mut aside = None;
    if fs::metadata(target).is_ok_and(|file| file.len() > 0) {
        if let Err(error) = close_log(target) {
            tracing::warn!(
                error = error.chain(),
                "what was there could not be read; it is set aside as it is"
            );
        }
        let name = beside(target, &format!(".replaced-{}", jobforge::clock::wall().as_second()));
        fs::hard_link(target, &name)
            .or_else(|_| fs::copy(target, &name).map(|_| ()))
            .map_err(|error| cannot("set aside", target, &error))?;
        // What could not be closed keeps its log.
        let _ = fs::rename(beside(target, "-wal"), beside(&name, "-wal"));
        aside = Some(name);
    }
    for tail in ["-wal", "-shm"] {
        // Leftovers would be taken for a part of the new file.
        let _ = fs::remove_file(beside(target, tail));
    }
    let file = fs::File::open(fresh).and_then(|file| file.sync_all());
    file.and_then(|()| rename(fresh, target)).map_err(|error| cannot("put in its place", target, &error))?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use rusqlite::Connection;

    use super::*;

    #[test]
    fn while_a_file_is_put_in_its_place_there_is_a_whole_one_at_every_moment() {
        let home = tempfile::tempdir().expect("a folder");
        let (fresh, target) = (home.path().join("fresh"), home.path().join("jobforge.db"));
        for (path, word) in [(&target, "old"), (&fresh, "new")] {
            let database = Connection::open(path).expect("a database");
            let script = format!("PRAGMA journal_mode = WAL; CREATE TABLE words AS SELECT '{word}' AS word");
            database.execute_batch(&script).expect("a table");
        }
        let done = AtomicBool::new(false);
        let aside = std::thread::scope(|scope| {
            let missing = scope.spawn(|| {
                let mut missing = 0;
                while !done.load(Ordering::Relaxed) {
                    missing += usize::from(!target.exists());
                }
                missing
            });
            let aside = put(&fresh, &target);
            done.store(true, Ordering::Relaxed);
            assert_eq!(missing.join().expect("nobody panics"), 0, "a server could have begun an empty file");
            aside.expect("it was put").expect("something was there")
        });
        for (path, word) in [(&target, "new"), (&aside, "old")] {
            let found = Connection::open(path).and_then(|database| {
                database.query_row("SELECT word FROM words", [], |row| row.get::<_, String>(0))
            });
            assert_eq!(found.expect("a word"), word);
        }
    }
}
