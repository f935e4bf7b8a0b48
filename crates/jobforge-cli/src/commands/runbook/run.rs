//! Working through a runbook: reading steps are run and their results filled in; mending steps are shown with what they would
//! do, and done if that is wanted.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use clap::CommandFactory as _;
use jobforge::core::audit::Deed;
use jobforge::core::time::Now;
use jobforge::runbook::{Kind, NotRun, Origin, Page, Step, arguments};
use serde::Serialize;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use crate::cli::{Cli, Global, RunbookRunArgs};
use crate::commands::Context;
use crate::failure::{self, Failure};
use crate::output;

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Why a step was left that somebody was asked about. The next one is asked about all the same.
const NOT_WANTED: &str = "it was not wanted";
/// As much of its output as is kept, of each stream.
const LONGEST_OUTPUT: u64 = 64 * 1024;

/// What became of a step.
#[derive(Debug, Serialize)]
struct Done {
    section: String,
    kind: &'static str,
    command: String,
    /// `ran`, `previewed` or `left`.
    outcome: &'static str,
    /// Why it was left to a person.
    why: Option<String>,
    exit_code: Option<i32>,
    output: String,
}

/// A runbook that is being worked through.
pub(super) struct Reader<'a> {
    pub(super) context: &'a Context,
    pub(super) global: &'a Global,
    pub(super) page: &'a Page,
    pub(super) args: &'a RunbookRunArgs,
    pub(super) given: Vec<(String, String)>,
}

impl Reader<'_> {
    pub(super) async fn run(&self) -> Result<(), Failure> {
        let mends = self.steps().filter(|(_, step)| step.kind != Kind::Read).count();
        if self.args.yes && mends > 1 && !self.page.name.contains('#') && self.page.origin == Origin::BuiltIn
        {
            let message =
                format!("runbook {} mends many things; --yes is for one section of it", self.page.name);
            return Err(
                Failure::usage(message).hint("name one, as `jobforge runbook list` shows: NAME#SECTION")
            );
        }
        let mut all = Vec::new();
        let mut section = String::new();
        for (title, step) in self.steps() {
            if section != title {
                title.clone_into(&mut section);
                self.talk(&format!("\n{}", output::bold(title)));
            }
            let done = self.take(title, step).await?;
            all.push(done);
        }
        if all.is_empty() {
            self.talk("no block of it is marked with jobforge:read or jobforge:mend; read it with `jobforge runbook show`");
        }
        if self.context.json {
            output::json(&json!({ "runbook": self.page.name, "steps": all }))?;
        }
        let failed = |done: &&Done| done.kind != "read" && done.outcome == "ran" && done.exit_code != Some(0);
        match all.iter().find(failed) {
            None => Ok(()),
            Some(done) => {
                let message = format!("`{}` ended with {:?}", done.command, done.exit_code);
                Err(Failure::new(failure::FAILED, message))
            }
        }
    }

    fn steps(&self) -> impl Iterator<Item = (&str, &Step)> {
        self.page
            .sections
            .iter()
            .flat_map(|section| section.steps.iter().map(|step| (section.title.as_str(), step)))
    }

    fn talk(&self, text: &str) {
        if self.context.json { output::note(text) } else { output::say(text) }
    }

    async fn take(&self, section: &str, step: &Step) -> Result<Done, Failure> {
        let done = |outcome, why: Option<String>, exit_code, output: String| Done {
            section: section.to_owned(),
            kind: step.kind.as_str(),
            command: step.command.clone(),
            outcome,
            why,
            exit_code,
            output,
        };
        let left = |why: String| {
            self.talk(&format!("$ {}\n  {}", step.command, output::dim(&format!("left to you: {why}"))));
            done("left", Some(why), None, String::new())
        };
        if step.kind == Kind::Shell {
            return self.shell(step, left, done).await;
        }
        let words = match arguments(&step.command, &self.given) {
            Ok(words) => words,
            Err(NotRun::NotOurs) => return Ok(left("it is no plain jobforge command".to_owned())),
            Err(NotRun::Lacks(name)) => return Ok(left(format!("give it {name} with --set {name}=…"))),
        };
        let Some(known) = Known::of(&words) else {
            return Ok(left("this version of jobforge has no such command".to_owned()));
        };
        if step.kind == Kind::Read && !known.looks {
            return Ok(left("it is marked as reading, and changes something".to_owned()));
        }
        if known.looks && step.kind == Kind::Mend && self.args.dry_run {
            return Ok(left("it looks at what the steps before it would have changed".to_owned()));
        }
        if known.looks {
            self.talk(&format!("$ {}", output::command(&step.command)));
            let (code, text) = self.jobforge(&words).await?;
            self.fill_in(code, &text);
            return Ok(done("ran", None, code, text));
        }
        self.mend(step, &words, &known, done).await
    }

    /// Shows what a step would do, asks, does it, and writes that down.
    async fn mend(
        &self,
        step: &Step,
        words: &[String],
        known: &Known,
        done: impl Fn(&'static str, Option<String>, Option<i32>, String) -> Done,
    ) -> Result<Done, Failure> {
        self.talk(&format!("$ {}   {}", output::command(&step.command), output::dim("proposed")));
        let mut preview = String::new();
        if known.previews {
            let (code, text) = self.jobforge(&[words, &["--dry-run".to_owned()]].concat()).await?;
            self.fill_in(code, &text);
            preview = text;
        } else {
            self.talk(&format!("  {}", output::dim(&format!("effect: {}", known.about))));
        }
        if self.args.dry_run {
            return Ok(done("previewed", None, None, preview));
        }
        if !output::agrees("Do this?", self.args.yes)? {
            return Ok(done("left", Some(NOT_WANTED.to_owned()), None, preview));
        }
        let mut words = words.to_vec();
        if known.asks && !words.iter().any(|word| word == "--yes" || word == "-y") {
            words.push("--yes".to_owned());
        }
        let (code, text) = self.jobforge(&words).await?;
        self.fill_in(code, &text);
        self.write_down(step, code).await?;
        Ok(done("ran", None, code, text))
    }

    async fn shell(
        &self,
        step: &Step,
        left: impl Fn(String) -> Done,
        done: impl Fn(&'static str, Option<String>, Option<i32>, String) -> Done,
    ) -> Result<Done, Failure> {
        if self.page.origin != Origin::Own || !self.args.allow_shell {
            return Ok(left("it is for a shell; --allow-shell lets a runbook of your own run it".to_owned()));
        }
        self.talk(&format!("{}\n  {}", output::command(&step.command), output::dim("proposed, in a shell")));
        if self.args.dry_run {
            return Ok(done("previewed", None, None, String::new()));
        }
        if !output::agrees("Run this in a shell?", self.args.yes)? {
            return Ok(done("left", Some(NOT_WANTED.to_owned()), None, String::new()));
        }
        let mut command = Command::new("sh");
        command.args(["-eu", "-c", &step.command]);
        for (name, value) in &self.given {
            command.env(name, value);
        }
        let (code, text) = run(command).await?;
        self.fill_in(code, &text);
        self.write_down(step, code).await?;
        Ok(done("ran", None, code, text))
    }

    /// Runs this very program, with the same database and the reason for the audit log.
    async fn jobforge(&self, words: &[String]) -> Result<(Option<i32>, String), Failure> {
        let program: PathBuf = std::env::current_exe().map_err(|error| {
            Failure::new(failure::FAILED, format!("this program cannot be found again: {error}"))
        })?;
        let mut command = Command::new(program);
        command.args(words);
        // By the environment, for `ps` shows arguments.
        if let Some(url) = &self.global.database_url {
            command.env("DATABASE_URL", url);
        }
        if let Some(directory) = &self.global.data_dir {
            command.arg("--data-dir").arg(directory);
        }
        if let Some(file) = &self.global.config {
            command.arg("--config").arg(file);
        }
        if !words.iter().any(|word| word == "--reason") {
            let own = self.global.reason.clone().unwrap_or_else(|| format!("runbook {}", self.page.name));
            command.arg("--reason").arg(own);
        }
        run(command).await
    }

    fn fill_in(&self, code: Option<i32>, text: &str) {
        for line in text.lines() {
            self.talk(&format!("  {}", output::printable(line)));
        }
        if let Some(code) = code.filter(|code| *code != 0) {
            self.talk(&format!("  {}", output::dim(&format!("exit code {code}"))));
        }
    }

    async fn write_down(&self, step: &Step, code: Option<i32>) -> Result<(), Failure> {
        let client = self.context.visit().await?;
        let deed = Deed::new("runbook.run", self.page.name.clone())
            .changing(&serde_json::Value::Null, &json!({ "command": step.command, "exit_code": code }));
        Ok(client.store().note(client.by(), &[deed], Now::Database).await?)
    }
}

/// Both streams of a program, one after the other, and its exit code.
async fn run(mut command: Command) -> Result<(Option<i32>, String), Failure> {
    let fail =
        |error: std::io::Error| Failure::new(failure::FAILED, format!("a step cannot be run: {error}"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(fail)?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let read = async {
        let (out, err) = tokio::join!(read(out), read(err));
        let status = child.wait().await.map_err(fail)?;
        Ok::<_, Failure>((status.code(), format!("{}{}", out?, err?)))
    };
    let ended = tokio::time::timeout(PATIENCE, read).await;
    ended.unwrap_or_else(|_| {
        let message = format!("a step did not end within {} s and was stopped", PATIENCE.as_secs());
        Err(Failure::new(failure::TIMED_OUT, message))
    })
}

/// A stream to its end, of which as much is kept as may be.
async fn read(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> Result<String, Failure> {
    let Some(mut stream) = stream else { return Ok(String::new()) };
    let fail =
        |error: std::io::Error| Failure::new(failure::FAILED, format!("what a step says is lost: {error}"));
    let mut kept = Vec::new();
    (&mut stream).take(LONGEST_OUTPUT).read_to_end(&mut kept).await.map_err(fail)?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map_err(fail)?;
    Ok(String::from_utf8_lossy(&kept).into_owned())
}

/// The last words of commands that only look.
const LOOKS: [&str; 16] = [
    "list", "show", "status", "explain", "logs", "groups", "history", "wait", "get", "check", "rules",
    "verify", "next", "doctor", "version", "health",
];

/// What the command line knows of a command.
struct Known {
    about: String,
    /// It changes nothing.
    looks: bool,
    /// It can show what it would do.
    previews: bool,
    /// It asks before it does anything.
    asks: bool,
}

impl Known {
    fn of(words: &[String]) -> Option<Self> {
        let mut command = Cli::command();
        let mut depth = 0;
        for word in words {
            let Some(next) = command.find_subcommand(word) else { break };
            command = next.clone();
            depth += 1;
        }
        let has = |id: &str| command.get_arguments().any(|argument| argument.get_id() == id);
        let says = |flag: &str| words.iter().any(|word| word == flag);
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let looks = says("--dry-run") || LOOKS.contains(&command.get_name()) && !says("--fix");
        (depth > 0).then(|| Self { about, looks, previews: has("dry_run"), asks: has("yes") })
    }
}
