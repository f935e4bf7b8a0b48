//! Payloads as files of a directory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use jobforge_store::error::BoxError;
use nix::fcntl::OFlag;
use uuid::Uuid;

use super::{Listed, Objects};

/// What the name of a file ends in that is being written; one that a crash left behind is swept as others are.
const UNFINISHED: &str = ".new";

/// Tries to make a file in a folder that others remove.
const TRIES: u32 = 10;

/// A directory that holds a folder for each stretch of time, and in it a file for each payload.
pub(super) struct Directory {
    root: Arc<Path>,
}

impl Directory {
    /// Makes the directory if it is not there. Afterwards it is never made again: one that has vanished is a mistake.
    pub(super) fn at(root: &Path) -> Result<Self, String> {
        let root = std::path::absolute(root).map_err(|error| error.to_string())?;
        let made = make(&root).and_then(|()| root.parent().map_or(Ok(()), sync));
        match made {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(format!("{} has no parent directory; make that first", root.display()))
            }
            Err(error) => Err(error.to_string()),
            Ok(()) if !root.is_dir() => Err("it is not a directory".to_owned()),
            Ok(()) => Ok(Self { root: root.into() }),
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, BoxError> {
        let root = Arc::clone(&self.root);
        Ok(tokio::task::spawn_blocking(move || work(&root)).await??)
    }
}

#[async_trait]
impl Objects for Directory {
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), BoxError> {
        let name = name.to_owned();
        self.blocking(move |root| write(root, &root.join(name), &bytes)).await
    }

    async fn get(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, BoxError> {
        let name = name.to_owned();
        self.blocking(move |root| match read(&root.join(name), most) {
            // Without the directory nothing can be said about what is in it.
            Err(error) if error.kind() == ErrorKind::NotFound => fs::metadata(root).map(|_| None),
            read => read.map(Some),
        })
        .await
    }

    async fn delete(&self, name: &str) -> Result<(), BoxError> {
        let name = name.to_owned();
        self.blocking(move |root| remove(root, &root.join(name))).await
    }

    async fn list(&self, behind: Option<&str>, most: usize) -> Result<Vec<Listed>, BoxError> {
        let behind = behind.map(str::to_owned);
        self.blocking(move |root| list(root, behind.as_deref(), most)).await
    }
}

/// Makes a directory that only its owner may enter; one that is there is kept.
fn make(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a file whole or not at all, and to the disk: the job that follows must not outlive its payload.
fn write(root: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(root);
    let unfinished = folder.join(format!("{}{UNFINISHED}", Uuid::new_v4().simple()));
    let written = begin(folder, &unfinished).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    });
    if written.is_err() {
        // The first fault is the one to tell; what stays is swept.
        let _ = fs::remove_file(&unfinished);
    }
    written?;
    // Also where the folder was there: whoever made it may not have come so far.
    sync(folder)?;
    sync(root)
}

/// Makes the folder and a file in it; again if the folder was removed in between, with the last of its other files.
fn begin(folder: &Path, file: &Path) -> io::Result<File> {
    let mut tries = 1;
    loop {
        make(folder)?;
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
            Err(error) if error.kind() == ErrorKind::NotFound && tries < TRIES => tries += 1,
            begun => return begun,
        }
    }
}

/// Brings to the disk what was made or renamed in a directory.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Reads a file of at most so many bytes, and one more where it is longer. A link is not followed.
fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path)?;
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Removes a file, and its folder with the last one.
fn remove(root: &Path, path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    if let Some(folder) = path.parent().filter(|folder| *folder != root) {
        // Refused, as it should be, while there is anything in it.
        let _ = fs::remove_dir(folder);
    }
    Ok(())
}

fn list(root: &Path, behind: Option<&str>, most: usize) -> io::Result<Vec<Listed>> {
    let first = behind.and_then(|name| name.split_once('/')).map_or("", |(folder, _)| folder);
    let mut listed = Vec::new();
    for folder in names(root)?.into_iter().filter(|folder| folder.as_str() >= first) {
        if listed.len() >= most {
            break;
        }
        let path = root.join(&folder);
        let inside = match names(&path) {
            // Removed meanwhile, or a file that somebody has put there.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            inside => inside?,
        };
        let named = inside.into_iter().map(|file| (format!("{folder}/{file}"), path.join(file)));
        let rest = named.filter(|(name, _)| behind.is_none_or(|behind| name.as_str() > behind));
        for (name, path) in rest.take(most - listed.len()) {
            if let Some(written_at) = written_at(&path)? {
                listed.push(Listed { name, written_at });
            }
        }
    }
    Ok(listed)
}

/// The names in a directory, sorted; what is not UTF-8 is not ours.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    let mut names: Vec<String> =
        entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    Ok(names)
}

fn written_at(path: &PathBuf) -> io::Result<Option<Timestamp>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        found => Ok(Timestamp::try_from(found?.modified()?).ok()),
    }
}
