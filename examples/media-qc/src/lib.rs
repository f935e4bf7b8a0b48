//! Media quality control as a JobForge job: what one video or audio file is made of, and whether it is fit to deliver.
//!
//! Read in this order: the payload ([`job`]), the phases ([`pipeline`]), what each phase does ([`fetch`], [`container`],
//! [`probe`], [`analyze`]), and the verdict ([`report`]).

pub mod job;
pub mod settings;

pub mod pipeline;

pub mod analyze;
pub mod container;
pub mod fetch;
pub mod probe;
pub mod report;

pub mod child;
pub mod error;
pub mod guard;
pub mod measure;
pub mod reporter;
pub mod table;
pub mod worker;

pub use error::QcError;
pub use job::{Checks, MediaQc};
pub use report::Report;
pub use settings::Settings;
