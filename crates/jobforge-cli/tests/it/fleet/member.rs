//! The workers of a mixed fleet, and what is done to them.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::compose::{Foreign, sdks};
use crate::program::Running;
use crate::site::{Site, send};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Rust,
    Python,
    TypeScript,
}

/// Where the workers in other languages find their programs, their server and their token.
pub(super) struct Place {
    folder: PathBuf,
    url: String,
    token: String,
}

impl Drop for Place {
    /// A test that failed is explained by what the workers said last.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ =
                Command::new("sh").args(["-c", "tail -n 15 *.log >&2"]).current_dir(&self.folder).status();
        }
    }
}

impl Place {
    pub(super) fn prepare(site: &Site, url: &str, token: &str) -> Self {
        let installed = sdks();
        let folder = site.home.path().join("programs");
        std::fs::create_dir(&folder).unwrap();
        symlink(installed.join("typescript/node_modules"), folder.join("node_modules")).unwrap();
        symlink(installed.join("python/venv"), folder.join("venv")).unwrap();
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fleet");
        for program in ["work.py", "work.mjs"] {
            std::fs::copy(programs.join(program), folder.join(program)).unwrap();
        }
        Self { folder, url: url.to_owned(), token: token.to_owned() }
    }

    pub(super) fn authorization(&self) -> String {
        format!("Authorization: Bearer {}", self.token)
    }

    fn command(&self, language: Language) -> Command {
        let mut command = match language {
            Language::Python => {
                let mut python = Command::new(self.folder.join("venv/bin/python"));
                python.args(["-m", "jobforge", "worker", "work:app"]);
                python
            }
            Language::TypeScript => {
                let mut node = Command::new(self.folder.join("node_modules/.bin/jobforge-worker"));
                node.arg("./work.mjs");
                node
            }
            Language::Rust => unreachable!("a site starts these itself"),
        };
        command.args(["--concurrency", "4"]).current_dir(&self.folder).env_clear();
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", &self.folder);
        command.env("JOBFORGE_URL", &self.url).env("JOBFORGE_TOKEN", &self.token);
        command
    }
}

enum Process {
    /// A supervisor with its worker process.
    Supervised(Running),
    Plain(Foreign),
}

pub(super) struct Member {
    pub(super) language: Language,
    number: usize,
    process: Process,
}

impl Member {
    pub(super) fn start(site: &Site, place: &Place, language: Language, number: usize) -> Self {
        let process = match language {
            Language::Rust => Process::Supervised(site.work(&[])),
            Language::Python | Language::TypeScript => {
                let log = place.folder.join(format!("{language:?}-{number}.log"));
                let log = File::options().create(true).append(true).open(log).unwrap();
                let mut command = place.command(language);
                command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
                Process::Plain(Foreign(command.spawn().unwrap()))
            }
        };
        Self { language, number, process }
    }

    /// The process that runs jobs.
    pub(super) fn pid(&self) -> u32 {
        match &self.process {
            Process::Supervised(supervisor) => supervisor.worker_pid(),
            Process::Plain(child) => child.0.id(),
        }
    }

    /// kill -9 of the process that runs jobs. Its supervisor starts another, or we do.
    pub(super) fn kill(self, site: &Site, place: &Place) -> Self {
        let Self { language, number, process } = self;
        match process {
            Process::Supervised(supervisor) => {
                send("-KILL", supervisor.worker_pid());
                Self { language, number, process: Process::Supervised(supervisor) }
            }
            Process::Plain(child) => {
                child.kill();
                Self::start(site, place, language, number)
            }
        }
    }

    /// SIGTERM, and another one in its place; it must have ended well.
    pub(super) fn replace(self, site: &Site, place: &Place) -> Self {
        let (language, number) = (self.language, self.number);
        assert_eq!(self.terminate(), 0, "{language:?} {number}");
        Self::start(site, place, language, number)
    }

    /// SIGTERM; returns the exit code.
    pub(super) fn terminate(self) -> i32 {
        match self.process {
            Process::Supervised(supervisor) => supervisor.terminate(),
            Process::Plain(child) => child.terminate(),
        }
    }

    /// Starts one that ended by itself again, as a service manager would: a worker ends whose lease was lost while its
    /// handlers did not stop.
    pub(super) fn tend(self, site: &Site, place: &Place) -> Self {
        let Self { language, number, mut process } = self;
        if let Process::Plain(child) = &mut process
            && child.0.try_wait().unwrap().is_some()
        {
            return Self::start(site, place, language, number);
        }
        Self { language, number, process }
    }
}
