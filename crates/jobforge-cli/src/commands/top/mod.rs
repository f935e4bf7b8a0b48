//! `jobforge top`: the fleet in a terminal, looked at once a second.

mod draw;
mod events;
mod pane;
mod screen;
mod seen;
mod story;

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use anstream::adapter::strip_str;
use jobforge::core::dead::Pace;
use jobforge::core::job::JobId;
use jobforge::core::standing::Rules;
use jobforge::core::time::Now;
use jobforge::store::rows::DeadFilter;
use jobforge::{Client, DeadStep};
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use self::draw::{Picture, draw};
use self::pane::Target;
use self::screen::{Ask, Deed, Mode, Screen};
use self::seen::Seen;
use super::{Context, job_follow};
use crate::cli::TopArgs;
use crate::failure::{self, Failure};
use crate::output;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// How long a look may take before it is said that nothing answers.
const WITHIN: Duration = Duration::from_secs(5);

pub(crate) async fn run(context: Context, args: &TopArgs) -> Result<(), Failure> {
    if args.once {
        return once(context).await;
    }
    if context.json {
        return Err(Failure::usage("--json prints one look").hint("add --once"));
    }
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::usage("top draws on a terminal, and this is none")
            .hint("print one look with `jobforge top --once`, as JSON with --json"));
    }
    // Before the screen is taken, so that a wrong URL is told as ever.
    let eyes = Arc::new(Eyes::open(context).await?);
    let mut terminal = ratatui::try_init()
        .map_err(|error| Failure::new(failure::FAILED, format!("cannot draw on this terminal: {error}")))?;
    let outcome = watch(&eyes, &mut terminal).await;
    ratatui::restore();
    outcome
}

async fn once(context: Context) -> Result<(), Failure> {
    let json = context.json;
    let seen = Eyes::open(context).await?.look().await?;
    if json {
        return output::json(&seen);
    }
    output::say(&output::bold(seen.overview.level.words()));
    for trouble in &seen.overview.troubles {
        output::say(&format!("- {}", output::printable(&trouble.what)));
        output::say(&format!("  next: {}", output::printable(&trouble.next.what)));
        output::say(&format!("  {}", output::command(&output::printable(&trouble.command))));
    }
    for pane in pane::Pane::ALL {
        let lines = pane.lines(&seen, "");
        if lines.is_empty() {
            continue;
        }
        output::say("");
        output::say(&output::bold(pane.title()));
        let header: Vec<&str> = pane.columns().iter().map(|column| column.name).collect();
        output::table(&header, &[], lines.into_iter().map(|line| line.cells).collect());
    }
    Ok(())
}

/// Who looks, and acts.
struct Eyes {
    context: Context,
    client: Client,
}

impl Eyes {
    async fn open(context: Context) -> Result<Self, Failure> {
        let client = context.visit().await?;
        Ok(Self { context, client })
    }

    async fn look(&self) -> Result<Seen, Failure> {
        let look = async {
            let settings = self.context.settings_now(&self.client).await?;
            Seen::gather(&self.client, &settings).await
        };
        tokio::time::timeout(WITHIN, look).await.unwrap_or_else(|_| {
            let told = format!("the database has not answered within {} s", WITHIN.as_secs());
            Err(Failure::new(failure::UNREACHABLE, told))
        })
    }

    /// The story of a job in plain lines.
    async fn story(&self, id: JobId) -> Result<Mode, Failure> {
        let settings = self.context.settings_now(&self.client).await?;
        let standing = self.client.explain(id, &Rules::from_settings(&settings)).await?;
        let lines = job_follow::standing_lines(id, &standing);
        let lines = lines.iter().map(|line| strip_str(line).to_string()).collect();
        Ok(Mode::Read { title: format!("Job {id}"), lines, from: 0 })
    }

    async fn explain(&self, target: Target) -> Result<Option<Mode>, Failure> {
        match target {
            Target::Job(id) | Target::DeadGroup { sample: id, .. } => self.story(id).await.map(Some),
            Target::Queue { name, .. } => {
                read(&format!("Queue {name}"), story::queue(&self.client, &name).await)
            }
            Target::Worker(id) => read(&format!("Worker {id}"), story::worker(&self.client, &id).await),
            Target::Schedule { name, .. } => {
                read(&format!("Schedule {name}"), story::schedule(&self.client, &name).await)
            }
            Target::Nothing => Ok(None),
        }
    }

    /// Does it, and says that it is done.
    async fn act(&self, deed: Deed) -> Result<String, Failure> {
        let client = &self.client;
        let question = deed.question();
        match deed {
            Deed::Cancel(id) => client.cancel(id).await?,
            Deed::Retry(id) => client.retry(id).await?,
            Deed::RetryDead { group, .. } => {
                let filter = DeadFilter { group: Some(group), ..DeadFilter::default() };
                let tally = client.move_all_dead(&filter, &DeadStep::Retry, Pace::FULL, |_| true).await?;
                return Ok(format!("{} dead jobs run again", tally.done));
            }
            Deed::Pause { queue, paused } => {
                client.store().pause_queue(&queue, paused, client.by(), Now::Database).await?;
            }
            Deed::PauseSchedule { name, paused: true } => drop(client.pause_schedule(&name, None).await?),
            Deed::PauseSchedule { name, paused: false } => drop(client.resume_schedule(&name).await?),
            Deed::RunSchedule(name) => drop(client.run_schedule(&name, false).await?),
            Deed::Restart(worker) => {
                client.store().restart_workers(&[worker], client.by(), Now::Database).await?;
            }
        }
        Ok(format!("done: {question}"))
    }
}

fn read(title: &str, lines: Result<Vec<String>, Failure>) -> Result<Option<Mode>, Failure> {
    lines.map(|lines| Some(Mode::Read { title: output::printable(title), lines, from: 0 }))
}

/// What the screen has to hear of.
enum News {
    Typed(Event),
    Looked(Result<Box<Seen>, String>),
    /// What became of a deed, or why a story cannot be told.
    Told(String),
    Story(Mode),
}

async fn watch(eyes: &Arc<Eyes>, terminal: &mut ratatui::DefaultTerminal) -> Result<(), Failure> {
    let (teller, mut news) = mpsc::channel(16);
    read_keys(teller.clone());
    let look_now = Arc::new(Notify::new());
    let looking = tokio::spawn(keep_looking(Arc::clone(eyes), Arc::clone(&look_now), teller.clone()));
    let _until_the_end = AbortOnDrop(looking);
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut screen = Screen::new();
    let (mut seen, mut failed): (Option<Box<Seen>>, Option<String>) = (None, None);
    loop {
        let picture = Picture { screen: &screen, seen: seen.as_deref(), failed: failed.as_deref(), colour };
        terminal
            .draw(|frame| draw(frame, &picture))
            .map_err(|error| Failure::new(failure::FAILED, format!("cannot draw: {error}")))?;
        let ask = match news.recv().await {
            // The terminal is gone.
            None => return Ok(()),
            Some(News::Typed(Event::Key(key))) => screen.key(key, seen.as_deref()),
            Some(News::Typed(_)) => Ask::Nothing,
            Some(News::Looked(_)) if screen.frozen => Ask::Nothing,
            Some(News::Looked(Ok(new))) => {
                (seen, failed) = (Some(new), None);
                Ask::Nothing
            }
            Some(News::Looked(Err(why))) => {
                failed = Some(why);
                Ask::Nothing
            }
            Some(News::Told(told)) => {
                screen.told = Some(told);
                Ask::Look
            }
            Some(News::Story(mode)) => {
                screen.mode = mode;
                Ask::Nothing
            }
        };
        match ask {
            Ask::Nothing => {}
            Ask::Quit => return Ok(()),
            Ask::Look => look_now.notify_one(),
            Ask::Explain(target) => {
                let (eyes, teller) = (Arc::clone(eyes), teller.clone());
                tokio::spawn(async move {
                    let news = match eyes.explain(target).await {
                        Ok(Some(mode)) => News::Story(mode),
                        Ok(None) => return,
                        Err(error) => News::Told(error.into_message()),
                    };
                    let _ = teller.send(news).await;
                });
            }
            Ask::Do(deed) => {
                screen.told = Some(format!("{} …", deed.question()));
                let (eyes, teller) = (Arc::clone(eyes), teller.clone());
                tokio::spawn(async move {
                    let told = eyes.act(deed).await.unwrap_or_else(Failure::into_message);
                    let _ = teller.send(News::Told(told)).await;
                });
            }
        }
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Looks again and again, apart from the keys: a database that hangs must not make the screen hang.
async fn keep_looking(eyes: Arc<Eyes>, look_now: Arc<Notify>, teller: mpsc::Sender<News>) {
    loop {
        let looked = eyes.look().await.map(Box::new).map_err(Failure::into_message);
        if teller.send(News::Looked(looked)).await.is_err() {
            return;
        }
        let _ = tokio::time::timeout(EVERY, look_now.notified()).await;
    }
}

/// What is typed, read on a thread of its own, which ends with the process.
fn read_keys(teller: mpsc::Sender<News>) {
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let wanted = match &event {
                Event::Key(KeyEvent { kind, .. }) => *kind == KeyEventKind::Press,
                Event::Resize(..) => true,
                _ => false,
            };
            if wanted && teller.blocking_send(News::Typed(event)).is_err() {
                return;
            }
        }
    });
}
