//! Payloads, results and what else is JSON as people see it: values whose key names a secret are hidden.
//!
//! A worker is given everything; this is for views. The text is walked once and copied but for what is hidden, so no
//! number is rounded, no key moves, and a large payload takes time in proportion to its size. Hidden as well: who and with which
//! password in addresses (`postgres://user:password@host`), their parameters that are named so, and all of this within
//! JSON that is kept as a string, as the bodies of HTTP answers are. What cannot be known is a secret under a harmless
//! name, or in the midst of a sentence.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::audit::Entry;
use crate::job::{Attempt, ErrorInfo, Job};
use crate::json::end_of_string;
use crate::payload::Payload;
use crate::payload_match::PayloadMatch;
use crate::schedule::Definition;
use crate::settings::Settings;

/// What stands in a secret's place.
pub const REDACTED: &str = "[redacted]";

/// The setting that names more keys.
pub(crate) const REDACT_KEYS: &str = "redact_keys";

/// What the keys of secrets are called, in the singular. `api_key` is also `apiKey`, `API-KEY` and `stripe.apikey_live`.
pub const SECRET_KEYS: [&str; 21] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "jwt",
    "authorization",
    "cookie",
    "credential",
    "api key",
    "access key",
    "account key",
    "auth key",
    "private key",
    "signing key",
    "signature key",
    "encryption key",
    "shared key",
    "connection string",
];

/// Where a key ends in one of these, it tells something about the secret that it names, and the value is shown:
/// `secret_ref`, `credential_id`, `token_count`.
pub const TELLS_ABOUT: [&str; 50] = [
    "age",
    "algorithm",
    "arn",
    "at",
    "bucket",
    "budget",
    "column",
    "cost",
    "count",
    "counts",
    "date",
    "detail",
    "details",
    "dir",
    "directory",
    "endpoint",
    "expiration",
    "expires",
    "expiry",
    "field",
    "file",
    "folder",
    "format",
    "id",
    "ids",
    "issuer",
    "kind",
    "label",
    "length",
    "limit",
    "name",
    "names",
    "path",
    "policy",
    "prefix",
    "price",
    "provider",
    "ref",
    "reference",
    "refs",
    "scope",
    "scopes",
    "size",
    "source",
    "status",
    "ttl",
    "type",
    "uri",
    "url",
    "used",
];

/// A shorter name is only found as a word of its own: the end of a longer word would be found everywhere.
const NAME_WITHIN: usize = 5;
/// JSON in strings in JSON: what is deeper is left as it is.
const TEXTS_IN_TEXTS: usize = 3;

/// The longest object that can be a reference to a secret.
const MAX_REFERENCE_BYTES: usize = 1000;

/// A text without secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redacted {
    /// The text to show.
    pub text: String,
    /// How many values were hidden.
    pub hidden: usize,
}

/// That values are hidden, in words; empty where none is.
pub fn told(hidden: usize) -> String {
    match hidden {
        0 => String::new(),
        1 => "1 value is hidden".to_owned(),
        many => format!("{many} values are hidden"),
    }
}

/// Hides what is secret.
#[derive(Debug, Clone)]
pub struct Redactor {
    names: Vec<Name>,
}

/// A name that keys are compared with.
#[derive(Debug, Clone)]
struct Name {
    words: Vec<String>,
    /// The words without anything between them.
    joined: String,
}

impl Name {
    fn of(text: &str) -> Self {
        let words = words(text);
        Self { joined: words.concat(), words }
    }

    /// How many of the first words of a key are this name; the first alone may be a longer one that ends with it.
    fn begins(&self, key: &[String]) -> Option<usize> {
        let first = key.first()?;
        let ends = |word: &str| {
            word == self.joined || (self.joined.len() >= NAME_WITHIN && word.ends_with(&self.joined))
        };
        if ends(first) || ends(singular(first)) {
            return Some(1);
        }
        let are = |(word, own): (&String, &String)| word == own || singular(word) == own;
        let is_whole = key.len() >= self.words.len() && key.iter().zip(&self.words).all(are);
        is_whole.then_some(self.words.len())
    }
}

/// What a key says of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Says {
    /// It is shown.
    Nothing,
    /// Several tokens: a number of them is a count, as language models do.
    SecretUnlessNumber,
    /// It is hidden.
    Secret,
}

/// Whether a text names a key at all, as each item of the setting `redact_keys` must.
pub(crate) fn names_a_key(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

impl Redactor {
    /// Knows [`SECRET_KEYS`] and these names besides.
    pub fn new(more: &[String]) -> Self {
        let more = more.iter().map(String::as_str).filter(|name| names_a_key(name));
        Self { names: SECRET_KEYS.into_iter().chain(more).map(Name::of).collect() }
    }

    /// Knows the names of the setting `redact_keys` besides.
    pub fn of_settings(settings: &Settings) -> Self {
        Self::new(&settings.list(REDACT_KEYS))
    }

    /// Whether the value of this key is a secret.
    pub fn is_secret(&self, key: &str) -> bool {
        self.says(key) > Says::Nothing
    }

    /// Why a place may not be searched by whoever is not shown what stands there: a search that finds something tells it.
    ///
    /// # Errors
    /// When a key of the path names a secret.
    pub fn allow_search(&self, asked: &PayloadMatch) -> Result<(), String> {
        match asked.path().iter().find(|step| self.is_secret(step)) {
            Some(step) => Err(format!(
                "asks for {step:?}, which names a secret; a token that may enqueue can search for it"
            )),
            None => Ok(()),
        }
    }

    /// JSON without secrets. Null, `true` and `false` are never hidden: they tell whether there is one. Text that is no
    /// JSON passes as far as it looks like it.
    pub fn json(&self, text: &str) -> Redacted {
        self.json_within(text, TEXTS_IN_TEXTS)
    }

    /// Hides in a payload; returns how many values.
    pub fn payload(&self, payload: &mut Payload) -> usize {
        let Redacted { text, hidden } = self.json(payload.as_str());
        if hidden > 0 {
            *payload = Payload::from_stored(text);
        }
        hidden
    }

    /// Hides in a value; returns how many.
    pub fn value(&self, value: &mut Value) -> usize {
        let Redacted { text, hidden } = self.json(&value.to_string());
        if hidden > 0 {
            // What was JSON still is.
            *value = serde_json::from_str(&text).unwrap_or_else(|_| Value::String(REDACTED.to_owned()));
        }
        hidden
    }

    /// Hides in the details of an error; its message is the handler's own sentence.
    pub fn error(&self, error: &mut ErrorInfo) -> usize {
        error.details.as_mut().map_or(0, |details| self.value(details))
    }

    /// Hides in all that a job holds; returns how many values.
    pub fn job(&self, job: &mut Job) -> usize {
        let checkpoint = job.checkpoint.as_mut().map_or(0, |checkpoint| self.value(checkpoint));
        let error = job.error.as_mut().map_or(0, |error| self.error(error));
        self.payload(&mut job.payload) + checkpoint + error
    }

    /// Hides in what an attempt ended with.
    pub fn attempt(&self, attempt: &mut Attempt) -> usize {
        attempt.error.as_mut().map_or(0, |error| self.error(error))
    }

    /// Hides in the payload of a schedule.
    pub fn definition(&self, definition: &mut Definition) -> usize {
        definition.payload.as_mut().map_or(0, |payload| self.payload(payload))
    }

    /// Hides in what an entry of the audit log says of before and after. Its hash is still that of the whole.
    pub fn entry(&self, entry: &mut Entry) {
        for text in [&mut entry.before, &mut entry.after].into_iter().flatten() {
            *text = self.json(text).text;
        }
    }

    fn json_within(&self, text: &str, texts: usize) -> Redacted {
        let bytes = text.as_bytes();
        let mut shown = Redacted { text: String::with_capacity(text.len()), hidden: 0 };
        // Lists of objects have the same keys over and over.
        let mut known: HashMap<&str, Says> = HashMap::new();
        let (mut at, mut copied) = (0, 0);
        while let Some(found) = bytes[at..].iter().position(|byte| *byte == b'"') {
            let begin = at + found;
            let end = end_of_string(bytes, begin + 1);
            let behind = after_space(bytes, end);
            // Only behind a key stands a colon.
            let hidden = if bytes.get(behind) == Some(&b':') {
                let key = &text[begin..end];
                let says = *known.entry(key).or_insert_with(|| self.says(&unescaped(key)));
                at = after_space(bytes, behind + 1);
                let instead = || Redacted { text: format!("\"{REDACTED}\""), hidden: 1 };
                let place = to_hide(says, bytes, at).filter(|place| !is_reference(&text[place.clone()]));
                place.map(|place| (place, instead()))
            } else {
                at = end;
                self.string(&text[begin..end], texts).map(|instead| (begin..end, instead))
            };
            let Some((place, instead)) = hidden else { continue };
            shown.text.push_str(&text[copied..place.start]);
            shown.text.push_str(&instead.text);
            shown.hidden += instead.hidden;
            (at, copied) = (place.end, place.end);
        }
        shown.text.push_str(&text[copied..]);
        shown
    }

    /// A string of JSON, quotation marks and all, if something in it is hidden.
    fn string(&self, quoted: &str, texts: usize) -> Option<Redacted> {
        if !quoted.contains("//") && !quoted.contains('\\') {
            return None;
        }
        let text = unescaped(quoted);
        let found = if texts > 0 && is_json(&text) {
            Some(self.json_within(&text, texts - 1)).filter(|found| found.hidden > 0)
        } else {
            self.addresses(&text)
        };
        found.map(|found| Redacted { text: Value::String(found.text).to_string(), ..found })
    }

    /// A text with addresses in it, if something in them is hidden.
    fn addresses(&self, text: &str) -> Option<Redacted> {
        let mut shown = Redacted::default();
        let (mut at, mut copied) = (0, 0);
        while let Some(found) = text[at..].find(BEGINS) {
            at += found + BEGINS.len();
            // Up to the next one at most, so that every piece is looked at once.
            let piece = &text[at..text[at..].find(BEGINS).map_or(text.len(), |next| at + next)];
            let address = &piece[..piece.find(ends_address).unwrap_or(piece.len())];
            for place in self.secrets_of(address) {
                shown.text.push_str(&text[copied..at + place.start]);
                shown.text.push_str(REDACTED);
                shown.hidden += 1;
                copied = at + place.end;
            }
        }
        shown.text.push_str(&text[copied..]);
        (shown.hidden > 0).then_some(shown)
    }

    /// Where secrets are in an address behind its `://`, in order.
    fn secrets_of(&self, address: &str) -> Vec<Range<usize>> {
        let slash = address.find(['/', '?', '#']).unwrap_or(address.len());
        let host = &address[..slash];
        // Passwords may hold such a sign although they should not; what stands before it is no port then.
        let port = host
            .rsplit_once(':')
            .map(|(_, port)| port)
            .filter(|_| !host.contains('@') && !host.starts_with('['));
        let is_odd = port.is_some_and(|port| !port.bytes().all(|byte| byte.is_ascii_digit()));
        let user = if is_odd { address.rfind('@') } else { host.rfind('@') };
        let mut places: Vec<Range<usize>> = user.into_iter().map(|end| 0..end).collect();
        let mut at = user.unwrap_or_default();
        for pair in address[at..].split(['?', '#', '&', ';']) {
            if let Some((name, value)) = pair.split_once('=')
                && self.is_secret(name)
            {
                places.push(at + pair.len() - value.len()..at + pair.len());
            }
            at += pair.len() + 1;
        }
        places.retain(|place| !matches!(&address[place.clone()], "" | REDACTED));
        places
    }

    fn says(&self, key: &str) -> Says {
        let words = words(key);
        // `pass_word` and `PassWord` are what they are without what stands between.
        let whole = [words.concat()];
        let within = (0..words.len()).map(|begin| self.says_from(&words[begin..]));
        within.chain([self.says_from(&whole)]).max().unwrap_or(Says::Nothing)
    }

    /// What a key says that begins with one of the names.
    fn says_from(&self, key: &[String]) -> Says {
        let says = |name: &Name| {
            let length = name.begins(key)?;
            let tells_about = key[length..].last().is_some_and(|last| TELLS_ABOUT.contains(&last.as_str()));
            (!tells_about).then(|| match key[length - 1].ends_with("tokens") {
                true => Says::SecretUnlessNumber,
                false => Says::Secret,
            })
        };
        self.names.iter().filter_map(says).max().unwrap_or(Says::Nothing)
    }
}

/// What stands between the scheme of an address and the rest.
const BEGINS: &str = "://";

fn ends_address(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`' | '\\')
}

/// The words of a key in lower case: `stripe-apiKey.live` has four.
fn words(key: &str) -> Vec<String> {
    let chars: Vec<char> = key.chars().collect();
    let mut words = vec![String::new()];
    for (place, c) in chars.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|before| chars.get(before));
        let after_small = before.is_some_and(|before| !before.is_uppercase());
        let before_small = chars.get(place + 1).is_some_and(|after| after.is_lowercase());
        let begins = !c.is_alphanumeric() || (c.is_uppercase() && (after_small || before_small));
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A word without the number or the `s` behind it: `password2`, `cookies`.
fn singular(word: &str) -> &str {
    let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
    match word.strip_suffix('s') {
        Some(one) if !one.ends_with('s') => one,
        _ => word,
    }
}

/// What a quoted string of JSON says.
fn unescaped(quoted: &str) -> Cow<'_, str> {
    let inside = quoted.strip_prefix('"').unwrap_or(quoted);
    let inside = inside.strip_suffix('"').unwrap_or(inside);
    if !inside.contains('\\') {
        return Cow::Borrowed(inside);
    }
    serde_json::from_str(quoted).map_or(Cow::Borrowed(inside), Cow::Owned)
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn after_space(bytes: &[u8], at: usize) -> usize {
    let space = bytes[at.min(bytes.len())..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    at + space
}

/// The place of a value that begins here, if it is to be hidden.
fn to_hide(says: Says, bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let first = *bytes.get(at)?;
    let is_shown = match says {
        Says::Nothing => true,
        Says::SecretUnlessNumber => matches!(first, b'n' | b't' | b'f' | b'-' | b'0'..=b'9'),
        Says::Secret => matches!(first, b'n' | b't' | b'f'),
    };
    let place = at..if is_shown { at } else { end_of_value(bytes, at) };
    let inside = bytes.get(place.start + 1..place.end.saturating_sub(1));
    (!is_shown && inside != Some(REDACTED.as_bytes())).then_some(place)
}

/// Whether a value names a secret of the worker in place of one, as connectors take it:
/// `{"secret_ref": "billing-key", "format": "Bearer {}"}`.
fn is_reference(value: &str) -> bool {
    if value.len() > MAX_REFERENCE_BYTES || !value.starts_with('{') {
        return false;
    }
    let fields: BTreeMap<String, String> = serde_json::from_str(value).unwrap_or_default();
    fields.contains_key("secret_ref")
        && fields.keys().all(|key| matches!(key.as_str(), "secret_ref" | "format"))
}

/// Where a value ends that begins here.
fn end_of_value(bytes: &[u8], begin: usize) -> usize {
    match bytes.get(begin) {
        Some(b'"') => end_of_string(bytes, begin + 1),
        Some(b'{' | b'[') => end_of_group(bytes, begin + 1),
        _ => {
            let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
            bytes[begin..].iter().position(ends).map_or(bytes.len(), |length| begin + length)
        }
    }
}

/// Where an object or an array ends whose inside begins here.
fn end_of_group(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 1_usize;
    while let Some(byte) = bytes.get(at).filter(|_| depth > 0) {
        at += 1;
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    at
}

#[cfg(test)]
mod tests;
