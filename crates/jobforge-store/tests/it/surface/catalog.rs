//! Everything that the catalog holds, as two tenants see it: a relation or function without a case here fails the tests.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use testkit::Result;

use super::{HOSTILE, Scene, scene};

/// What the roles of tenants may read: each with a row of either tenant in the scene of [`two`].
const READABLE: [&str; 10] = [
    "executions",
    "job_dlq",
    "jobforge_connector_configs",
    "jobforge_job_attempts",
    "jobforge_job_logs",
    "jobforge_job_progress",
    "jobforge_job_results",
    "jobforge_jobs",
    "qc_jobs",
    "worker_heartbeats",
];

/// Functions that anybody may call, because policies and defaults call them: they tell of the caller and of the clock.
const OPEN: [&str; 3] = ["jobforge_is_trusted(name)", "jobforge_now()", "jobforge_tenant()"];

/// How each function that tenants may call is aimed at another tenant.
///
/// `:job` is each of blue's jobs in turn, and then one that does not exist: a tenant has to get the same answer. Where the
/// call names blue itself, `:tenant` is blue, and then a tenant that does not exist.
const CALLS: &[(&str, &[&str])] = &[
    (
        "jobforge_enqueue_job(text,text,jsonb,text,timestamp with time zone,integer,text,integer,bigint,text[])",
        &["jobforge_enqueue_job(:tenant, 't', '{}', 'key-of-blue')"],
    ),
    (
        "jobforge_enqueue_job(uuid,text,jsonb,text,timestamp with time zone,integer,text,integer,bigint,text[])",
        &["jobforge_enqueue_job(CAST(:uuid AS uuid), 't', '{}')"],
    ),
    (
        "jobforge_list_jobs(text,jsonb)",
        &["jobforge_list_jobs(:tenant)", "jobforge_list_jobs(:tenant, '{\"status\": \"dead\"}')"],
    ),
    ("jobforge_list_jobs(uuid,jsonb)", &["jobforge_list_jobs(CAST(:uuid AS uuid))"]),
    (
        "jobforge_cancel_job(uuid,text)",
        &["jobforge_cancel_job(:job, :mine)", "jobforge_cancel_job(:job, :tenant)"],
    ),
    ("jobforge_cancel_job(uuid,uuid)", &["jobforge_cancel_job(:job, CAST(:uuid AS uuid))"]),
    (
        "jobforge_reschedule_job(uuid,text,timestamp with time zone)",
        &["jobforge_reschedule_job(:job, :mine)", "jobforge_reschedule_job(:job, :tenant, now())"],
    ),
    (
        "jobforge_reschedule_job(uuid,uuid,timestamp with time zone)",
        &["jobforge_reschedule_job(:job, CAST(:uuid AS uuid))"],
    ),
    (
        "jobforge_claim_jobs(text,integer,text[],text[],integer)",
        &["jobforge_claim_jobs(:myworker, 1000, ARRAY['default', 'queue-of-blue'])"],
    ),
    (
        "jobforge_heartbeat_job(uuid,text,bigint,integer,text,text)",
        &[
            "jobforge_heartbeat_job(:job, :worker)",
            "jobforge_heartbeat_job(:job, :worker, 1, 50, 'm', 'p')",
            "jobforge_heartbeat_job(:job, :myworker)",
        ],
    ),
    (
        "jobforge_complete_job(uuid,text,text,jsonb,jsonb,text,bigint)",
        &[
            "jobforge_complete_job(:job, :worker, 'succeeded')",
            "jobforge_complete_job(:job, :worker, 'failed', '{}', p_lease => 1)",
            "jobforge_complete_job(:job, :myworker, 'succeeded')",
        ],
    ),
    ("jobforge_leave_worker(text)", &["jobforge_leave_worker(:worker)"]),
];

const ROLES: [&str; 2] = ["jobforge_app", "jobforge_readonly"];
/// Settings of a role that acts for nobody.
const NOBODY: [&str; 3] = ["", "SET jobforge.tenant = '';", "SET app.tenant_id = '';"];
const MISSING: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// `acme` and `blue` have a row in every readable relation. In all that is blue's stands the word blue, or an id of it.
struct Two {
    scene: Scene,
    /// Blue's jobs: queued, running, dead, succeeded, canceled.
    blues: Vec<String>,
}

async fn two() -> Result<Two> {
    let scene = scene().await?;
    scene.sql(super::CONTENT)?;
    let mut blues = Vec::new();
    for tenant in ["acme", "blue"] {
        let put = |tail: &str| {
            scene.sql(&format!(
                "SELECT jobforge_enqueue_job('{tenant}', 't', '{{\"file_name\": \"{tenant}.mov\"}}'{tail}) ->> 'id'"
            ))
        };
        let [dead, done, canceled, running] = [put("")?, put("")?, put("")?, put("")?];
        let worker = format!("worker-{tenant}");
        scene.sql(&format!(
            "SELECT jobforge_claim_jobs('{worker}', 4, p_lease_seconds => 3600);
             SELECT jobforge_heartbeat_job('{running}', '{worker}', NULL, 5, 'message of {tenant}', 'phase of {tenant}');
             SELECT jobforge_complete_job('{done}', '{worker}', 'succeeded', NULL, '\"result of {tenant}\"');
             SELECT jobforge_cancel_job('{canceled}', '{tenant}');
             UPDATE jobforge_jobs SET max_attempts = 1 WHERE id = '{dead}';
             SELECT jobforge_complete_job('{dead}', '{worker}', 'failed', '{{\"message\": \"error of {tenant}\"}}');
             INSERT INTO jobforge_job_logs VALUES ('{dead}', 1, 1, 'log of {tenant}', now());
             INSERT INTO jobforge_connector_configs (tenant_id, connector_type) VALUES ('{tenant}', 'http');"
        ))?;
        let queued = put(&format!(
            ", 'key-of-{tenant}', p_queue => 'queue-of-{tenant}', p_tags => ARRAY['tag of {tenant}']"
        ))?;
        blues = vec![queued, running, dead, done, canceled];
    }
    Ok(Two { scene, blues })
}

impl Two {
    /// All that is blue's. That a worker of somebody else asks for blue's queue is not.
    fn content(&self) -> Result<String> {
        let words: Vec<String> = self.blues.iter().map(|id| format!("'{id}'")).collect();
        let all = self.scene.sql(&format!("SELECT content('blue', {})", words.join(", ")))?;
        let others = |line: &&str| line.starts_with("(worker-") && !line.starts_with("(worker-blue,");
        Ok(all.lines().filter(|line| !others(line)).collect::<Vec<_>>().join("\n"))
    }

    fn tells_of_blue(&self, text: &str) -> bool {
        text.contains("blue") || self.blues.iter().any(|id| text.contains(id))
    }

    /// What a call answers or why it is refused, with the ids and names that it was given taken out.
    fn answer(&self, role: &str, setting: &str, call: &str, given: &[&str]) -> String {
        let text = format!("\\set VERBOSITY verbose\nSET ROLE {role}; {setting} SELECT {call}");
        let told = match self.scene.sql(&text) {
            Ok(answer) => format!("answered {answer}"),
            Err(error) => format!("{error:#}"),
        };
        given.iter().fold(told, |told, given| told.replace(given, "GIVEN"))
    }
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_roles_of_tenants_read_the_relations_listed_here_and_nothing_else_of_the_catalog() -> Result<()> {
    let Two { scene, .. } = two().await?;
    let all = lines(&scene.sql(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')",
    )?);
    ensure!(READABLE.iter().all(|name| all.contains(*name)), "{all:?}");
    for role in ROLES {
        for name in &all {
            let rights = scene.sql(&format!(
                "SELECT string_agg(p, ',') FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER', 'USAGE']) p
                 WHERE CASE
                   WHEN (SELECT relkind FROM pg_class WHERE oid = '{name}'::regclass) = 'S' THEN p IN ('SELECT', 'UPDATE', 'USAGE') AND has_sequence_privilege('{role}', '{name}', p)
                   WHEN p IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') THEN has_any_column_privilege('{role}', '{name}', p)
                   ELSE p <> 'USAGE' AND has_table_privilege('{role}', '{name}', p)
                 END"
            ))?;
            let expected = if READABLE.contains(&name.as_str()) { "SELECT" } else { "" };
            ensure!(rights == expected, "{role} has {rights:?} on {name}, which should be {expected:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn no_readable_relation_tells_a_tenant_of_another() -> Result<()> {
    let two = two().await?;
    for role in ROLES {
        for name in READABLE {
            let see = |setting: &str| {
                two.scene.sql(&format!("SET ROLE {role}; {setting} SELECT t::text FROM {name} t"))
            };
            let acme = see("SET jobforge.tenant = 'acme';")?;
            let blue = see("SET jobforge.tenant = 'blue';")?;
            ensure!(!acme.is_empty() && !blue.is_empty(), "{name} has no row of either tenant");
            ensure!(two.tells_of_blue(&blue), "{name}: nothing in {blue:?} would show");
            ensure!(!two.tells_of_blue(&acme), "{role} as acme sees in {name}: {acme}");
            ensure!(!blue.contains("acme"), "{role} as blue sees in {name}: {blue}");
            let nonsense =
                HOSTILE.iter().chain(&["ACME", "acme ", " acme", "acme%", "*", "acme,blue", "null"]);
            let settings = nonsense.map(|tenant| format!("SET jobforge.tenant = {};", quoted(tenant)));
            let look =
                |setting: String| format!("{setting} SELECT {}, t::text FROM {name} t;", quoted(&setting));
            let script: String = NOBODY.iter().map(ToString::to_string).chain(settings).map(look).collect();
            let seen = two.scene.sql(&format!("SET ROLE {role}; {script}"))?;
            ensure!(seen.is_empty(), "{role} sees in {name}: {seen}");
            // A condition that fails on a row must not tell of rows that are hidden.
            let probe = format!(
                "SET ROLE {role}; SET jobforge.tenant = 'acme'; SELECT count(*) FROM {name} t WHERE 1 / (t::text NOT LIKE '%blue%')::integer = 1"
            );
            ensure!(two.scene.sql(&probe)?.parse::<u32>()? > 0, "{name}");
        }
    }
    Ok(())
}

/// A text as SQL.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[tokio::test]
async fn every_view_is_a_barrier_that_asks_for_the_tenant() -> Result<()> {
    let Two { scene, .. } = two().await?;
    let loose = scene.sql(
        "SELECT string_agg(relname, ', ') FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'm')
           AND NOT (coalesce(reloptions, '{}') && ARRAY['security_invoker=true', 'security_invoker=on']
             OR (reloptions && ARRAY['security_barrier=true', 'security_barrier=on'] AND pg_get_viewdef(oid) LIKE '%jobforge_tenant()%'))",
    )?;
    ensure!(loose.is_empty(), "{loose}");
    Ok(())
}

#[tokio::test]
async fn every_function_has_a_case_or_is_closed_to_the_roles_of_tenants() -> Result<()> {
    let Two { scene, .. } = two().await?;
    for role in ROLES {
        let callable = lines(&scene.sql(&format!(
            "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname <> 'content'
               AND has_function_privilege('{role}', oid, 'EXECUTE')"
        ))?);
        let known: BTreeSet<String> =
            CALLS.iter().map(|(name, _)| *name).chain(OPEN).map(str::to_owned).collect();
        let without: Vec<_> = callable.difference(&known).collect();
        ensure!(
            without.is_empty(),
            "{role} may call these, and nothing here shows what they tell a stranger: {without:?}"
        );
        if role == "jobforge_app" {
            ensure!(known == callable, "these are not there any more: {:?}", known.difference(&callable));
        }
    }
    Ok(())
}

#[tokio::test]
async fn no_function_tells_a_tenant_whether_anything_of_another_exists() -> Result<()> {
    let two = two().await?;
    // Acme's own worker is there, and has nothing to do.
    two.scene.sql_as(
        "jobforge_app",
        Some("acme"),
        "SELECT jobforge_claim_jobs('worker-mine', 1000, ARRAY['none'])",
    )?;
    let before = two.content()?;
    for (name, calls) in CALLS {
        for call in *calls {
            for job in &two.blues {
                let aim = |job: &str, tenant: &str, worker: &str| {
                    let call = call
                        .replace(":job", &quoted(job))
                        .replace(":tenant", &quoted(tenant))
                        .replace(":uuid", &quoted(if tenant == "blue" { &two.blues[0] } else { MISSING }))
                        .replace(":worker", &quoted(worker))
                        .replace(":myworker", "'worker-mine'")
                        .replace(":mine", "'acme'");
                    let given = [job, tenant, worker, two.blues[0].as_str(), MISSING];
                    two.answer("jobforge_app", "SET jobforge.tenant = 'acme';", &call, &given)
                };
                let (foreign, missing) =
                    (aim(job, "blue", "worker-blue"), aim(MISSING, "green", "worker-green"));
                ensure!(foreign == missing, "{name}: {call}\n{foreign}\nis not\n{missing}");
                ensure!(!two.tells_of_blue(&foreign), "{name}: {call}: {foreign}");
                if !call.contains("claim") {
                    ensure!(foreign.contains("DETAIL:  code: "), "{name}: {call} was allowed: {foreign}");
                }
                if !call.contains(":job") {
                    break;
                }
            }
        }
    }
    ensure!(two.content()? == before, "something of blue's was changed");
    Ok(())
}

#[tokio::test]
async fn every_function_is_closed_without_a_tenant_and_empty_for_one_that_does_not_exist() -> Result<()> {
    let two = two().await?;
    let before = two.content()?;
    for (name, calls) in CALLS {
        for call in *calls {
            let call = call
                .replace(":job", &quoted(&two.blues[1]))
                .replace(":tenant", "'blue'")
                .replace(":uuid", &quoted(&two.blues[0]))
                .replace(":worker", "'worker-blue'")
                .replace(":myworker", "('worker-' || md5(current_setting('jobforge.tenant', true)))")
                .replace(":mine", "'blue'");
            for nobody in NOBODY {
                let told = two.answer("jobforge_app", nobody, &call, &[]);
                ensure!(
                    told.contains("ERROR:  JF403: ") && told.contains("code: tenant_missing"),
                    "{name}: {call} with {nobody:?}: {told}"
                );
            }
            for nonsense in ["green", "BLUE", "blue ", "blue' OR true --"] {
                let setting = format!("SET jobforge.tenant = {};", quoted(nonsense));
                let told = two.answer("jobforge_app", &setting, &call, &["'blue'"]);
                let nothing = told == "answered " && call.contains("claim");
                let refused = ["tenant_mismatch", "job_not_found", "worker_unknown", "bad_name"]
                    .iter()
                    .any(|word| told.contains(&format!("code: {word}")));
                ensure!(nothing || refused, "{name}: {call} as {nonsense:?}: {told}");
            }
            // The readonly role reads, and what it may read is told above.
            let told = two.answer("jobforge_readonly", "SET jobforge.tenant = 'acme';", &call, &[]);
            ensure!(
                told.contains("permission denied")
                    || (name.contains("list_jobs") && told.contains("tenant_mismatch")),
                "{name}: {call}: {told}"
            );
        }
    }
    ensure!(two.content()? == before, "something of blue's was changed");
    Ok(())
}

#[tokio::test]
async fn one_key_in_two_tenants_is_two_jobs() -> Result<()> {
    let two = two().await?;
    let put = "SELECT j ->> 'id', j ->> 'created' FROM jobforge_enqueue_job('acme', 't', '{\"other\": true}', 'key-of-blue') j";
    let made = two.scene.sql_as("jobforge_app", Some("acme"), put)?;
    let (id, created) = made.split_once('|').context("a row")?;
    ensure!(created == "true" && !two.blues.iter().any(|blue| blue == id), "{made}");
    Ok(())
}
