//! How the tenants are, asked of a store within bounds whatever it holds.

use jobforge_core::settings::Settings;
use jobforge_core::tenant::{self, Budgets, Load, Loads, Order, Tenant, TenantList};
use jobforge_core::time::Now;
use jobforge_store::{Store, StoreError};

/// Which tenants, and in which order.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Only this one.
    pub only: Option<String>,
    /// Only those whose name begins like this.
    pub prefix: String,
    /// What comes first.
    pub order: Order,
    /// At most so many.
    pub limit: usize,
}

/// The tenants that were asked for.
///
/// # Errors
/// When the store fails.
pub async fn list(store: &dyn Store, settings: &Settings, ask: &Ask) -> Result<TenantList, StoreError> {
    let names = async {
        match &ask.only {
            Some(own) => Ok(vec![own.clone()]),
            None => store.tenant_names(&ask.prefix).await,
        }
    };
    let (names, loads) = tokio::try_join!(names, store.tenant_loads(Now::Database))?;
    let mut tenants = tenant::tenants(names, &ask.prefix, &loads, &Budgets::of(settings), ask.order);
    tenants.retain(|tenant| {
        ask.only.as_ref().is_none_or(|own| *own == tenant.name) && tenant.name.starts_with(&ask.prefix)
    });
    let more = tenants.len().saturating_sub(ask.limit) as u64;
    tenants.truncate(ask.limit);
    add_fallen(store, &mut tenants).await?;
    Ok(TenantList { as_of: loads.as_of, tenants, more, stopped: loads.stopped })
}

/// One tenant with its types and queues; the tenant's numbers are as in the list.
///
/// # Errors
/// When the store fails.
pub async fn one(
    store: &dyn Store,
    settings: &Settings,
    name: &str,
) -> Result<(Tenant, Vec<Load>, Loads), StoreError> {
    let (known, loads) = tokio::try_join!(store.tenant_kinds(name), store.tenant_loads(Now::Database))?;
    let own = |tenant: &Tenant| tenant.name == name;
    let all = tenant::tenants(vec![name.to_owned()], name, &loads, &Budgets::of(settings), Order::Name);
    let mut found: Vec<Tenant> = all.into_iter().filter(own).collect();
    add_fallen(store, &mut found).await?;
    let kinds = tenant::kinds(name, known, &loads);
    Ok((found.pop().unwrap_or_default(), kinds, loads))
}

async fn add_fallen(store: &dyn Store, tenants: &mut [Tenant]) -> Result<(), StoreError> {
    let names: Vec<String> = tenants.iter().map(|tenant| tenant.name.clone()).collect();
    for fallen in store.tenants_fallen(&names, Now::Database).await? {
        if let Some(tenant) = tenants.iter_mut().find(|tenant| tenant.name == fallen.tenant_id) {
            tenant.fell(&fallen);
        }
    }
    Ok(())
}
