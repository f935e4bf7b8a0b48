//! The tenants: what each has waiting and running, what of it fell, and that none is counted for another.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use jobforge_core::job::{NewJob, RunAt};
use jobforge_core::state::Status;
use jobforge_core::tenant::{Budgets, Fallen, Order, kinds, tenants};
use jobforge_store::Store;

use crate::fixtures::{
    at, claim_one, ended_job, enqueue, failure, job, moment, running_job, settle_one, success,
};

fn of(tenant: &str, job_type: &str) -> NewJob {
    NewJob { tenant_id: tenant.to_owned(), ..job(job_type) }
}

pub async fn tenants_are_told_with_what_waits_and_runs(store: Arc<dyn Store>) -> Result<()> {
    let nothing = store.tenant_loads(at(0)).await?;
    assert!(nothing.rows.is_empty() && nothing.as_of == moment(0) && nothing.stopped == Default::default());
    assert!(store.tenant_names("").await?.is_empty());

    // One of the usual tenant runs, and one of it waits for another attempt.
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    enqueue(&store, job("email"), at(1)).await?;
    let next = claim_one(&store, &worker, at(1)).await?;
    for seconds in [3, 2, 4] {
        enqueue(&store, of("acme", "email"), at(seconds)).await?;
    }
    enqueue(&store, NewJob { queue: "mail".to_owned(), ..of("acme", "report") }, at(5)).await?;
    enqueue(&store, NewJob { when: RunAt::At(moment(500)), ..of("acme", "email") }, at(4)).await?;
    ended_job(&store, Status::Succeeded, NewJob { queue: "x".to_owned(), ..of("over", "email") }, at(5))
        .await?;

    settle_one(&store, &worker, &next, failure("busy"), at(6)).await?;
    let usual = held.tenant_id.clone();
    let loads = store.tenant_loads(at(6)).await?;
    let names = store.tenant_names("").await?;
    let told = tenants(names, "", &loads, &Budgets::default(), Order::Waits);
    let told: Vec<_> = told
        .iter()
        .map(|t| (t.name.as_str(), t.ready, t.running, t.scheduled, t.retrying, t.oldest_ready_at))
        .collect();
    let expected = [
        ("acme", 4, 0, 1, 0, Some(moment(2))),
        (usual.as_str(), 0, 1, 1, 1, None),
        ("over", 0, 0, 0, 0, None),
    ];
    assert_eq!(told, expected);
    // What is due counts as ready, whether or not a claim has looked since.
    let later =
        tenants(Vec::new(), "ac", &store.tenant_loads(at(1000)).await?, &Budgets::default(), Order::Name);
    assert_eq!((later[0].name.as_str(), later[0].ready, later[0].scheduled), ("acme", 5, 0));

    let of_acme: BTreeMap<_, _> = kinds("acme", store.tenant_kinds("acme").await?, &loads)
        .into_iter()
        .map(|kind| ((kind.job_type, kind.queue), (kind.ready, kind.scheduled)))
        .collect();
    let kind = |job_type: &str, queue: &str| (job_type.to_owned(), queue.to_owned());
    let expected = [(kind("email", "default"), (3, 1)), (kind("report", "mail"), (1, 0))];
    assert_eq!(of_acme, BTreeMap::from(expected));
    assert_eq!(store.job_types().await?, ["email", "report"]);
    Ok(())
}

pub async fn tenants_are_found_by_how_their_names_begin(store: Arc<dyn Store>) -> Result<()> {
    for name in ["acme", "acme-2", "Acme", "ac%me", "ac_me", "globex", "ä"] {
        enqueue(&store, of(name, "email"), at(0)).await?;
    }
    let found = async |prefix: &str| -> Result<Vec<String>> {
        let mut names = store.tenant_names(prefix).await?;
        names.sort();
        Ok(names)
    };
    assert_eq!(found("acme").await?, ["acme", "acme-2"]);
    assert_eq!(found("ac_").await?, ["ac_me"]);
    assert_eq!(found("%").await?, [""; 0]);
    assert_eq!(found("ä").await?, ["ä"]);
    assert_eq!(found("").await?.len(), 7);
    Ok(())
}

pub async fn what_fell_of_a_tenant_is_counted_and_what_fell_lately(store: Arc<dyn Store>) -> Result<()> {
    let ends = [
        ("acme", Status::Dead, 0),
        ("acme", Status::Dead, 4000),
        ("acme", Status::Failed, 0),
        ("acme", Status::Failed, 4001),
        ("acme", Status::Failed, 4002),
        ("acme", Status::Canceled, 4002),
        ("globex", Status::Dead, 4003),
    ];
    for (number, (tenant, status, seconds)) in ends.into_iter().enumerate() {
        let new = NewJob { queue: format!("queue-{number}"), ..of(tenant, "email") };
        ended_job(&store, status, new, at(seconds)).await?;
    }
    let asked = ["nobody", "acme"].map(str::to_owned);
    let mut told = store.tenants_fallen(&asked, at(5000)).await?;
    told.sort_by(|a, b| a.tenant_id.cmp(&b.tenant_id));
    let acme = Fallen { tenant_id: "acme".to_owned(), failed_lately: 2, dead_lately: 1, dead: 2 };
    let nobody = Fallen { tenant_id: "nobody".to_owned(), ..Fallen::default() };
    assert_eq!(told, [acme, nobody]);
    assert!(store.tenants_fallen(&[], at(5000)).await?.is_empty());
    Ok(())
}

pub async fn a_tenants_success_takes_nothing_with_it(store: Arc<dyn Store>) -> Result<()> {
    let (worker, held) = running_job(&store, "worker-00000001", at(0)).await?;
    settle_one(&store, &worker, &held, success(), at(1)).await?;
    assert!(store.tenant_loads(at(2)).await?.rows.is_empty());
    assert_eq!(store.tenant_names("").await?, std::slice::from_ref(&held.tenant_id));
    Ok(())
}
