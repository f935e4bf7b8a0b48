//! Our own runbooks: every block typed at a shell or at psql, and what it prints compared with what it shows.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use jobforge::clock;
use testkit::postgres::find_binaries;

use super::blocks::{Block, Language};
use super::fleet::{ADMINISTRATOR, Fleet, OPERATOR};
use super::scenes::{self, Variables};
use super::transcript::{self, Step};
use super::verdict::Verdict;
use super::{processes, shell};
use crate::program::Home;
use crate::site::send;

/// How long a block may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where the runbooks' server listens.
const SERVER: &str = "http://127.0.0.1:8080";
/// Between a command's output and its exit code.
const MARK: char = '\u{1e}';

/// A reader who works through the runbooks, one block after the other.
pub(super) struct Reader {
    fleet: Fleet,
    /// What was last given, where, and what the blocks know it by.
    given: Option<(usize, String)>,
    variables: Variables,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { fleet: Fleet::of_ours(), given: None, variables: Variables::new() }
    }

    pub(super) fn verdict_of(&mut self, block: &Block) -> Verdict {
        Verdict::of(self.given_of(block).and_then(|()| self.run(block)))
    }

    /// Brings about what a block says is given.
    pub(super) fn given_of(&mut self, block: &Block) -> Result<(), String> {
        let given = block.given.as_ref().map(|(line, _)| (*line, block.book.clone()));
        if given != self.given {
            let what = block.given.as_ref().map(|(_, what)| what);
            self.variables = match what {
                Some(what) => scenes::set(&mut self.fleet, what)?,
                None => Variables::new(),
            };
            self.given = given;
        }
        Ok(())
    }

    /// Where the reader sits.
    pub(super) fn folder(&self) -> &Path {
        self.fleet.home.path()
    }

    /// Keeps a file there.
    pub(super) fn keep(&self, name: &str, text: &str) -> Result<String, String> {
        std::fs::write(self.folder().join(name), text).map_err(|error| format!("{name}: {error}"))?;
        Ok(format!("kept as {name}"))
    }

    /// Types a command that must succeed.
    pub(super) fn types(&self, command: &str) -> Result<String, String> {
        self.type_in(&[Step { command: command.to_owned(), shows: Vec::new() }])
    }

    fn run(&self, block: &Block) -> Result<String, String> {
        let shows: Vec<String> =
            block.shows.iter().flat_map(|text| text.lines().map(str::to_owned)).collect();
        match &block.language {
            Language::Console if block.shows.is_some() => {
                Err("what a console block prints belongs into it".to_owned())
            }
            Language::Console => self.type_in(&transcript::of(&block.text)?),
            Language::Shell if shell::assignments(&block.text).is_some() => {
                processes::environment(&self.fleet, &block.text)
            }
            Language::Shell => self.type_in(&[Step { command: block.text.clone(), shows }]),
            Language::Sql => {
                self.keep("block.sql", &block.text)?;
                let given: String = self
                    .variables
                    .iter()
                    .map(|(name, _)| format!(" -v {}=\"${name}\"", name.to_lowercase()))
                    .collect();
                let command = format!("psql -X -v ON_ERROR_STOP=1{given} -f block.sql \"$DATABASE_URL\"");
                self.type_in(&[Step { command, shows }])
            }
            Language::Text => Err("it shows the output of no command".to_owned()),
            other => Err(format!("nothing here can run {other:?}")),
        }
    }

    /// Types commands into one shell. Each must succeed, unless the next one asks for its exit code.
    fn type_in(&self, steps: &[Step]) -> Result<String, String> {
        let printed = self.shell(steps)?;
        let mut compared = 0;
        for (index, step) in steps.iter().enumerate() {
            let Some((text, code)) = printed.get(index) else {
                return Err(format!("the shell ended before `{}`", step.command));
            };
            let asked = steps.get(index + 1).is_some_and(|next| next.command == "echo $?");
            if *code != 0 && !asked {
                return Err(format!("`{}` ends with exit code {code}: {}", step.command, text.trim_end()));
            }
            if !step.shows.is_empty() {
                transcript::compare(&step.shows, text).map_err(|why| format!("`{}`: {why}", step.command))?;
                compared += 1;
            }
        }
        Ok(format!("{} command(s), {compared} output(s) as shown", steps.len()))
    }

    /// What each command prints on both streams, and its exit code.
    fn shell(&self, steps: &[Step]) -> Result<Vec<(String, i32)>, String> {
        self.fleet.write_logs();
        let home = self.folder();
        // curl tells of a refusal by its exit code, as a reader would see it in the answer; of its progress at no terminal.
        let mut script = "curl() { command curl --fail-with-body --no-progress-meter \"$@\"; }\n\
                          mark() { local code=$?; printf '\\036%s\\n' $code; return $code; }\n"
            .to_owned();
        for step in steps {
            script.push_str(&format!("{}\nmark\n", step.command.replace(SERVER, &self.fleet.url())));
        }
        // From a file, for `ps` shows arguments.
        self.keep("typed.sh", &script)?;
        let out = home.join("typed.out");
        let file = File::create(&out).map_err(|error| error.to_string())?;
        let both = file.try_clone().map_err(|error| error.to_string())?;
        let mut command = self.fleet.home.other("bash");
        let programs = find_binaries().map_err(|error| format!("{error:#}"))?.directory;
        let path =
            format!("{}:{}:/usr/local/bin:/usr/bin:/bin", Home::programs().display(), programs.display());
        command.arg("typed.sh").env("PATH", path).process_group(0);
        command.envs([("AUTH_TOKEN", OPERATOR), ("ADMIN_TOKEN", ADMINISTRATOR)]);
        // What programs of the SDKs look for.
        command.envs([("JOBFORGE_URL", self.fleet.url().as_str()), ("JOBFORGE_TOKEN", ADMINISTRATOR)]);
        // A busy machine is no part of what a block shows.
        command.env("JOBFORGE_SLOW_QUERY_MS", "60000");
        command.envs(self.variables.iter().cloned());
        let mut child = command.stdout(file).stderr(both).spawn().map_err(|error| error.to_string())?;
        let began = clock::monotonic();
        let ended = loop {
            match child.try_wait().map_err(|error| error.to_string())? {
                Some(_) => break true,
                None if clock::monotonic().duration_since(began) > PATIENCE => break false,
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        // What the block left running in the background ends with it.
        let _ = Command::new("kill")
            .args(["-KILL", "--", &format!("-{}", child.id())])
            .stderr(Stdio::null())
            .status();
        if !ended {
            send("-KILL", child.id());
            let _ = child.wait();
        }
        let text = std::fs::read(&out).map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&text).into_owned();
        if !ended {
            return Err(format!("it did not end within {} s: {text}", PATIENCE.as_secs()));
        }
        Ok(split(&text))
    }
}

fn split(text: &str) -> Vec<(String, i32)> {
    let mut parts = text.split(MARK);
    let mut output = parts.next().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for part in parts {
        let (code, next) = part.split_once('\n').unwrap_or((part, ""));
        found.push((std::mem::replace(&mut output, next.to_owned()), code.trim().parse().unwrap_or(-1)));
    }
    found
}

#[test]
fn the_output_of_each_command_is_told_from_the_next() {
    assert_eq!(
        split("a\n\u{1e}0\nb\n\u{1e}3\n\u{1e}0\n"),
        [("a\n".to_owned(), 0), ("b\n".to_owned(), 3), (String::new(), 0)]
    );
}
