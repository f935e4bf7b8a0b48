//! Running statements: prepared or unnamed, on the database's clock or a fixed one, with errors a caller can act on.

use deadpool_postgres::{Client, PoolError};
use jobforge_core::time::Now;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{GenericClient, Row, Statement, error::SqlState};

use super::PostgresStore;
use crate::error::{Result, StoreError};
use crate::meter;

/// How often a call is tried when it loses to a concurrent one by deadlock or serialization failure.
pub(super) const CONFLICT_TRIES: u32 = 4;

/// Overrides the session's option of one plan for all parameters until the transaction ends.
const PLAN_WITH_PARAMETERS: &str = "SET LOCAL plan_cache_mode = force_custom_plan";

/// One statement of `sql/postgres/`.
#[derive(Debug)]
pub(super) struct Sql {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    pub(super) types: &'static [Type],
    pub(super) plans: Plans,
}

/// When a statement is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plans {
    /// Once per connection: one plan is right for all parameters. Planning a claim takes longer than running it.
    Once,
    /// Each time: which index serves it depends on which filters are null.
    EachTime,
}

/// Makes a [`Sql`] from a file and its parameter types; `each_time` before them if no one plan suits all parameters.
macro_rules! sql {
    (each_time $name:literal $(, $type:ident)* $(,)?) => {
        $crate::postgres::session::Sql {
            plans: $crate::postgres::session::Plans::EachTime,
            ..$crate::postgres::session::sql!($name $(, $type)*)
        }
    };
    ($name:literal $(, $type:ident)* $(,)?) => {
        $crate::postgres::session::Sql {
            name: $name,
            text: include_str!(concat!("../../sql/postgres/", $name, ".sql")),
            types: &[$(tokio_postgres::types::Type::$type),*],
            plans: $crate::postgres::session::Plans::Once,
        }
    };
}
pub(super) use sql;

/// Parameters of a statement, in order.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Runs a statement on a connection or in a transaction.
pub(super) async fn run<C: GenericClient + Sync>(
    client: &C,
    prepared: Option<&Statement>,
    sql: &Sql,
    params: Params<'_>,
) -> std::result::Result<Vec<Row>, tokio_postgres::Error> {
    match prepared {
        Some(statement) => client.query(statement, params).await,
        None => {
            let typed: Vec<_> = params.iter().copied().zip(sql.types.iter().cloned()).collect();
            client.query_typed(sql.text, &typed).await
        }
    }
}

impl PostgresStore {
    /// Runs one statement as one transaction and tries again when it lost to a concurrent one.
    pub(super) async fn query(&self, at: Now, sql: &'static Sql, params: Params<'_>) -> Result<Vec<Row>> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.query_once(at, sql, params).await {
                Err(Attempted::Conflict(_)) if tries < CONFLICT_TRIES => {}
                Err(Attempted::Conflict(error) | Attempted::Final(error)) => return Err(error),
                Ok(rows) => return Ok(rows),
            }
        }
    }

    async fn query_once(
        &self,
        at: Now,
        sql: &'static Sql,
        params: Params<'_>,
    ) -> std::result::Result<Vec<Row>, Attempted> {
        let mut client = self.client(sql.name).await.map_err(Attempted::Final)?;
        let watch = self.slow.watch(sql.name);
        let fault = |error| self.attempted(sql.name, error);
        let prepared = self.prepare(&client, sql).await.map_err(fault)?;
        let rows = match (at, sql.plans) {
            (Now::Database, Plans::Once) => {
                run(&**client, prepared.as_ref(), sql, params).await.map_err(fault)?
            }
            (Now::Fixed(_), _) | (_, Plans::EachTime) => {
                let transaction = client.transaction().await.map_err(fault)?;
                fix_clock(&*transaction, at).await.map_err(fault)?;
                if sql.plans == Plans::EachTime {
                    transaction.batch_execute(PLAN_WITH_PARAMETERS).await.map_err(fault)?;
                }
                let rows = run(&*transaction, prepared.as_ref(), sql, params).await.map_err(fault)?;
                transaction.commit().await.map_err(fault)?;
                rows
            }
        };
        watch.done();
        Ok(rows)
    }

    /// Takes a connection from the pool.
    pub(super) async fn client(&self, call: &'static str) -> Result<Client> {
        self.pool.get().await.map_err(|error| {
            meter::reached(false);
            match error {
                PoolError::Backend(error) => map_error(&self.location, call, error),
                other => StoreError::Unreachable { location: self.location.clone(), source: other.into() },
            }
        })
    }

    /// The statement as prepared on this connection; none behind a pooler, where names do not last.
    pub(super) async fn prepare(
        &self,
        client: &Client,
        sql: &Sql,
    ) -> std::result::Result<Option<Statement>, tokio_postgres::Error> {
        if self.pooled {
            return Ok(None);
        }
        client.prepare_typed_cached(sql.text, sql.types).await.map(Some)
    }

    pub(super) fn fault(&self, call: &'static str, error: tokio_postgres::Error) -> StoreError {
        map_error(&self.location, call, error)
    }

    pub(super) fn attempted(&self, call: &'static str, error: tokio_postgres::Error) -> Attempted {
        let conflict = error.code().is_some_and(|code| {
            [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE].contains(code)
        });
        let error = self.fault(call, error);
        if conflict { Attempted::Conflict(error) } else { Attempted::Final(error) }
    }
}

/// How a try failed.
pub(super) enum Attempted {
    /// Against a concurrent transaction; nothing happened, and another try may succeed.
    Conflict(StoreError),
    /// Otherwise.
    Final(StoreError),
}

/// Makes `jobforge_now()` answer a fixed moment until the transaction ends.
pub(super) async fn fix_clock<C: GenericClient + Sync>(
    transaction: &C,
    at: Now,
) -> std::result::Result<(), tokio_postgres::Error> {
    if let Some(moment) = at.fixed() {
        let sql = "SELECT set_config('jobforge.now', $1, true)";
        transaction.query_typed(sql, &[(&moment.to_string(), Type::TEXT)]).await?;
    }
    Ok(())
}

/// Sorts a driver's error by what a caller can do about it.
pub(super) fn map_error(location: &str, call: &'static str, error: tokio_postgres::Error) -> StoreError {
    let location = location.to_owned();
    let Some(code) = error.code().cloned() else {
        // No answer of the server: the connection could not be made, or broke.
        meter::reached(false);
        let made = error.is_closed() || call != "connect";
        let source = error.into();
        return if made {
            StoreError::Interrupted { location, call, source }
        } else {
            StoreError::Unreachable { location, source }
        };
    };
    let source = error.into();
    match code.code() {
        "28P01" | "28000" | "3D000" => StoreError::Refused { location, source },
        "42501" => StoreError::NotAllowed { location, call, source },
        "25006" => StoreError::ReadOnly { location, source },
        "53100" => StoreError::Full { location, source },
        "53300" | "57P03" => StoreError::Unreachable { location, source },
        "57014" | "57P01" | "57P02" | "57P05" | "40001" | "40P01" | "55P03" => {
            StoreError::Interrupted { location, call, source }
        }
        _ => StoreError::Failed { location, call, source },
    }
}
