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
        Ok(store) => Contents::of(store.as_ref()).await,
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

/// Puts the file in its place; returns where the one is that was there.
fn put(fresh: &Path, target: &Path) -> Result<Option<PathBuf>, Failure> {
    close_log(fresh)?;
    let mut aside = None;
    if fs::metadata(target).is_ok_and(|file| file.len() > 0) {
        // One that cannot be read is set aside as it is.
        let closed = close_log(target);
        let name = beside(target, &format!(".replaced-{}", jobforge::clock::wall().as_second()));
        rename(target, &name).map_err(|error| cannot("set aside", target, &error))?;
        if let Err(error) = closed {
            tracing::warn!(error = error.chain(), "what was there could not be read");
        }
        aside = Some(name);
    }
    for tail in ["-wal", "-shm"] {
        // Leftovers of a file that was there would be taken for a part of this one.
        let _ = fs::remove_file(beside(target, tail));
    }
    let file = fs::File::open(fresh).and_then(|file| file.sync_all());
    file.and_then(|()| rename(fresh, target)).map_err(|error| cannot("put in its place", target, &error))?;
    Ok(aside)
}
