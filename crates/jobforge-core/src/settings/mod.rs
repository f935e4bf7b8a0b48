//! Every setting once: its key, the environment names it answers to with their units, its default, range and meaning.
//!
//! Several runbooks name the same setting in different units (`CHECK_INTERVAL` in seconds,
//! `WATCHDOG_CHECK_INTERVAL_MS`); both resolve to one value, and disagree only with an error that shows both.
//! Order of strength: command-line flag, environment, file, stored, default.

mod change;
mod groups;
mod registry;
mod resolve;
mod setting;

pub use change::{Change, ChangeRefused, Stored, StoredSetting, check_changes, flag_key, flag_name};
pub use groups::GROUPS;
pub use registry::SETTINGS;
pub use resolve::{Layers, Resolved, SettingError, Settings, Source, resolve};
pub use setting::{Effect, EnvName, Kind, Setting, Unit};
