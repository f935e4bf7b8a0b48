//! What was just done, told on the page that comes after it.

use url::form_urlencoded;

use super::act;
use super::visit::Visit;
use super::words::cut;

const DONE: &str = "done";
const TO: &str = "to";
const COUNT: &str = "count";

/// Whether a pair of an address belongs to a receipt.
pub(super) fn is_one(pair: &str) -> bool {
    [DONE, TO, COUNT].iter().any(|name| pair.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')))
}

/// A page's address with a receipt.
pub(super) fn with(back: &str, deed: &str, target: &str, count: Option<u64>) -> String {
    let (path, query) = back.split_once('?').unwrap_or((back, ""));
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty() && !is_one(pair)).collect();
    let mut told = form_urlencoded::Serializer::new(String::new());
    told.append_pair(DONE, deed).append_pair(TO, target);
    if let Some(count) = count {
        told.append_pair(COUNT, &count.to_string());
    }
    let mut pairs: Vec<String> = kept.into_iter().map(str::to_owned).collect();
    pairs.push(told.finish());
    format!("{path}?{}", pairs.join("&"))
}

/// The sentence of the receipt in an address, if what it says can be said: the words are ours, never the address's.
pub(super) fn read(visit: &Visit) -> Option<String> {
    let (deed, target) = (visit.param(DONE)?, visit.param(TO).unwrap_or_default());
    let target = cut(&target, 60);
    if let Some(count) = visit.param(COUNT).and_then(|count| count.parse::<u64>().ok()) {
        let did = match deed.as_str() {
            "retry" => "will run again",
            "cancel" => "were ended",
            "delete" => "were deleted",
            "dead-retry" => "will run again",
            "dead-discard" => "stay dead and are no longer listed",
            _ => return None,
        };
        return Some(format!("{count} jobs {did}. The audit log tells who, when and why."));
    }
    let deed = act::find(&deed)?;
    Some(format!("Done: {} {target}. The audit log tells who, when and why.", deed.past))
}
