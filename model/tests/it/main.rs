//! Explores the protocol and each of its broken variants to the end.

#![expect(clippy::print_stdout, reason = "how much was explored, and what broke, is worth a line")]

mod broken;
mod explore;
mod safe;
