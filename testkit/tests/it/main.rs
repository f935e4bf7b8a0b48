//! The simulation: what must survive everything, and that it would be noticed if it did not.

mod broken;
mod seeds;
