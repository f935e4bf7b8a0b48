//! Webhooks that failed, delivered again.

use background_jobs::outside::{Hook, Manners};

use crate::process::eventually;
use crate::site::{Site, succeeded};

const MANNERS: Manners = Manners { requests_per_second: 1000, retry_after_s: 1, fail_first: 2 };

fn fail(site: &Site, url: &str, count: u32) {
    site.sql(&format!(
        "INSERT INTO app.webhook_deliveries (url, event_type, data, last_error)
         SELECT '{url}', 'clip.created', jsonb_build_object('clip', n), 'the receiver was away' FROM generate_series(1, {count}) AS n"
    ));
}

fn counts(site: &Site) -> String {
    site.sql("SELECT string_agg(status || ' ' || count, ', ' ORDER BY status) FROM (SELECT status, count(*) FROM app.webhook_deliveries GROUP BY status) s")
}

/// Nobody triggers anything: the interval comes from the environment.
#[test]
fn process_failed_webhooks_reach_a_receiver_that_fails_at_first_each_once() {
    let every_second = [("WEBHOOK_RETRY_INTERVAL", "1s")];
    let site = Site::with(include_str!("../../jobforge.toml"), &every_second, MANNERS);
    assert!(site.server_log().contains("Starting webhook_retry scheduler (every second)"));
    let _worker = site.work();
    // With a third one its failures would be five in a row, after which JobForge leaves a host alone for half a minute.
    fail(&site, &site.hook("hooks/shop"), 2);
    eventually("all are delivered", || counts(&site) == "delivered 2");
    let hooks = site.outside.hooks();
    assert_eq!(hooks.len(), 2);
    assert!(hooks.values().all(|hook| *hook == Hook { tries: 3, delivered: 1 }), "{hooks:?}");
    eventually("each is counted once", || {
        site.sql("SELECT sum(items_processed) FROM jobforge_jobs WHERE type = 'webhook_retry'") == "2"
    });
    let jobs = "SELECT count(*) FROM jobforge_jobs WHERE type = 'connector.webhook.deliver'";
    assert_eq!(site.sql(jobs), "2", "a job for each, however often the schedule ran");
}

#[test]
fn process_a_delivery_that_is_refused_for_good_counts_as_failed_until_somebody_mends_it() {
    let site = Site::with(include_str!("../../jobforge.toml"), &[], Manners { fail_first: 0, ..MANNERS });
    let worker = site.work();
    fail(&site, &site.hook("hooks/shop"), 4);
    fail(&site, &site.hook("nowhere"), 1);
    // Handed over; no end is known yet, or of some already.
    let first = site.run("webhook_retry");
    assert_eq!((first.status.as_str(), first.processed, first.failed, first.skipped), ("succeeded", 0, 0, 5));
    eventually("the jobs have ended", || {
        site.sql("SELECT count(*) FROM jobforge_jobs WHERE type = 'connector.webhook.deliver' AND finished_at IS NOT NULL") == "5"
    });
    assert_eq!(site.run("webhook_retry"), succeeded(4, 1, 0));
    assert_eq!(counts(&site), "delivered 4, gave_up 1");
    let why = site.sql("SELECT last_error FROM app.webhook_deliveries WHERE status = 'gave_up'");
    assert!(why.contains("404"), "{why}");
    worker.until_it_says("webhook_retry: webhook delivery 5 failed: ");
    // Somebody corrects it and has it delivered once more, as another round.
    let url = site.hook("hooks/shop");
    site.sql(&format!("UPDATE app.webhook_deliveries SET url = '{url}', status = 'failed' WHERE id = 5"));
    site.run("webhook_retry");
    eventually("it is delivered", || site.outside.hooks().contains_key("delivery-5"));
    eventually("and noted", || {
        site.run("webhook_retry");
        counts(&site) == "delivered 5"
    });
}
