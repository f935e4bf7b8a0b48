//! Runbooks: a page in Markdown, whose sections have blocks that say of themselves whether they read or mend.

use super::fence::{Part, anchor, parts};
use super::step::{Step, steps};

/// A runbook, or a section of one.
#[derive(Debug, Clone)]
pub struct Page {
    /// What it is asked for by.
    pub name: String,
    /// Its first heading.
    pub title: String,
    /// Alerts that lead to it, as `<!-- alert: NAME -->` says.
    pub alerts: Vec<String>,
    /// Where it comes from.
    pub origin: Origin,
    /// All of it.
    pub text: String,
    /// Its parts from one heading to the next.
    pub sections: Vec<Section>,
}

/// Where a page comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It ships with JobForge.
    BuiltIn,
    /// It is made from the table of alerts.
    Alert,
    /// It lies in a directory of the operator's.
    Own,
}

impl Origin {
    /// In words.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::BuiltIn => "built in",
            Self::Alert => "alert",
            Self::Own => "own",
        }
    }
}

/// A heading and what follows it.
#[derive(Debug, Clone)]
pub struct Section {
    /// What a link calls it.
    pub anchor: String,
    /// Its heading.
    pub title: String,
    /// Its text, the heading included.
    pub text: String,
    /// What its marked blocks say to do, in order.
    pub steps: Vec<Step>,
}

impl Page {
    /// Reads a page.
    ///
    /// # Errors
    /// A sentence with the line, when a block is never closed or marked with a word that nobody knows.
    pub fn read(name: &str, text: &str, origin: Origin) -> Result<Self, String> {
        let parts = parts(text)
            .map_err(|line| format!("runbook {name}: the block that begins in line {line} has no end"))?;
        let lines: Vec<&str> = text.lines().collect();
        let mut page = Self {
            name: name.to_owned(),
            title: String::new(),
            alerts: Vec::new(),
            origin,
            text: text.to_owned(),
            sections: Vec::new(),
        };
        let mut starts = Vec::new();
        for part in &parts {
            match part {
                Part::Line { number, text } => {
                    if let Some(heading) = text.strip_prefix('#') {
                        page.begin(heading.trim_start_matches('#').trim());
                        starts.push(number - 1);
                    } else if let Some(alert) = text.trim().strip_prefix("<!-- alert: ") {
                        page.alerts.push(alert.trim_end_matches("-->").trim().to_owned());
                    }
                }
                Part::Block { number, info, text } => {
                    let found = steps(info, text)
                        .map_err(|why| format!("runbook {name}, block in line {number}: {why}"))?;
                    if page.sections.is_empty() {
                        page.begin(name);
                        starts.push(0);
                    }
                    if let Some(section) = page.sections.last_mut() {
                        section.steps.extend(found);
                    }
                }
            }
        }
        let ends = starts.iter().skip(1).copied().chain([lines.len()]);
        for ((start, end), section) in starts.iter().zip(ends).zip(&mut page.sections) {
            section.text = lines.get(*start..end).unwrap_or_default().join("\n");
        }
        if page.title.is_empty() {
            name.clone_into(&mut page.title);
        }
        Ok(page)
    }

    fn begin(&mut self, heading: &str) {
        if self.title.is_empty() {
            heading.clone_into(&mut self.title);
        }
        self.sections.push(Section {
            anchor: anchor(heading),
            title: heading.to_owned(),
            text: String::new(),
            steps: Vec::new(),
        });
    }

    /// The page cut down to one section.
    pub fn only(mut self, anchor: &str) -> Option<Self> {
        self.sections.retain(|section| section.anchor == anchor);
        let section = self.sections.first()?;
        (self.title, self.text) = (section.title.clone(), section.text.clone());
        self.name = format!("{}#{anchor}", self.name);
        Some(self)
    }
}
