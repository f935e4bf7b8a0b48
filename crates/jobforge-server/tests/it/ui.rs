//! A browser without scripts: it keeps cookies, reads forms, and sends what they hold.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use jobforge::core::settings::{Layers, resolve};
use jobforge::live::Live;
use jobforge::{JobContext, JobError, JobType};
use serde::{Deserialize, Serialize};

use crate::harness::{Answer, Site};

/// Every page that needs no name.
pub(crate) const PAGES: [&str; 13] = [
    "/ui",
    "/ui/jobs",
    "/ui/workers",
    "/ui/queues",
    "/ui/tenants",
    "/ui/schedules",
    "/ui/dead",
    "/ui/watchdog",
    "/ui/alerts",
    "/ui/runbooks",
    "/ui/audit",
    "/ui/settings",
    "/ui/operations",
];

/// What a browser knows.
pub(crate) struct Browser<'a> {
    site: &'a Site,
    cookies: BTreeMap<String, String>,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(site: &'a Site) -> Self {
        Self { site, cookies: BTreeMap::new() }
    }

    /// One that is logged in with this token.
    pub(crate) async fn with(site: &'a Site, token: &str) -> Result<Self> {
        let mut browser = Self::new(site);
        let form = browser.get("/ui/login").await?;
        let sent = browser.post("/ui/login", &[("proof", &proof(&form)), ("token", token)]).await?;
        anyhow::ensure!(sent.status == 303, "{sent:?}");
        Ok(browser)
    }

    pub(crate) fn forget(&mut self, cookie: &str) {
        self.cookies.remove(cookie);
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer> {
        self.send("GET", path, &[], "").await
    }

    /// Sends a form as the browser would from a page of this site.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        self.post_with(path, fields, &[("Sec-Fetch-Site", "same-origin")]).await
    }

    pub(crate) async fn post_with(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Result<Answer> {
        let body = encoded(fields);
        let mut all = vec![("Content-Type", "application/x-www-form-urlencoded")];
        all.extend(headers);
        self.send("POST", path, &all, &body).await
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer> {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut all = headers.to_vec();
        if !cookies.is_empty() {
            all.push(("Cookie", &cookies));
        }
        let answer = self.site.send(method, path, &all, body.as_bytes()).await?;
        for set in answer.headers("set-cookie") {
            let pair = set.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').context("a cookie")?;
            assert!(
                set.contains("HttpOnly") && set.contains("SameSite=Strict") && set.contains("Path=/ui"),
                "{set}"
            );
            match value {
                "" => self.cookies.remove(name),
                _ => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        Ok(answer)
    }

    /// Asks for a page, takes its proof, and sends a form.
    pub(crate) async fn submit(&mut self, page: &str, to: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        let form = self.get(page).await?;
        anyhow::ensure!(form.status == 200, "{page}: {form:?}");
        let proof = proof(&form);
        let mut all = vec![("proof", proof.as_str())];
        all.extend(fields);
        self.post(to, &all).await
    }
}

/// What the forms of a page hold.
pub(crate) fn proof(page: &Answer) -> String {
    let (_, rest) =
        page.body.split_once("name=\"proof\" value=\"").unwrap_or_else(|| panic!("no form in {page:?}"));
    rest.split('"').next().unwrap_or_default().to_owned()
}

fn encoded(fields: &[(&str, &str)]) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    let text = |text: &str| text.bytes().map(byte).collect::<String>();
    fields.iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect::<Vec<_>>().join("&")
}

/// Settings that say this.
pub(crate) fn live_with(pairs: &[(&str, &str)]) -> Live {
    let flags = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let layers = Layers { flags, env: &|_| None, file: BTreeMap::new(), stored: BTreeMap::new() };
    Live::fixed(resolve(&layers).expect("settings"))
}

/// Fails with a hostile message, after reporting hostile progress.
#[derive(Serialize, Deserialize)]
pub(crate) struct Hostile {
    pub(crate) text: String,
}

impl JobType for Hostile {
    const TYPE: &'static str = "hostile";
    const MAX_ATTEMPTS: u32 = 1;
    type Output = ();
}

pub(crate) async fn hostile(job: Hostile, ctx: JobContext) -> Result<(), JobError> {
    ctx.log(job.text.clone());
    Err(JobError::retry("hostile", job.text))
}
