//! The promises of the store on each engine, and the engines against each other.

mod corruption;
mod histories;
mod postgres;
mod sqlite;
mod surface;
