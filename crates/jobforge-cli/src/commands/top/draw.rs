//! Drawing `top`. Nothing here decides anything but where things go.

use jobforge::core::overview::{Level, Trouble};
use jobforge::core::time::{since, words};
use ratatui::Frame;
use ratatui::layout::{Constraint, Flex, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Row, Table, TableState, Wrap};

use super::pane::{self, Pane, Tone};
use super::screen::{Mode, Screen};
use super::seen::Seen;
use crate::output::printable;

/// From this size on all panes are shown at once.
const WIDE: (u16, u16) = (120, 40);

const KEYS: [(&str, &str); 15] = [
    ("Tab, Shift-Tab, 1 to 6", "another pane"),
    ("j k, arrows, PgUp PgDn, g G", "another line"),
    ("Enter", "what is known of the line, and what happens next"),
    ("/", "only lines with a word in them; Esc shows all"),
    ("r", "freeze what is shown, or go on"),
    ("C", "cancel the running job"),
    ("R", "run the job again, or the dead jobs of this cause"),
    ("P", "pause or resume the queue or the schedule"),
    ("N", "run the schedule now"),
    ("S", "let the worker finish and restart"),
    ("?", "this list"),
    ("q, Esc, Ctrl-C", "leave"),
    ("", ""),
    ("", "Capital letters change something; each asks first, and"),
    ("", "the audit log says that it was you."),
];

/// What is drawn.
pub(super) struct Picture<'a> {
    pub(super) screen: &'a Screen,
    pub(super) seen: Option<&'a Seen>,
    /// Why there is nothing newer.
    pub(super) failed: Option<&'a str>,
    pub(super) colour: bool,
}

pub(super) fn draw(frame: &mut Frame<'_>, picture: &Picture<'_>) {
    let area = frame.area();
    let troubles = picture.seen.map_or(0, |seen| seen.overview.troubles.len());
    // Each trouble takes two lines; the panes get at least half.
    let most = usize::from(area.height / 4).max(1);
    let told = u16::try_from(troubles.min(most) * 2).unwrap_or(0);
    let rows = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(told),
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(1),
    ]);
    let [bar, trouble, counts, body, foot] = rows.areas(area);
    picture.verdict_bar(frame, bar);
    if let Some(seen) = picture.seen {
        picture.troubles(frame, trouble, seen);
        picture.counts(frame, counts, seen);
        if area.width >= WIDE.0 && area.height >= WIDE.1 {
            picture.all_panes(frame, body, seen);
        } else {
            picture.one_pane(frame, body, seen);
        }
    } else {
        let text = picture.failed.unwrap_or("looking at the database …");
        frame.render_widget(Paragraph::new(printable(text)), body);
    }
    picture.foot(frame, foot);
    match &picture.screen.mode {
        Mode::Help => picture.help(frame, area),
        Mode::Read { title, lines, from } => read(frame, area, title, lines, *from),
        Mode::Look | Mode::Filter | Mode::Confirm(_) => {}
    }
}

impl Picture<'_> {
    fn style(&self, tone: Tone) -> Style {
        match tone {
            Tone::Plain => Style::new(),
            Tone::Dim => Style::new().add_modifier(Modifier::DIM),
            Tone::Warn if self.colour => Style::new().fg(Color::Yellow),
            Tone::Bad if self.colour => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
            Tone::Warn => Style::new(),
            Tone::Bad => Style::new().add_modifier(Modifier::BOLD),
        }
    }

    /// One line that says whether anything is wrong.
    fn verdict_bar(&self, frame: &mut Frame<'_>, area: Rect) {
        let (mark, level) = match self.seen.map(|seen| seen.overview.level) {
            None => ("?", "Not known"),
            Some(level @ Level::Well) => ("●", level.words()),
            Some(level @ Level::Mending) => ("◆", level.words()),
            Some(level @ Level::Act) => ("▲", level.words()),
        };
        let colour = match self.seen.map(|seen| seen.overview.level) {
            Some(Level::Well) => Color::Green,
            Some(Level::Mending) | None => Color::Yellow,
            Some(Level::Act) => Color::Red,
        };
        let base = Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD);
        let style = if self.colour { base.fg(colour) } else { base };
        let state = match (self.failed, self.screen.frozen) {
            (Some(_), _) => "  NO ANSWER SINCE",
            (None, true) => "  FROZEN AT",
            (None, false) => "  as of",
        };
        let when =
            self.seen.map_or(String::new(), |seen| format!("{state} {}  ", seen.as_of.strftime("%H:%M:%S")));
        let left = format!(" {mark} {}", level.to_uppercase());
        let place = self.seen.map_or(String::new(), |seen| format!("   {}", printable(&seen.database)));
        let room = usize::from(area.width).saturating_sub(left.chars().count() + when.chars().count());
        let place: String = place.chars().take(room).collect();
        let text = format!("{left}{place:<room$}{when}");
        frame.render_widget(Paragraph::new(text).style(style), area);
    }

    fn troubles(&self, frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
        let fit = usize::from(area.height) / 2;
        let mut lines = Vec::new();
        let all = seen.overview.troubles.len() + seen.overview.more;
        for (n, trouble) in seen.overview.troubles.iter().take(fit).enumerate() {
            let left_out = if n + 1 == fit { all.saturating_sub(fit) } else { 0 };
            lines.extend(self.trouble(trouble, seen, left_out));
        }
        frame.render_widget(Paragraph::new(lines), area);
    }

    fn trouble(&self, trouble: &Trouble, seen: &Seen, left_out: usize) -> [Line<'static>; 2] {
        let (mark, tone) =
            if trouble.level == Level::Act { ("▌▲ ", Tone::Bad) } else { ("▌◆ ", Tone::Warn) };
        let more = if left_out > 0 { format!("   (and {left_out} more)") } else { String::new() };
        let what = format!("{mark}{}{more}", printable(&trouble.what));
        let when = match trouble.next.at {
            Some(at) if at > seen.as_of => format!(" in {}", words(since(at, seen.as_of))),
            Some(_) => " at any moment".to_owned(),
            None => String::new(),
        };
        let next = format!("▌  next: {}{when}", printable(&trouble.next.what));
        let command = format!("   {}", printable(&trouble.command));
        let cyan = if self.colour { Style::new().fg(Color::Cyan) } else { Style::new() };
        [
            Line::styled(what, self.style(tone)),
            Line::from(vec![Span::styled(next, self.style(Tone::Dim)), Span::styled(command, cyan)]),
        ]
    }

    fn counts(&self, frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
        let count = |status: &str| seen.counts.get(status).copied().unwrap_or_default();
        let live = seen.workers.iter().filter(|worker| worker.is_active && worker.is_well).count();
        let text = format!(
            " queued {}  running {}  workers {live}   last day: {} succeeded, {} failed, {} dead, {} canceled",
            count("queued"),
            count("running"),
            count("succeeded"),
            count("failed"),
            count("dead"),
            count("canceled"),
        );
        frame.render_widget(Paragraph::new(text).style(Style::new().add_modifier(Modifier::BOLD)), area);
    }

    fn all_panes(&self, frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
        let [top, middle, bottom] =
            Layout::vertical([Constraint::Fill(4), Constraint::Fill(3), Constraint::Fill(3)]).areas(area);
        let halves = || Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).spacing(1);
        let [queues, workers] = halves().areas(middle);
        let [schedules, right] = halves().areas(bottom);
        let [dead, events] = Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(right);
        let places = [top, queues, workers, schedules, dead, events];
        for (pane, place) in Pane::ALL.into_iter().zip(places) {
            let [title, table] = Layout::vertical([Constraint::Length(1), Constraint::Min(1)]).areas(place);
            let lines = pane.lines(seen, &self.screen.filter);
            frame.render_widget(Paragraph::new(self.title(pane, lines.len())), title);
            self.table(frame, table, pane, &lines);
        }
    }

    fn one_pane(&self, frame: &mut Frame<'_>, area: Rect, seen: &Seen) {
        let [tabs, table] = Layout::vertical([Constraint::Length(1), Constraint::Min(1)]).areas(area);
        let mut spans = Vec::new();
        for pane in Pane::ALL {
            spans.extend(self.title(pane, pane.lines(seen, &self.screen.filter).len()).spans);
            spans.push(Span::raw(" "));
        }
        frame.render_widget(Paragraph::new(Line::from(spans)), tabs);
        self.table(frame, table, self.screen.pane, &self.screen.pane.lines(seen, &self.screen.filter));
    }

    fn title(&self, pane: Pane, count: usize) -> Line<'static> {
        let style = if pane == self.screen.pane {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new().add_modifier(Modifier::DIM)
        };
        Line::from(Span::styled(format!("{} {} {count}", pane as usize + 1, pane.title()), style))
    }

    fn table(&self, frame: &mut Frame<'_>, area: Rect, pane: Pane, lines: &[pane::Line]) {
        let mut room = area.width;
        let mut columns = pane.columns();
        let fit = columns.iter().take_while(|column| {
            let fits = column.width <= room;
            room = room.saturating_sub(column.width + 1);
            fits
        });
        let fit = fit.count().max(1);
        columns.truncate(fit);
        let widths = columns.iter().map(|column| {
            if column.grows { Constraint::Fill(column.width) } else { Constraint::Length(column.width) }
        });
        let header = Row::new(columns.iter().map(|column| column.name));
        let header = header.style(Style::new().add_modifier(Modifier::DIM));
        let rows = lines.iter().map(|line| {
            Row::new(line.cells.iter().take(fit).map(String::as_str)).style(self.style(line.tone))
        });
        let focused = pane == self.screen.pane;
        let chosen = if focused { Modifier::REVERSED } else { Modifier::empty() };
        let table = Table::new(rows, widths)
            .header(header)
            .column_spacing(1)
            .row_highlight_style(Style::new().add_modifier(chosen));
        let mut state = TableState::new().with_selected(self.screen.chosen(pane, lines.len()));
        frame.render_stateful_widget(table, area, &mut state);
    }

    /// What the keys are for, or what was just done.
    fn foot(&self, frame: &mut Frame<'_>, area: Rect) {
        let screen = self.screen;
        let (text, tone) = match (&screen.mode, &screen.told, self.failed) {
            (Mode::Confirm(deed), ..) => {
                (format!(" {}? y does it, any other key does not", deed.question()), Tone::Warn)
            }
            (Mode::Filter, ..) => {
                (format!(" /{}_   Enter keeps it, Esc shows all", screen.filter), Tone::Plain)
            }
            (_, Some(told), _) => (format!(" {told}"), Tone::Warn),
            (_, None, Some(failed)) => (format!(" {failed}"), Tone::Bad),
            (_, None, None) => {
                let filter = if screen.filter.is_empty() {
                    String::new()
                } else {
                    format!("only /{}   ", screen.filter)
                };
                let keys = "? keys  Tab pane  Enter more  / filter  r freeze  q leave";
                (format!(" {filter}{keys}"), Tone::Dim)
            }
        };
        frame.render_widget(Paragraph::new(printable(&text)).style(self.style(tone)), area);
    }

    fn help(&self, frame: &mut Frame<'_>, area: Rect) {
        let lines: Vec<String> = KEYS.iter().map(|(keys, what)| format!("{keys:<28} {what}")).collect();
        read(frame, area, "Keys", &lines, 0);
    }
}

/// A text over everything else.
fn read(frame: &mut Frame<'_>, area: Rect, title: &str, lines: &[String], from: usize) {
    let text: Vec<Line<'_>> = lines.iter().skip(from).map(|line| Line::from(line.as_str())).collect();
    let width = if area.width < WIDE.0 { area.width } else { WIDE.0 };
    let inner = usize::from(width.saturating_sub(2)).max(1);
    let wrapped: usize = text.iter().map(|line| line.width().div_ceil(inner).max(1)).sum();
    let height = u16::try_from(wrapped).unwrap_or(u16::MAX).saturating_add(2);
    let [place] = Layout::vertical([Constraint::Length(height)]).flex(Flex::Center).areas(area);
    let [place] = Layout::horizontal([Constraint::Length(width)]).flex(Flex::Center).areas(place);
    let block =
        Block::bordered().title(format!(" {title} ")).title_bottom(" any key closes, j and k scroll ");
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: false }).block(block), place);
}
