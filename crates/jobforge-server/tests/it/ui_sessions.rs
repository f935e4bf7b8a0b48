//! Who gets into the dashboard, what their forms need, and what closes every page.

use anyhow::Result;
use jobforge::core::audit::AuditFilter;
use jobforge::core::token::Scope;

use crate::harness::{database, guarded, serve, site, until, with_tokens};
use crate::tokens::token;
use crate::ui::{Browser, PAGES, live_with, proof};

const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                   form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

#[tokio::test]
async fn every_answer_below_ui_is_closed_and_none_holds_script_or_style_of_its_own() -> Result<()> {
    let site = site().await?;
    let mut browser = Browser::new(&site);
    let more = [
        "/ui/no-such-page",
        "/ui/jobs/nonsense",
        "/ui/jobs?colour=red",
        "/ui/act/queue-pause/mail",
        "/ui/assets/none",
    ];
    for path in PAGES.into_iter().chain(more) {
        let page = browser.get(path).await?;
        assert_eq!(page.header("content-security-policy"), CSP, "{path}");
        assert_eq!(page.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(page.header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{path}: {page:?}");
        assert_eq!(
            page.body.matches("<script").count(),
            page.body.matches("<script src=\"/ui/assets/").count(),
            "{path}"
        );
        for inline in [" style=\"", "<style", " onclick", " onload", "javascript:", "http://", "//cdn"] {
            assert!(!page.body.contains(inline), "{path} holds {inline}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn who_has_no_session_is_sent_to_log_in_and_comes_back() -> Result<()> {
    let site = guarded().await?;
    let mut browser = Browser::new(&site);
    for path in PAGES {
        let sent = browser.get(path).await?;
        assert_eq!(sent.status, 303, "{path}");
        assert!(sent.header("location").starts_with("/ui/login?back=%2Fui"), "{path}: {sent:?}");
    }
    let sent = browser.get("/ui/jobs?status=dead&type=a").await?;
    let form = browser.get(sent.header("location")).await?;
    assert!(form.body.contains("value=\"/ui/jobs?status=dead&#38;type=a\""), "{}", form.body);
    let fields =
        [("proof", &*proof(&form)), ("token", "operator-key"), ("back", "/ui/jobs?status=dead&type=a")];
    let welcome = browser.post("/ui/login", &fields).await?;
    assert_eq!((welcome.status, welcome.header("location")), (303, "/ui/jobs?status=dead&type=a"));
    assert_eq!(browser.get("/ui/jobs?status=dead&type=a").await?.status, 200);
    // The API takes no cookie, so that no page of another site can ask it anything.
    browser.get("/v1/jobs").await?.refused(401, "token_missing");
    Ok(())
}

#[tokio::test]
async fn a_wrong_token_opens_nothing_and_is_counted_like_any_other() -> Result<()> {
    let site = guarded().await?;
    let mut browser = Browser::new(&site);
    for wrong in ["wrong", "a b", "a;b", "", "operator-key2"] {
        let form = browser.get("/ui/login").await?;
        let refused = browser.post("/ui/login", &[("proof", &proof(&form)), ("token", wrong)]).await?;
        assert_eq!(refused.status, 401, "{wrong:?}");
        assert!(
            refused.body.contains("role=\"alert\"") && browser.cookie("jobforge_session").is_none(),
            "{wrong:?}"
        );
    }
    for elsewhere in ["//evil.example", "https://evil.example/", "/v1/jobs"] {
        let mut browser = Browser::new(&site);
        let form = browser.get("/ui/login").await?;
        let fields = [("proof", &*proof(&form)), ("token", "operator-key"), ("back", elsewhere)];
        let welcome = browser.post("/ui/login", &fields).await?;
        assert_eq!(welcome.header("location"), "/ui", "{elsewhere}");
    }
    let about = AuditFilter { action: Some("auth.failed".to_owned()), ..AuditFilter::default() };
    // It is written down beside the answer.
    let written = async || anyhow::Ok(site.client.store().audit(&about, 10).await?.len());
    until("it is written down", async || Ok(written().await? > 0)).await?;
    assert_eq!(written().await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_token_that_may_not_look_does_not_get_in() -> Result<()> {
    let site = guarded().await?;
    for scope in [Scope::Enqueue, Scope::Worker] {
        let mut browser = Browser::new(&site);
        let form = browser.get("/ui/login").await?;
        let text = token(&site, scope, None).await?.1;
        let refused = browser.post("/ui/login", &[("proof", &proof(&form)), ("token", &text)]).await?;
        assert_eq!(refused.status, 401);
        assert!(refused.body.contains("may not look"), "{}", refused.body);
    }
    Ok(())
}

#[tokio::test]
async fn a_session_ends_when_its_owner_leaves_and_when_its_token_is_revoked() -> Result<()> {
    let site = guarded().await?;
    let mut browser = Browser::with(&site, "operator-key").await?;
    let left = browser.submit("/ui/jobs", "/ui/logout", &[]).await?;
    assert_eq!((left.status, left.header("location")), (303, "/ui/login?why=left"));
    assert!(browser.cookie("jobforge_session").is_none());

    let (id, text) = token(&site, Scope::Read, None).await?;
    let mut browser = Browser::with(&site, &text).await?;
    assert_eq!(browser.get("/ui/jobs").await?.status, 200);
    site.client
        .store()
        .revoke_token(&id, &jobforge::core::audit::By::named("test"), jobforge::core::time::Now::Database)
        .await?;
    crate::harness::until("the session has ended", async || {
        let sent = browser.get("/ui/jobs").await?;
        Ok(sent.status == 303 && sent.header("location").contains("why=token_revoked"))
    })
    .await
}

#[tokio::test]
async fn a_form_of_another_site_or_session_changes_nothing() -> Result<()> {
    let site = guarded().await?;
    let mut browser = Browser::with(&site, "admin-key").await?;
    let form = browser.get("/ui/act/queue-pause/mail").await?;
    let good = proof(&form);
    let to = "/ui/act/queue-pause/mail";
    let same = [("Sec-Fetch-Site", "same-origin")];
    let refused = async |browser: &mut Browser<'_>, fields: &[(&str, &str)], headers: &[(&str, &str)]| {
        let answer = browser.post_with(to, fields, headers).await?;
        assert_eq!(answer.status, 403, "{fields:?} {headers:?}");
        assert!(
            answer.body.contains("form_not_yours") || answer.body.contains("cross_site"),
            "{}",
            answer.body
        );
        anyhow::Ok(())
    };
    refused(&mut browser, &[], &same).await?;
    refused(&mut browser, &[("proof", "")], &same).await?;
    refused(&mut browser, &[("proof", &"0".repeat(32))], &same).await?;
    let fields = [("proof", good.as_str())];
    refused(&mut browser, &fields, &[("Sec-Fetch-Site", "cross-site")]).await?;
    refused(&mut browser, &fields, &[("Sec-Fetch-Site", "same-site")]).await?;
    refused(&mut browser, &fields, &[("Origin", "https://evil.example")]).await?;
    refused(&mut browser, &fields, &[("Origin", "null")]).await?;
    // The proof of one session is none for another.
    let mut other = Browser::with(&site, "admin-key").await?;
    refused(&mut other, &fields, &same).await?;
    browser.forget("jobforge_form");
    refused(&mut browser, &fields, &same).await?;
    assert!(site.client.store().queues(jobforge::core::time::Now::Database).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn the_files_of_pages_may_be_kept_for_ever_and_a_first_look_is_light() -> Result<()> {
    let site = site().await?;
    for number in 0..60 {
        site.job(&format!(r#"{{"type":"mail.send","queue":"mail","tags":["batch-{number}"]}}"#)).await?;
    }
    let mut browser = Browser::new(&site);
    let page = browser.get("/ui/jobs").await?;
    assert_eq!(page.body.matches("<tr data-id").count(), 50);
    let mut weight = page.body.len();
    for part in page.body.split("\"/ui/assets/").skip(1) {
        let file = browser.get(&format!("/ui/assets/{}", part.split('"').next().unwrap_or_default())).await?;
        assert_eq!((file.status, file.header("cache-control")), (200, "public, max-age=31536000, immutable"));
        assert_eq!(file.header("x-content-type-options"), "nosniff");
        weight += file.body.len();
    }
    // The longest list with everything that it loads, uncompressed, the icon counted each time that it is named.
    assert!(weight < 100_000, "{weight} bytes");
    let overview = browser.get("/ui").await?.body.len();
    assert!(overview < 30_000, "{overview} bytes");
    Ok(())
}

#[tokio::test]
async fn a_trusted_proxy_says_who_looks_and_nobody_else_can() -> Result<()> {
    let proxied = [
        ("ui_trusted_proxies", "127.0.0.0/8"),
        ("ui_user_header", "X-Forwarded-User"),
        ("ui_role_header", "X-Forwarded-Role"),
    ];
    let (client, _dir) = database().await?;
    let site = serve(client, with_tokens(), live_with(&proxied)).await?;
    let page =
        async |headers: &[(&str, &str)]| Browser::new(&site).send("GET", "/ui/settings", headers, "").await;
    let ada = page(&[("X-Forwarded-User", "ada@example.org"), ("X-Forwarded-Role", "admin")]).await?;
    assert!(ada.status == 200 && ada.body.contains("proxy:ada@example.org"), "{}", ada.body);
    assert!(ada.body.contains("/ui/act/flag-"), "an admin may switch flags");
    let bob = page(&[("X-Forwarded-User", "bob"), ("X-Forwarded-Role", "root")]).await?;
    assert!(bob.status == 200 && !bob.body.contains("/ui/act/"), "a role that nobody knows may only look");
    assert_eq!(page(&[("X-Forwarded-User", "<script>")]).await?.status, 400);
    assert_eq!(page(&[("X-Forwarded-User", "a"), ("X-Forwarded-User", "b")]).await?.status, 303);
    assert_eq!(page(&[("X-Forwarded-Role", "admin")]).await?.status, 303);

    for untrusted in [
        &[("ui_trusted_proxies", "10.0.0.0/8"), ("ui_user_header", "X-Forwarded-User")][..],
        &[("ui_user_header", "X-Forwarded-User")],
        &[("ui_trusted_proxies", "127.0.0.0/8")],
    ] {
        let (client, _dir) = database().await?;
        let site = serve(client, with_tokens(), live_with(untrusted)).await?;
        let answer = Browser::new(&site).send("GET", "/ui", &[("X-Forwarded-User", "ada")], "").await?;
        assert_eq!(answer.status, 303, "{untrusted:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_look_is_chosen_by_a_form_and_kept() -> Result<()> {
    let site = site().await?;
    let mut browser = Browser::new(&site);
    assert!(browser.get("/ui/jobs").await?.body.contains("data-theme=\"auto\""));
    let done = browser
        .submit("/ui/jobs", "/ui/theme", &[("theme", "dark"), ("back", "/ui/jobs?status=dead")])
        .await?;
    assert_eq!(done.status, 303);
    assert!(browser.get("/ui/jobs").await?.body.contains("data-theme=\"dark\""));
    Ok(())
}

#[tokio::test]
async fn every_page_wears_the_name_and_the_colour_of_its_installation() -> Result<()> {
    let named = [("fleet_name", "prod <eu>"), ("fleet_color", "purple")];
    let (client, _dir) = database().await?;
    let site = serve(client, with_tokens(), live_with(&named)).await?;
    let mut admin = Browser::with(&site, "admin-key").await?;
    for path in PAGES.into_iter().chain(["/ui/no-such-page"]) {
        let page = admin.get(path).await?.body;
        assert!(page.contains("class=\"place-purple\""), "{path}");
        assert!(page.contains("JobForge prod &#60;eu&#62;</title>"), "{path}");
    }
    let login = Browser::new(&site).get("/ui/login").await?.body;
    assert!(login.contains("class=\"place-purple\"") && login.contains("prod &#60;eu&#62;"), "{login}");

    let (client, _dir) = database().await?;
    let unnamed = serve(client, with_tokens(), live_with(&[])).await?;
    let page = Browser::with(&unnamed, "admin-key").await?.get("/ui").await?.body;
    let machine = jobforge::process::hostname();
    assert!(page.contains("class=\"place-none\"") && page.contains(&machine), "{page}");
    Ok(())
}
