//! What goes over the wire: how much a first look weighs, what is packed, and what a link of another site brings along.

use std::io::Read;

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{PATIENCE, Site, guarded, site};
use crate::ui::{Browser, PAGES};

/// What no first look at a page weighs, with all that it loads.
const LIGHT: usize = 60_000;
/// Longer than any page is made by its random part.
const PADDING: usize = 100;

/// An answer as it comes over the wire.
struct Wire {
    head: String,
    body: Vec<u8>,
}

impl Wire {
    async fn get(site: &Site, path: &str, headers: &str) -> Result<Self> {
        let ask =
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n", site.address);
        let talk = async {
            let mut stream = TcpStream::connect(site.address).await?;
            stream.write_all(ask.as_bytes()).await?;
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await?;
            anyhow::Ok(all)
        };
        let all = tokio::time::timeout(PATIENCE, talk).await.context("no answer")??;
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").context("no head")?;
        let head = String::from_utf8(all[..end].to_vec())?.to_lowercase();
        Ok(Self { head, body: all[end + 4..].to_vec() })
    }

    fn is_packed(&self) -> bool {
        self.head.contains("\r\ncontent-encoding: gzip")
    }

    fn text(&self) -> Result<String> {
        let mut text = String::new();
        match self.is_packed() {
            true => drop(Read::read_to_string(&mut GzDecoder::new(&*self.body), &mut text)?),
            false => text.push_str(std::str::from_utf8(&self.body)?),
        }
        Ok(text)
    }
}

/// As browsers ask from a page of this site.
const FROM_HERE: &str = "Accept-Encoding: gzip, deflate, br\r\nSec-Fetch-Site: same-origin\r\n";

fn assets(page: &str) -> Vec<&str> {
    let mut found: Vec<&str> = page.split('"').filter(|word| word.starts_with("/ui/assets/")).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[tokio::test]
async fn a_first_look_at_any_page_is_light() -> Result<()> {
    let site = site().await?;
    for number in 0..120 {
        let job = format!(
            r#"{{"type":"mail.send-{number}","queue":"mail","tenant_id":"tenant-{number}","tags":["batch-{number}"]}}"#
        );
        let id = site.job(&job).await?;
        site.send("POST", &format!("/v1/jobs/{id}/cancel"), &[("X-Reason", "a test")], b"").await?;
    }
    let id = site.job(r#"{"type":"mail.send","queue":"mail"}"#).await?;
    let more = [format!("/ui/jobs/{id}"), format!("/ui/act/job-cancel/{id}"), "/ui/no-such-page".to_owned()];
    for path in PAGES.into_iter().map(str::to_owned).chain(more) {
        let page = Wire::get(&site, &path, FROM_HERE).await?;
        let text = page.text()?;
        assert!(page.is_packed() || text.len() < 1024, "{path}: {}", page.head);
        let (mut weight, mut plain) = (page.body.len(), text.len());
        for name in assets(&text) {
            let file = Wire::get(&site, name, FROM_HERE).await?;
            assert!(file.head.contains("max-age=31536000, immutable"), "{name}: {}", file.head);
            weight += file.body.len();
            plain += file.text()?.len();
        }
        assert!(weight < LIGHT, "{path} weighs {weight} bytes");
        // Programs that cannot unpack are not sent heaps either.
        assert!(plain < 3 * LIGHT, "{path} weighs {plain} bytes unpacked");
        assert!(path != "/ui/jobs" || text.matches("<tr data-id").count() == 50);
    }
    Ok(())
}

#[tokio::test]
async fn what_is_packed_is_the_page_and_gives_no_secret_away() -> Result<()> {
    let site = guarded().await?;
    let browser = Browser::with(&site, "admin-key").await?;
    let cookies = ["jobforge_session", "jobforge_form"]
        .map(|name| format!("{name}={}", browser.cookie(name).unwrap_or_default()))
        .join("; ");
    let from_here = format!("{FROM_HERE}Cookie: {cookies}\r\n");
    let proof = |text: &str| {
        let (_, rest) = text.split_once("name=\"proof\" value=\"").expect("a form");
        rest.split('"').next().expect("a proof").to_owned()
    };
    let (mut proofs, mut lengths) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        let page = Wire::get(&site, "/ui/settings", &from_here).await?;
        assert!(page.is_packed() && page.head.contains("\r\nvary: accept-encoding"), "{}", page.head);
        assert!(page.head.contains(&format!("\r\ncontent-length: {}", page.body.len())), "{}", page.head);
        proofs.push(proof(&page.text()?));
        lengths.push(page.body.len());
    }
    proofs.sort();
    proofs.dedup();
    assert_eq!(
        proofs.len(),
        40,
        "a secret that is the same in many packed pages can be guessed from their lengths"
    );
    let spread = lengths.iter().max().unwrap_or(&0) - lengths.iter().min().unwrap_or(&0);
    assert!(spread > 10 && spread < 2 * PADDING, "the length says little: {lengths:?}");

    // Every one of them is good.
    let fields = format!("proof={}&theme=dark", proofs[0]);
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Cookie", cookies.as_str()),
    ];
    let done = site.send("POST", "/ui/theme", &headers, fields.as_bytes()).await?;
    assert_eq!(done.status, 303, "{done:?}");

    for plain in [
        format!("Cookie: {cookies}\r\n"),
        format!("Accept-Encoding: br\r\nCookie: {cookies}\r\n"),
        format!("Accept-Encoding: gzip\r\nSec-Fetch-Site: cross-site\r\nCookie: {cookies}\r\n"),
    ] {
        let page = Wire::get(&site, "/ui/settings", &plain).await?;
        assert!(!page.is_packed() && page.head.contains(" 200 "), "{plain}: {}", page.head);
        assert!(page.text()?.contains("<h1>"), "{plain}");
    }
    Ok(())
}

#[tokio::test]
async fn events_are_not_held_back_to_be_packed() -> Result<()> {
    let site = site().await?;
    let ask = format!("GET /ui/events HTTP/1.1\r\nHost: {}\r\nAccept-Encoding: gzip\r\n\r\n", site.address);
    let talk = async {
        let mut stream = TcpStream::connect(site.address).await?;
        stream.write_all(ask.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.windows(4).any(|four| four == b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        anyhow::Ok(String::from_utf8(head)?.to_lowercase())
    };
    let head = tokio::time::timeout(PATIENCE, talk).await.context("no answer")??;
    assert!(head.contains("text/event-stream") && !head.contains("content-encoding"), "{head}");
    Ok(())
}

#[tokio::test]
async fn a_link_of_another_site_leads_on_and_brings_no_cookie_along() -> Result<()> {
    let site = guarded().await?;
    let followed = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")];
    // The browser sends no cookie, though it may have them all.
    let landed = Browser::new(&site).send("GET", "/ui/jobs?status=dead&type=a", &followed, "").await?;
    assert_eq!(landed.status, 200, "{landed:?}");
    assert_eq!(
        landed.headers("set-cookie").count(),
        0,
        "a new one would make the forms of other tabs invalid"
    );
    let next = "/ui/login?back=%2Fui%2Fjobs%3Fstatus%3Ddead%26type%3Da";
    assert!(
        landed.body.contains(&format!("http-equiv=\"refresh\" content=\"0; url={next}\"")),
        "{}",
        landed.body
    );
    assert!(landed.body.contains(&format!("href=\"{next}\"")), "{}", landed.body);

    // From there it is our own page that asks, with cookies.
    let mut known = Browser::with(&site, "operator-key").await?;
    let sent = known.get(next).await?;
    assert_eq!((sent.status, sent.header("location")), (303, "/ui/jobs?status=dead&type=a"));
    let stranger = Browser::new(&site).get(next).await?;
    assert!(stranger.status == 200 && stranger.body.contains("id=\"token\""), "{stranger:?}");
    // Who is told why their session ended is not sent round in a circle.
    assert_eq!(known.get("/ui/login?why=token_expired").await?.status, 200);

    // Anything else that another site makes a browser ask for is asked by nobody.
    for mode in ["no-cors", "cors"] {
        let headers = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", mode)];
        let refused = Browser::new(&site).send("GET", "/ui/jobs", &headers, "").await?;
        assert_eq!(refused.status, 303, "{mode}");
    }
    Ok(())
}
