//! Where the socket is, and how to name it to a system that takes only short names.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// The longest path of a socket that the system takes, in bytes.
const LONGEST: usize = 107;

/// The socket beside a database file: `jobforge.sock` for `jobforge.db`.
pub fn socket_path(database: &Path) -> PathBuf {
    if database.extension().is_some_and(|extension| extension == "db") {
        return database.with_extension("sock");
    }
    let mut name = database.as_os_str().to_owned();
    name.push(".sock");
    PathBuf::from(name)
}

/// A name for a socket that is short enough, for as long as this value lives.
///
/// A long path is reached through its open directory, so any data directory will do.
#[derive(Debug)]
pub struct ShortPath {
    path: PathBuf,
    _directory: Option<File>,
}

impl ShortPath {
    /// Finds a short name.
    ///
    /// # Errors
    /// When the directory cannot be opened, or even the last part of the path is too long.
    pub fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= LONGEST {
            return Ok(Self { path: path.to_owned(), _directory: None });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(too_long(path));
        };
        let directory = File::open(parent)?;
        let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
        let is_there = short.exists();
        let short = short.join(name);
        if !is_there || short.as_os_str().len() > LONGEST {
            return Err(too_long(path));
        }
        Ok(Self { path: short, _directory: Some(directory) })
    }

    /// The name.
    pub fn as_path(&self) -> &Path {
        &self.path
    }
}

fn too_long(path: &Path) -> io::Error {
    let bytes = path.as_os_str().len();
    let advice = "choose a data directory with a shorter path";
    io::Error::new(
        io::ErrorKind::InvalidFilename,
        format!("the path has {bytes} bytes and a socket's may have {LONGEST}; {advice}"),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn the_socket_lies_beside_the_database() {
        for (database, socket) in [
            ("data/jobforge.db", "data/jobforge.sock"),
            ("jobs.sqlite", "jobs.sqlite.sock"),
            ("/a/jobs", "/a/jobs.sock"),
        ] {
            assert_eq!(socket_path(Path::new(database)), Path::new(socket));
        }
    }

    #[test]
    fn a_path_that_no_socket_may_have_is_reached_all_the_same() {
        let folder = tempfile::tempdir().expect("a directory");
        let deep = folder.path().join("d".repeat(120));
        std::fs::create_dir(&deep).expect("a deep directory");
        let socket = deep.join("jobforge.sock");
        assert!(UnixListener::bind(&socket).is_err(), "the system takes long paths after all");
        let listener = UnixListener::bind(ShortPath::of(&socket).expect("a short name").as_path());
        let _listener = listener.expect("a listener");
        assert!(socket.exists());
        UnixStream::connect(ShortPath::of(&socket).expect("a short name").as_path()).expect("a connection");
        let hopeless = deep.join("n".repeat(120));
        let refusal = ShortPath::of(&hopeless).expect_err("too long").to_string();
        assert!(refusal.contains("shorter path"), "{refusal}");
    }
}
