//! The tenants' pages and their call: who has how much, and that each sees itself alone.

use anyhow::{Context, Result};
use jobforge::core::token::Scope;
use serde_json::Value;

use crate::engines::{Engine, guarded_on, on_both_engines};
use crate::tokens::token;
use crate::ui::Browser;

on_both_engines!(
    tenants_are_listed_with_their_numbers_and_each_number_leads_to_its_jobs,
    a_token_of_one_tenant_sees_that_tenant_alone,
    what_the_call_does_not_know_is_refused,
);

async fn filled(site: &mut crate::harness::Site) -> Result<()> {
    site.token = Some("admin-key".to_owned());
    for tenant in ["acme", "acme", "acme-2", "globex"] {
        site.job(&format!(r#"{{"type":"mail.send","queue":"mail","tenant_id":"{tenant}"}}"#)).await?;
    }
    site.job(r#"{"type":"report","tenant_id":"acme","delay_ms":3600000}"#).await?;
    let id = site.job(r#"{"type":"report","tenant_id":"globex"}"#).await?;
    let canceled = site.post(&format!("/v1/jobs/{id}/cancel")).await?;
    anyhow::ensure!(canceled.status == 200, "{canceled:?}");
    site.token = None;
    Ok(())
}

/// The row of a tenant as text, without the marks of HTML.
fn row(page: &str, tenant: &str) -> Result<String> {
    let (_, rest) = page.split_once(&format!("<tr data-id=\"{tenant}\">")).context("a row")?;
    Ok(rest.split("</tr>").next().unwrap_or_default().to_owned())
}

async fn tenants_are_listed_with_their_numbers_and_each_number_leads_to_its_jobs(
    engine: Engine,
) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    filled(&mut site).await?;
    let mut browser = Browser::with(&site, "operator-key").await?;
    let page = browser.get("/ui/tenants").await?.body;
    let acme = row(&page, "acme")?;
    let ready = "<a href=\"/ui/jobs?tenant_id=acme&amp;state=ready\">2<span class=\"hide\"> ready";
    assert!(acme.contains(ready) && acme.contains(">1<span class=\"hide\"> scheduled"), "{acme}");
    assert!(row(&page, "globex")?.contains(">1<span class=\"hide\"> ready"), "{page}");
    let found = browser.get("/ui/tenants?prefix=acme&sort=name").await?.body;
    assert!(found.contains("jobforge tenant list --prefix acme"), "the view as a command: {found}");
    assert!(row(&found, "acme-2").is_ok() && row(&found, "globex").is_err(), "{found}");
    let none = browser.get("/ui/tenants?prefix=%3Cscript%3E").await?;
    assert!(
        none.status == 200 && none.body.contains("No tenant") && !none.body.contains("<script>"),
        "{none:?}"
    );
    let one = browser.get("/ui/tenants/acme").await?.body;
    assert!(one.contains("href=\"/ui/jobs?tenant_id=acme&amp;type=mail.send&amp;queue=mail\""), "{one}");
    assert!(one.contains("has no budget"), "{one}");
    assert_eq!(browser.get("/ui/tenants/nobody").await?.status, 404);
    assert_eq!(browser.get("/ui/tenants/%00").await?.status, 404);
    Ok(())
}

async fn a_token_of_one_tenant_sees_that_tenant_alone(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    filled(&mut site).await?;
    let text = token(&site, Scope::Read, Some("acme")).await?.1;
    let mut browser = Browser::with(&site, &text).await?;
    let page = browser.get("/ui/tenants").await?.body;
    assert!(row(&page, "acme").is_ok() && !page.contains("globex") && !page.contains("acme-2"), "{page}");
    assert_eq!(browser.get("/ui/tenants/acme").await?.status, 200);
    let [foreign, none] =
        [browser.get("/ui/tenants/globex").await?, browser.get("/ui/tenants/nobody").await?];
    assert_eq!((foreign.status, foreign.body.replace("globex", "nobody")), (404, none.body));
    let names = browser.get("/ui/names").await?;
    assert_eq!((names.status, names.body.as_str()), (200, "[]"));
    drop(browser);
    site.token = Some(text);
    for query in ["", "?prefix=glo", "?sort=name"] {
        let told = site.get(&format!("/v1/tenants{query}")).await?;
        assert!(told.status == 200 && !told.body.contains("globex"), "{query}: {told:?}");
    }
    let list: Value = serde_json::from_str(&site.get("/v1/tenants").await?.body)?;
    assert_eq!(list["tenants"].as_array().map(Vec::len), Some(1));
    assert_eq!((&list["tenants"][0]["ready"], &list["tenants"][0]["scheduled"]), (&2.into(), &1.into()));
    Ok(())
}

async fn what_the_call_does_not_know_is_refused(engine: Engine) -> Result<()> {
    let (mut site, _kept) = guarded_on(engine).await?;
    site.token = Some("operator-key".to_owned());
    site.get("/v1/tenants?sort=size").await?.refused(400, "bad_parameter");
    site.get("/v1/tenants?tenant=a").await?.refused(400, "unknown_parameter");
    site.get("/v1/tenants?prefix=%00").await?.refused(400, "bad_parameter");
    let none: Value = serde_json::from_str(&site.get("/v1/tenants?prefix=x").await?.body)?;
    assert_eq!(none["tenants"].as_array().map(Vec::len), Some(0));
    Ok(())
}
