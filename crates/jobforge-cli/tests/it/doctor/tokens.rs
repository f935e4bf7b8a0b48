//! Tokens that end while somebody uses them.

use super::{says, typed, until_healthy, until_only};
use crate::program::http;
use crate::site::Site;

#[test]
fn process_a_token_that_expired_while_it_was_in_use_is_found() {
    let site = Site::on_sqlite();
    until_healthy(&site.home);
    let made = site.home.json(&["token", "create", "deploy", "--scope", "operate", "--for", "4s"]);
    let token = made["token"].as_str().unwrap();
    let bearer = format!("Authorization: Bearer {token}");
    let answer = http("GET", &format!("{}/v1/jobs", site.url(None)), &[&bearer], None);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let expired = until_only(&site.home, "tokens.expired");
    assert_eq!(expired["mend"][0], "jobforge token create \"deploy\" --scope operate");
    // Whoever has the new one has no need of the old one.
    let made = typed(&site.home, expired["mend"][0].as_str().unwrap());
    let bearer = format!("Authorization: Bearer {}", made.out.trim());
    let answer = http("GET", &format!("{}/v1/jobs", site.url(None)), &[&bearer], None);
    assert_eq!(answer.status, 200, "{} {}", made.out, answer.body);
    until_healthy(&site.home);
    let made = site.home.json(&["token", "create", "ci", "--scope", "read", "--for", "1d"]);
    let bearer = format!("Authorization: Bearer {}", made["token"].as_str().unwrap());
    assert_eq!(http("GET", &format!("{}/v1/jobs", site.url(None)), &[&bearer], None).status, 200);
    let expiring = until_only(&site.home, "tokens.expiring");
    says(&expiring, "what", "the token ci");
}
