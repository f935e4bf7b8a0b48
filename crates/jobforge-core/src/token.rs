//! Bearer tokens: what they look like, what they allow, and whether one is good now.
//!
//! `jfo_1f2e3d4c5b6a7980_<64 digits of secret><6 of checksum>`: a prefix that secret scanners know and that tells the
//! scope, a public id by which it is looked up, the secret, and a checksum that shows a slip without a look-up. Of the
//! secret only a digest is kept. It is random, so a fast hash is enough; slow ones protect what people make up.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::audit::hex;
use crate::enqueue::check_name;

/// Digits of the public id, of the secret, and of the checksum.
const DIGITS: (usize, usize, usize) = (16, 64, 6);

/// The most queues that a token may be bound to.
const MAX_QUEUES: usize = 100;

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Look.
    Read,
    /// Put jobs in.
    Enqueue,
    /// Run jobs.
    Worker,
    /// Look, put jobs in, and move them.
    Operate,
    /// Everything, settings and tokens included.
    Admin,
}

impl Scope {
    /// Every scope, the weakest first.
    pub const ALL: [Self; 5] = [Self::Read, Self::Enqueue, Self::Worker, Self::Operate, Self::Admin];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Enqueue => "enqueue",
            Self::Worker => "worker",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }

    /// Whether having this one is enough where the other is asked for.
    pub fn covers(self, asked: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Operate => matches!(asked, Self::Operate | Self::Read | Self::Enqueue),
            Self::Read | Self::Enqueue | Self::Worker => self == asked,
        }
    }

    fn letter(self) -> char {
        match self {
            Self::Read => 'r',
            Self::Enqueue => 'e',
            Self::Worker => 'w',
            Self::Operate => 'o',
            Self::Admin => 'a',
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a scope; use read, enqueue, worker, operate or admin")]
pub struct BadScope(pub String);

impl FromStr for Scope {
    type Err = BadScope;

    fn from_str(text: &str) -> Result<Self, BadScope> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| BadScope(text.chars().take(40).collect()))
    }
}

/// A token about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// What people call it.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// The only tenant that it sees.
    pub tenant_id: Option<String>,
    /// The only queues that it puts jobs into and takes jobs from; `None` is every queue.
    pub queues: Option<Vec<String>>,
    /// Until when it is good.
    pub expires_at: Option<Timestamp>,
}

/// A token as it is kept: everything but the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenRow {
    /// Its public id, part of the token.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// The only tenant that it sees.
    pub tenant_id: Option<String>,
    /// The only queues that it puts jobs into and takes jobs from; absent is every queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<String>>,
    /// SHA-256 of the whole token, as hex. Never shown.
    #[serde(skip)]
    pub hash: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// Until when it is good.
    pub expires_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

impl TokenRow {
    /// Whether it opens anything at this time.
    pub fn standing(&self, now: Timestamp) -> TokenStanding {
        if self.revoked_at.is_some() {
            TokenStanding::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            TokenStanding::Expired
        } else {
            TokenStanding::Good
        }
    }

    /// The beginning that may be shown.
    pub fn prefix(&self) -> String {
        format!("{}{}", kind(&self.scopes), self.id)
    }
}

/// What a token is worth now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenStanding {
    /// It opens.
    Good,
    /// Its time is over.
    Expired,
    /// Somebody took it back.
    Revoked,
}

impl TokenStanding {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// Why a token cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// Nobody could tell it apart.
    #[error(
        "the token needs a name of 1 to 100 letters, digits, spaces or ._- so that people can tell what it is for"
    )]
    Name,
    /// It would open nothing.
    #[error("the token needs a scope: read, enqueue, worker, operate or admin")]
    NoScope,
    /// Settings and tokens belong to all tenants.
    #[error("a token of one tenant cannot have the scope {0}, which concerns all of them")]
    Scope(Scope),
    /// The tenant is no name.
    #[error("the tenant {0}")]
    Tenant(String),
    /// It looks or operates beyond its queues.
    #[error(
        "a token of some queues can only have the scopes enqueue and worker, not {0}, which is not of queues"
    )]
    QueueScope(Scope),
    /// It would open nothing.
    #[error(
        "a token of some queues needs 1 to {MAX_QUEUES} of them; name them, or leave them out for every queue"
    )]
    Queues,
    /// A queue is no name.
    #[error("the queue {0}")]
    Queue(String),
    /// It would never be good.
    #[error("the token would have expired already")]
    Expired,
}

/// Checks a token about to be made.
///
/// # Errors
/// What is wrong with it.
pub fn check(token: &NewToken, now: Timestamp) -> Result<(), BadToken> {
    let fits = |c: char| c.is_alphanumeric() || " ._-:/@".contains(c);
    let length = token.name.chars().count();
    if !(1..=100).contains(&length) || token.name.trim() != token.name || !token.name.chars().all(fits) {
        return Err(BadToken::Name);
    }
    if token.scopes.is_empty() {
        return Err(BadToken::NoScope);
    }
    if let Some(tenant) = &token.tenant_id {
        check_name(tenant).map_err(|fault| BadToken::Tenant(fault.to_string()))?;
        if token.scopes.contains(&Scope::Admin) {
            return Err(BadToken::Scope(Scope::Admin));
        }
    }
    if let Some(queues) = &token.queues {
        check_queues(queues, &token.scopes)?;
    }
    if token.expires_at.is_some_and(|end| end <= now) {
        return Err(BadToken::Expired);
    }
    Ok(())
}

fn check_queues(queues: &[String], scopes: &[Scope]) -> Result<(), BadToken> {
    if !(1..=MAX_QUEUES).contains(&queues.len()) {
        return Err(BadToken::Queues);
    }
    let wider = scopes.iter().find(|scope| !matches!(scope, Scope::Enqueue | Scope::Worker));
    if let Some(scope) = wider {
        return Err(BadToken::QueueScope(*scope));
    }
    queues.iter().try_for_each(|queue| check_name(queue).map_err(|fault| BadToken::Queue(fault.to_string())))
}

/// The text of a token. It is a secret, so `Debug` shows its public part only.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText {
    id: String,
    text: String,
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenText").field("id", &self.id).finish_non_exhaustive()
    }
}

impl TokenText {
    /// Makes one of random bytes, which nobody else may know.
    pub fn of_random(scopes: &[Scope], id: [u8; 8], secret: [u8; 32]) -> Self {
        let id = hex(&id);
        let begin = format!("{}{id}_{}", kind(scopes), hex(&secret));
        Self { id, text: format!("{begin}{}", checksum(&begin)) }
    }

    /// Reads one; `None` for what cannot be one, however it is spelled.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("jf")?;
        let letter = rest.chars().next()?;
        let (id, secret) = rest.get(1..)?.strip_prefix('_')?.split_once('_')?;
        let is_hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let known = Scope::ALL.iter().any(|scope| scope.letter() == letter);
        if !known
            || id.len() != DIGITS.0
            || secret.len() != DIGITS.1 + DIGITS.2
            || !is_hex(id)
            || !is_hex(secret)
        {
            return None;
        }
        let (begin, sum) = text.split_at(text.len() - DIGITS.2);
        (checksum(begin) == sum).then(|| Self { id: id.to_owned(), text: text.to_owned() })
    }

    /// Its public id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The token itself, to be shown once.
    pub fn secret(&self) -> &str {
        &self.text
    }

    /// What is kept of it.
    pub fn hash(&self) -> String {
        digest(&self.text)
    }
}

/// SHA-256 of a token, as hex.
pub fn digest(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

fn kind(scopes: &[Scope]) -> String {
    format!("jf{}_", scopes.iter().max().map_or('r', |scope| scope.letter()))
}

fn checksum(begin: &str) -> String {
    digest(begin).chars().take(DIGITS.2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(scopes: &[Scope]) -> TokenText {
        TokenText::of_random(scopes, [7; 8], [0xab; 32])
    }

    #[test]
    fn a_token_is_read_back_and_a_slip_in_it_is_noticed() {
        let token = text(&[Scope::Read, Scope::Operate]);
        assert!(token.secret().starts_with("jfo_0707070707070707_abab"), "{}", token.secret());
        let read = TokenText::parse(token.secret()).expect("it is one");
        assert_eq!((read.id(), read.hash()), ("0707070707070707", token.hash()));
        for place in 0..token.secret().len() {
            let mut slip: Vec<char> = token.secret().chars().collect();
            slip[place] = if slip[place] == '0' { '1' } else { '0' };
            assert_eq!(TokenText::parse(&slip.into_iter().collect::<String>()), None, "at {place}");
        }
        for other in ["", "jf", "jfo_", "jfo__", "operator-key", "jfé_0707070707070707_", "ghp_abc"] {
            assert_eq!(TokenText::parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_secret_is_in_no_debug_output() {
        let token = text(&[Scope::Admin]);
        assert!(!format!("{token:?}").contains("abab"));
    }

    #[test]
    fn a_scope_covers_itself_and_what_is_below_it() {
        let covered = |scope: Scope| -> Vec<&str> {
            Scope::ALL.into_iter().filter(|asked| scope.covers(*asked)).map(Scope::as_str).collect()
        };
        assert_eq!(covered(Scope::Read), ["read"]);
        assert_eq!(covered(Scope::Enqueue), ["enqueue"]);
        assert_eq!(covered(Scope::Worker), ["worker"]);
        assert_eq!(covered(Scope::Operate), ["read", "enqueue", "operate"]);
        assert_eq!(covered(Scope::Admin), ["read", "enqueue", "worker", "operate", "admin"]);
    }

    #[test]
    fn a_token_of_one_tenant_has_no_scope_that_concerns_all() {
        let now = Timestamp::UNIX_EPOCH;
        let token = |scopes: &[Scope], tenant: Option<&str>| NewToken {
            name: "deploy".to_owned(),
            scopes: scopes.to_vec(),
            tenant_id: tenant.map(str::to_owned),
            queues: None,
            expires_at: None,
        };
        assert_eq!(check(&token(&[Scope::Operate], Some("acme")), now), Ok(()));
        assert_eq!(check(&token(&[Scope::Admin], None), now), Ok(()));
        assert_eq!(check(&token(&[Scope::Worker], Some("acme")), now), Ok(()));
        assert_eq!(check(&token(&[Scope::Admin], Some("acme")), now), Err(BadToken::Scope(Scope::Admin)));
        assert_eq!(check(&token(&[], None), now), Err(BadToken::NoScope));
        let nameless = NewToken { name: " ".to_owned(), ..token(&[Scope::Read], None) };
        assert_eq!(check(&nameless, now), Err(BadToken::Name));
        let over = NewToken { expires_at: Some(now), ..token(&[Scope::Read], None) };
        assert_eq!(check(&over, now), Err(BadToken::Expired));
    }

    #[test]
    fn a_token_of_some_queues_names_them_and_does_nothing_beyond() {
        let token = |scopes: &[Scope], queues: &[&str]| NewToken {
            name: "mailer".to_owned(),
            scopes: scopes.to_vec(),
            tenant_id: None,
            queues: Some(queues.iter().map(|&queue| queue.to_owned()).collect()),
            expires_at: None,
        };
        let now = Timestamp::UNIX_EPOCH;
        let both = [Scope::Enqueue, Scope::Worker];
        assert_eq!(check(&token(&both, &["mail", "http"]), now), Ok(()));
        assert_eq!(check(&token(&both, &[]), now), Err(BadToken::Queues));
        assert_eq!(check(&token(&both, &["mail"; MAX_QUEUES + 1]), now), Err(BadToken::Queues));
        assert!(matches!(check(&token(&both, &["a b"]), now), Err(BadToken::Queue(_))));
        for scope in [Scope::Read, Scope::Operate, Scope::Admin] {
            assert_eq!(check(&token(&[scope], &["mail"]), now), Err(BadToken::QueueScope(scope)));
        }
    }
}
