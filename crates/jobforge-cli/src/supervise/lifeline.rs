//! The worker's end of the string to its supervisor: its standard input.
//!
//! A line is an order. The end of the input means that the supervisor is gone, however that came to be: then the worker must
//! not go on, for nobody would see it die. This is read on a thread of its own, so that no handler can keep it from being
//! read, and unlike a parent-death signal it does not depend on which thread of the supervisor started the worker.

use std::time::Duration;

use jobforge::process;
use tokio::sync::watch;

use super::Order;
use crate::failure;

/// How long a worker whose supervisor is gone may take to give its jobs back.
const ORPHAN_GRACE: Duration = Duration::from_millis(1500);

/// Begins to listen for orders.
pub(crate) fn listen() -> std::io::Result<watch::Receiver<Order>> {
    let (sender, orders) = watch::channel(Order::Run);
    std::thread::Builder::new().name("lifeline".to_owned()).spawn(move || {
        for line in std::io::stdin().lines() {
            let order = match line.as_deref() {
                Ok("drain") => Order::Drain,
                Ok("now") => Order::Now,
                Ok(_) => continue,
                Err(_) => break,
            };
            sender.send_replace(order);
        }
        sender.send_replace(Order::Orphaned);
        std::thread::sleep(ORPHAN_GRACE);
        quit(failure::INTERRUPTED);
    })?;
    Ok(orders)
}

/// Ends this process at once and its jobs' programs before it.
#[expect(
    clippy::exit,
    reason = "handlers that do not stop must not go on, and nobody but the process can end them"
)]
pub(crate) fn quit(code: u8) -> ! {
    process::kill_children(None);
    std::process::exit(i32::from(code))
}
