//! This process and others, as the operating system knows them: what proofs of death are made of.

mod below;
mod cpu;
mod identity;
mod oom;
mod slot;
mod stat;
mod tree;

pub use below::{Below, below, variable};
pub use cpu::cpu_time_with_children;
pub use identity::{hostname, is_stopped, of, own};
pub use oom::kernel_kills;
pub use slot::SlotLock;
pub use tree::{kill_children, reap_children, tree};
