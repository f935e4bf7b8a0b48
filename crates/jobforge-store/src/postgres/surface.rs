//! What other programs see of the database: roles with their rights, and the views that the runbooks ask.

use sha2::{Digest, Sha256};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};

use super::PostgresStore;
use crate::error::Result;

/// A view that a runbook names.
struct View {
    name: &'static str,
    create: &'static str,
}

const VIEWS: [View; 4] = [
    View { name: "qc_jobs", create: include_str!("../../views/postgres/qc_jobs.sql") },
    View { name: "executions", create: include_str!("../../views/postgres/executions.sql") },
    View { name: "worker_heartbeats", create: include_str!("../../views/postgres/worker_heartbeats.sql") },
    View { name: "job_dlq", create: include_str!("../../views/postgres/job_dlq.sql") },
];

/// What is there under a view's name, as far as the search path leads.
const FOUND: &str = "SELECT c.relkind::text, coalesce(obj_description(c.oid, 'pg_class'), '') FROM pg_class c \
                     WHERE c.oid = to_regclass($1)";

impl View {
    /// Stands in the view's comment: it tells our views from others, and one version from the next.
    fn mark(&self) -> String {
        let digest = Sha256::digest(self.create.as_bytes());
        let print: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("JobForge runbook view {print}")
    }

    /// Makes the view unless something else has its name; says what was done, or nothing when it is there already.
    async fn put(
        &self,
        transaction: &Transaction<'_>,
    ) -> std::result::Result<Option<String>, tokio_postgres::Error> {
        let rows = transaction.query_typed(FOUND, &[(&self.name, Type::TEXT)]).await?;
        let (name, mark) = (self.name, self.mark());
        let mut done = format!("created view {name}");
        if let Some(row) = rows.first() {
            let (kind, comment): (String, String) = (row.get(0), row.get(1));
            if comment == mark {
                return Ok(None);
            }
            if kind != "v" || !comment.starts_with("JobForge runbook view ") {
                return Ok(Some(format!(
                    "left {name} alone: a relation of that name that is not JobForge's exists; the runbooks' SQL on {name} asks that one"
                )));
            }
            transaction.batch_execute(&format!("DROP VIEW {name}")).await?;
            done = format!("replaced view {name}");
        }
        transaction.batch_execute(self.create).await?;
        transaction.batch_execute(&format!("COMMENT ON VIEW {name} IS '{mark}'")).await?;
        Ok(Some(done))
    }
}

impl PostgresStore {
    /// Gives the roles their rights, and makes the runbooks' views first if asked to.
    pub(super) async fn surface(&self, client: &mut Client, views: bool) -> Result<Vec<String>> {
        let fault = |error| self.fault("grant", error);
        let transaction = client.transaction().await.map_err(fault)?;
        super::admin::lock(&transaction).await.map_err(fault)?;
        let mut done = Vec::new();
        if views {
            for view in &VIEWS {
                done.extend(view.put(&transaction).await.map_err(fault)?);
            }
        }
        let rows = transaction.query_typed("SELECT jobforge_grant()", &[]).await.map_err(fault)?;
        done.extend(rows.iter().map(|row| row.get::<_, String>(0)));
        transaction.commit().await.map_err(fault)?;
        Ok(done)
    }
}
