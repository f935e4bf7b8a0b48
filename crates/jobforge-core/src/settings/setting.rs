//! What a setting is.

/// The unit in which an environment variable is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// As it is.
    Plain,
    /// Milliseconds.
    Milliseconds,
    /// Seconds; fractions are allowed.
    Seconds,
    /// Minutes; fractions are allowed.
    Minutes,
}

/// A name under which the environment may set a value.
#[derive(Debug, Clone, Copy)]
pub struct EnvName {
    /// The variable.
    pub name: &'static str,
    /// How its number is to be read.
    pub unit: Unit,
}

/// What kind of value a setting has; numbers carry their range in the unit of the key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A whole number of milliseconds.
    Millis {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A whole number.
    Integer {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A number with a fraction.
    Decimal {
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
    },
    /// `true` or `false`.
    Flag,
    /// One of the words.
    Word(&'static [&'static str]),
    /// Any text.
    Text,
    /// Words separated by commas.
    List,
    /// `name=word` separated by commas, each word one of these.
    Words(&'static [&'static str]),
    /// `name=number` separated by commas; milliseconds where the key ends so.
    MillisByName {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// Text that must never be shown.
    Secret,
}

/// Whether a stored value counts, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It counts on every process within seconds.
    Live,
    /// It counts for processes that start afterwards.
    Restart,
    /// It cannot be stored: it differs from machine to machine, is a secret, or is a fence that only who runs the process
    /// may move.
    Local,
}

impl Effect {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Restart => "restart",
            Self::Local => "local",
        }
    }
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name in files, the API and stored values; ends in its unit.
    pub key: &'static str,
    /// The environment variables that set it.
    pub env: &'static [EnvName],
    /// What values it takes.
    pub kind: Kind,
    /// What it is if nothing sets it; empty is unset.
    pub default: &'static str,
    /// Whether a stored value counts, and when.
    pub effect: Effect,
    /// What it means.
    pub doc: &'static str,
}
