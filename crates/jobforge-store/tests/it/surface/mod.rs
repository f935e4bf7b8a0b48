//! The SQL surface of PostgreSQL, as programs see it that have nothing but SQL.

mod bad_calls;
mod bad_input;
mod catalog;
mod functions;
mod restore;
mod roles;
mod tenants;
mod worker;

use std::sync::Arc;

use anyhow::{Context, ensure};
use jobforge_store::Store;
use jobforge_store::postgres::{Pooler, PostgresOptions, PostgresStore};
use testkit::Result;
use testkit::postgres::{Cluster, ClusterOptions, TestDatabase, psql};

/// Makes a function that prints every row of every table, so that two looks show whether anything was changed. Rows in
/// which none of the words occurs are left out.
const CONTENT: &str = r"
    CREATE FUNCTION content(VARIADIC words text[] DEFAULT ARRAY['']) RETURNS text LANGUAGE plpgsql AS $$
    DECLARE
      relation regclass;
      rows text;
      whole text := '';
    BEGIN
      FOR relation IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname LOOP
        EXECUTE format('SELECT string_agg(t::text, E''\n'' ORDER BY t::text) FROM %s t WHERE EXISTS (SELECT FROM unnest($1) w WHERE strpos(t::text, w) > 0)', relation)
          INTO rows USING words;
        whole := whole || relation::text || E'\n' || coalesce(rows, '') || E'\n';
      END LOOP;
      RETURN whole;
    END $$";

/// Text that has done harm elsewhere.
const HOSTILE: &[&str] = &[
    "'; DROP TABLE jobforge_jobs; --",
    "$1 $2 %s %_\\ {0} ${x} `id`",
    "\\x00 \\u0000 #>> @> ?| -> ->>",
    "<script>alert(1)</script>",
    "\u{1b}[2J\u{1b}[31mred\u{202e}reversed\u{7}",
    "line\nERROR forged=1\r\nX-Injected: 1",
    "=cmd()|' /C calc'!A0",
    "\u{ffff}\u{fdd0}😀e\u{301}",
];

/// A migrated database with roles and views, on the server that all tests share.
struct Scene {
    store: Arc<dyn Store>,
    database: TestDatabase,
}

async fn scene() -> Result<Scene> {
    let (store, database) = crate::postgres::with_database(Pooler::Off).await?;
    store.sql_surface(true).await?;
    Ok(Scene { store, database })
}

impl Scene {
    /// What the statements print; they must succeed.
    fn sql(&self, text: &str) -> Result<String> {
        Ok(self.database.psql(text)?.trim().to_owned())
    }

    /// The same as another role, which acts for a tenant or for none.
    fn sql_as(&self, role: &str, tenant: Option<&str>, text: &str) -> Result<String> {
        let tenant = tenant.map_or(String::new(), |tenant| format!("SET jobforge.tenant = '{tenant}';"));
        self.sql(&format!("SET ROLE {role}; {tenant} {text}"))
    }

    fn enqueue(&self, tenant: &str, job_type: &str) -> Result<String> {
        self.sql(&format!("SELECT jobforge_enqueue_job('{tenant}', '{job_type}', '{{\"n\": 1}}') ->> 'id'"))
    }

    /// Takes one job and returns its id and lease.
    fn claim(&self, worker: &str) -> Result<(String, String)> {
        let line = self.sql(&format!("SELECT id, lease FROM jobforge_claim_jobs('{worker}', 1)"))?;
        let (id, lease) = line.split_once('|').with_context(|| format!("{worker} got nothing: {line:?}"))?;
        Ok((id.to_owned(), lease.to_owned()))
    }

    fn field(&self, id: &str, expression: &str) -> Result<String> {
        self.sql(&format!("SELECT {expression} FROM jobforge_jobs WHERE id = '{id}'"))
    }
}

/// Fails unless the statement was refused with this word, and with a way out.
#[track_caller]
fn refused(outcome: Result<String>, word: &str) -> Result<()> {
    let text = match outcome {
        Ok(answer) => anyhow::bail!("it was allowed, and answered {answer:?}; it should have said {word}"),
        Err(error) => format!("{error:#}"),
    };
    ensure!(text.contains(&format!("DETAIL:  code: {word}\n")), "{text}\nhas no code {word}");
    ensure!(text.contains("HINT:  "), "{text}\nhas no hint");
    Ok(())
}

/// A server of a test's own, for what would be in other tests' way: roles that can log in.
struct Own {
    cluster: Cluster,
}

impl Own {
    fn start() -> Result<Self> {
        Ok(Self { cluster: Cluster::start(&ClusterOptions::default())? })
    }

    fn sql(&self, text: &str) -> Result<String> {
        Ok(self.cluster.psql(text)?.trim().to_owned())
    }

    /// The maintenance database, as another user.
    fn url(&self, user: &str) -> String {
        self.cluster.server().url().replace("postgres@", &format!("{user}@"))
    }

    fn sql_of(&self, user: &str, text: &str) -> Result<String> {
        Ok(psql(&self.url(user), text)?.trim().to_owned())
    }

    async fn store(&self, user: &str) -> Result<PostgresStore> {
        Ok(PostgresStore::connect(PostgresOptions::new(self.url(user))).await?)
    }
}
