//! A place of work that one living process holds at a time: a locked file.
//!
//! The lock ends with the process, however it ends, and no child inherits it, for the file is closed at exec. Whoever gets
//! it therefore knows that the holder before is gone.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jobforge_core::death::Slot;
use jobforge_core::rescue::RescuePolicy;
use uuid::Uuid;

/// Workers of one name on one machine that get a slot; more run without.
const MOST: usize = 64;
/// More than a slot file ever holds.
const FILE_BYTES: u64 = 256;

/// A held slot. Dropping it gives it to the next.
#[derive(Debug)]
pub struct SlotLock {
    name: String,
    id: String,
    _file: File,
}

impl SlotLock {
    /// Takes the first free slot of a name in a directory of this machine; `None` when all are held.
    ///
    /// # Errors
    /// When the directory or the file cannot be made, written or locked.
    pub fn take(directory: &Path, name: &str) -> io::Result<Option<Self>> {
        fs::create_dir_all(directory)?;
        for number in 1..=MOST {
            let name = if number == 1 { plain(name) } else { format!("{}.{number}", plain(name)) };
            let path = directory.join(format!("{name}.slot"));
            let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self { id: identify(&file)?, name, _file: file })),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    /// What a registration tells of it.
    pub fn told(&self, policy: &RescuePolicy) -> Slot {
        Slot { name: self.name.clone(), id: self.id.clone(), policy: policy.clone() }
    }
}

/// A name that is one file name and nothing else.
fn plain(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    let name: String = name.chars().take(64).map(allowed).collect();
    if name.is_empty() { "worker".to_owned() } else { name }
}

/// Reads the file's own id, or gives it a new one.
///
/// Beside the id stands where the file lies. A copy, as in a container made from an image, lies elsewhere; it is another
/// slot, whose lock says nothing of the first one's holder.
fn identify(mut file: &File) -> io::Result<String> {
    let metadata = file.metadata()?;
    let place = format!("{}:{}", metadata.dev(), metadata.ino());
    let mut text = String::new();
    // A file that is no text of ours gets a new id.
    let _ = file.take(FILE_BYTES).read_to_string(&mut text);
    match text.trim().split_once(' ') {
        Some((id, known)) if known == place && !id.is_empty() => Ok(id.to_owned()),
        Some(_) | None => {
            let id = Uuid::new_v4().to_string();
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{id} {place}")?;
            Ok(id)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(directory: &Path, name: &str) -> SlotLock {
        SlotLock::take(directory, name).expect("a directory").expect("a free slot")
    }

    #[test]
    fn a_slot_has_one_holder_and_the_next_one_finds_the_same_slot() {
        let home = testkit::fixtures::directory().expect("a directory");
        let first = take(home.path(), "mail");
        let beside = take(home.path(), "mail");
        assert_eq!((first.name.as_str(), beside.name.as_str()), ("mail", "mail.2"));
        assert_ne!(first.id, beside.id);
        let id = first.id.clone();
        drop(first);
        let next = take(home.path(), "mail");
        assert_eq!((next.name.as_str(), &next.id), ("mail", &id));
    }

    #[test]
    fn a_copied_slot_file_is_another_slot() {
        let home = testkit::fixtures::directory().expect("a directory");
        let id = take(home.path(), "mail").id;
        let copy = home.path().join("copy");
        fs::create_dir(&copy).expect("a directory");
        fs::copy(home.path().join("mail.slot"), copy.join("mail.slot")).expect("a copy");
        assert_ne!(take(&copy, "mail").id, id);
    }

    #[test]
    fn no_name_leads_out_of_the_directory() {
        assert_eq!(plain("../../etc/passwd"), "______etc_passwd");
        assert_eq!(plain(""), "worker");
    }
}
