//! What the keys do to what is shown. Nothing here draws or asks a database.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::pane::{Line, Pane, Target, counted_dead, short};
use super::seen::Seen;

/// What is on the screen besides what was seen.
#[derive(Debug)]
pub(super) struct Screen {
    pub(super) pane: Pane,
    /// The chosen line of each pane.
    chosen: [usize; Pane::ALL.len()],
    pub(super) filter: String,
    pub(super) mode: Mode,
    /// Whether what is shown stays as it is.
    pub(super) frozen: bool,
    /// What was done last, or why it could not be.
    pub(super) told: Option<String>,
}

/// What the keys are for at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    Look,
    /// Typing a filter.
    Filter,
    Help,
    /// A text over everything, and how far it is scrolled.
    Read {
        title: String,
        lines: Vec<String>,
        from: usize,
    },
    /// Something is about to be done.
    Confirm(Deed),
}

/// Something that `top` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    Cancel(jobforge::core::job::JobId),
    Retry(jobforge::core::job::JobId),
    RetryDead { group: String, count: u64 },
    Pause { queue: String, paused: bool },
    PauseSchedule { name: String, paused: bool },
    RunSchedule(String),
    Restart(jobforge::core::job::WorkerId),
}

impl Deed {
    pub(super) fn question(&self) -> String {
        match self {
            Self::Cancel(id) => format!("cancel job {}", short(*id)),
            Self::Retry(id) => format!("run job {} again from the beginning", short(*id)),
            Self::RetryDead { group, count } => {
                format!("run {} dead jobs of {group} again", counted_dead(*count))
            }
            Self::Pause { queue, paused: true } => format!("pause queue {queue}"),
            Self::Pause { queue, paused: false } => format!("resume queue {queue}"),
            Self::PauseSchedule { name, paused: true } => format!("pause schedule {name}"),
            Self::PauseSchedule { name, paused: false } => format!("resume schedule {name}"),
            Self::RunSchedule(name) => format!("run schedule {name} now"),
            Self::Restart(worker) => format!("let worker {worker} finish and restart"),
        }
    }
}

/// What a key asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    Nothing,
    Quit,
    /// A new look at once.
    Look,
    /// The story of a line.
    Explain(Target),
    Do(Deed),
}

impl Screen {
    pub(super) fn new() -> Self {
        Self {
            pane: Pane::Running,
            chosen: [0; Pane::ALL.len()],
            filter: String::new(),
            mode: Mode::Look,
            frozen: false,
            told: None,
        }
    }

    /// The chosen line of a pane with so many lines.
    pub(super) fn chosen(&self, pane: Pane, count: usize) -> Option<usize> {
        count.checked_sub(1).map(|last| self.slot(pane).min(last))
    }

    fn slot(&self, pane: Pane) -> usize {
        self.chosen.get(pane as usize).copied().unwrap_or_default()
    }

    fn choose(&mut self, line: usize) {
        if let Some(slot) = self.chosen.get_mut(self.pane as usize) {
            *slot = line;
        }
    }

    /// What a key does, given what is seen.
    pub(super) fn key(&mut self, key: KeyEvent, seen: Option<&Seen>) -> Ask {
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Ask::Quit;
        }
        self.told = None;
        match std::mem::replace(&mut self.mode, Mode::Look) {
            Mode::Look => self.look(key.code, seen),
            Mode::Filter => self.type_filter(key.code),
            Mode::Help => Ask::Nothing,
            Mode::Read { title, lines, from } => {
                let last = lines.len().saturating_sub(1);
                let from = match key.code {
                    KeyCode::Char('j') | KeyCode::Down => (from + 1).min(last),
                    KeyCode::Char('k') | KeyCode::Up => from.saturating_sub(1),
                    KeyCode::PageDown | KeyCode::Char(' ') => (from + 10).min(last),
                    KeyCode::PageUp => from.saturating_sub(10),
                    _ => return Ask::Nothing,
                };
                self.mode = Mode::Read { title, lines, from };
                Ask::Nothing
            }
            Mode::Confirm(deed) if key.code == KeyCode::Char('y') => Ask::Do(deed),
            Mode::Confirm(_) => {
                self.told = Some("nothing was done".to_owned());
                Ask::Nothing
            }
        }
    }

    fn type_filter(&mut self, key: KeyCode) -> Ask {
        match key {
            KeyCode::Enter => return Ask::Nothing,
            KeyCode::Esc => {
                self.filter.clear();
                return Ask::Nothing;
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(c) => self.filter.push(c),
            _ => {}
        }
        self.mode = Mode::Filter;
        Ask::Nothing
    }

    fn look(&mut self, key: KeyCode, seen: Option<&Seen>) -> Ask {
        let lines = seen.map(|seen| self.pane.lines(seen, &self.filter)).unwrap_or_default();
        let last = lines.len().saturating_sub(1);
        let here = self.slot(self.pane).min(last);
        match key {
            KeyCode::Char('q') => return Ask::Quit,
            KeyCode::Esc if self.filter.is_empty() => return Ask::Quit,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('?') => self.mode = Mode::Help,
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Char('r') => {
                self.frozen = !self.frozen;
                return Ask::Look;
            }
            KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => self.turn(1),
            KeyCode::BackTab | KeyCode::Left | KeyCode::Char('h') => self.turn(Pane::ALL.len() - 1),
            KeyCode::Char(digit @ '1'..='6') => {
                let pane = digit.to_digit(10).and_then(|n| Pane::ALL.get(n as usize - 1));
                self.pane = pane.copied().unwrap_or(self.pane);
            }
            KeyCode::Char('j') | KeyCode::Down => self.choose((here + 1).min(last)),
            KeyCode::Char('k') | KeyCode::Up => self.choose(here.saturating_sub(1)),
            KeyCode::PageDown | KeyCode::Char(' ') => self.choose((here + 10).min(last)),
            KeyCode::PageUp => self.choose(here.saturating_sub(10)),
            KeyCode::Char('g') | KeyCode::Home => self.choose(0),
            KeyCode::Char('G') | KeyCode::End => self.choose(last),
            KeyCode::Enter => {
                let target = lines.into_iter().nth(here).map_or(Target::Nothing, |line| line.target);
                return Ask::Explain(target);
            }
            KeyCode::Char(capital) if capital.is_ascii_uppercase() => self.propose(capital, lines.get(here)),
            _ => {}
        }
        Ask::Nothing
    }

    fn turn(&mut self, by: usize) {
        let next = (self.pane as usize + by) % Pane::ALL.len();
        self.pane = Pane::ALL.get(next).copied().unwrap_or(self.pane);
    }

    /// A capital letter changes something, and asks first.
    fn propose(&mut self, capital: char, line: Option<&Line>) {
        let target = line.map_or(&Target::Nothing, |line| &line.target);
        let deed = match (capital, target) {
            ('C', Target::Job(id)) => Deed::Cancel(*id),
            ('R', Target::Job(id)) => Deed::Retry(*id),
            ('R', Target::DeadGroup { group, count, .. }) => {
                Deed::RetryDead { group: group.clone(), count: *count }
            }
            ('P', Target::Queue { name, paused }) => Deed::Pause { queue: name.clone(), paused: !paused },
            ('P', Target::Schedule { name, paused }) => {
                Deed::PauseSchedule { name: name.clone(), paused: !paused }
            }
            ('N', Target::Schedule { name, .. }) => Deed::RunSchedule(name.clone()),
            ('S', Target::Worker(id)) => Deed::Restart(id.clone()),
            _ => {
                self.told = Some(format!("{capital} does nothing here; ? lists the keys"));
                return;
            }
        };
        self.mode = Mode::Confirm(deed);
    }
}
