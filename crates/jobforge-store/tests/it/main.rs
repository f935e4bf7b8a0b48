//! The promises of the store on each engine, and the engines against each other.

mod corruption;
mod histories;
mod json;
mod postgres;
mod schedules_held;
mod sqlite;
mod surface;
