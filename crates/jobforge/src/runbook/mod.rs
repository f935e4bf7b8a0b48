//! Runbooks: pages that say what to do, whose marked blocks programs understand.
//!
//! The command line works through them with whoever reads, the dashboard shows them with what it knows itself.

pub mod fence;
mod page;
pub mod shelf;
mod step;

pub use page::{Origin, Page, Section};
pub use shelf::ShelfError;
pub use step::{Kind, NotRun, Step, arguments, steps};
