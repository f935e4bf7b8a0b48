//! `jobforge token`: bearer tokens of the HTTP API.

use jobforge::TokenError;
use jobforge::core::time::{Now, add, parse_duration, since, words};
use jobforge::core::token::{NewToken, Scope, TokenRow};

use super::Context;
use crate::cli::TokenCommand;
use crate::failure::{self, Failure};
use crate::output;

pub(crate) async fn run(context: Context, command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create { name, scope, tenant, queues, good_for } => {
            let queues = (!queues.is_empty()).then_some(queues);
            create(&context, name, &scope, (tenant, queues), good_for.as_deref()).await
        }
        TokenCommand::List => list(&context).await,
        TokenCommand::Revoke { id } => revoke(&context, &id).await,
    }
}

async fn create(
    context: &Context,
    name: String,
    scopes: &[String],
    (tenant_id, queues): (Option<String>, Option<Vec<String>>),
    good_for: Option<&str>,
) -> Result<(), Failure> {
    let scopes = scopes.iter().map(|word| word.trim().parse::<Scope>()).collect::<Result<Vec<_>, _>>();
    let mut scopes = scopes.map_err(|fault| Failure::usage(format!("--scope: {fault}")))?;
    scopes.sort_unstable();
    scopes.dedup();
    let good_for = good_for.map(parse_duration).transpose();
    let good_for = good_for.map_err(|fault| Failure::usage(format!("--for: {fault}")))?;
    let client = context.visit().await?;
    let now = client.store().now().await?;
    let new = NewToken { name, scopes, tenant_id, queues, expires_at: good_for.map(|time| add(now, time)) };
    let (text, row) = client.create_token(new).await.map_err(|error| match error {
        TokenError::Bad(fault) => Failure::usage(fault.to_string()),
        TokenError::Store(error) => context.explain_open(&error),
    })?;
    if context.json {
        let mut view = serde_json::to_value(&row).unwrap_or_default();
        view["token"] = text.secret().into();
        return output::json(&view);
    }
    output::note("this is the token; it is shown only now:");
    output::say(text.secret());
    output::note(&format!(
        "take it back with {}",
        output::command(&format!("jobforge token revoke {}", row.id))
    ));
    Ok(())
}

async fn list(context: &Context) -> Result<(), Failure> {
    let client = context.visit().await?;
    let tokens = client.store().tokens().await?;
    if context.json {
        return output::json(&tokens);
    }
    if tokens.is_empty() {
        output::note("there is no token; make one with `jobforge token create NAME --scope operate`");
        return Ok(());
    }
    let now = client.store().now().await?;
    let row = |token: &TokenRow| {
        let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
        let ago = |at| format!("{} ago", words(since(now, at)));
        vec![
            token.prefix(),
            token.name.clone(),
            scopes.join(","),
            token.tenant_id.clone().unwrap_or_else(|| "all".to_owned()),
            token.queues.as_ref().map_or_else(|| "all".to_owned(), |queues| queues.join(",")),
            token.standing(now).as_str().to_owned(),
            token.expires_at.map_or_else(|| "never".to_owned(), |at| format!("{at:.0}")),
            token.last_used_at.map_or_else(|| "never".to_owned(), ago),
            format!("{} by {}", ago(token.created_at), token.created_by),
        ]
    };
    output::table(
        &["token", "name", "scopes", "tenant", "queues", "is", "expires", "last used", "made"],
        &[],
        tokens.iter().map(row).collect(),
    );
    Ok(())
}

async fn revoke(context: &Context, given: &str) -> Result<(), Failure> {
    // Who has the whole token at hand may give it; only its id is looked at.
    let id = given.split('_').nth(1).filter(|_| given.starts_with("jf")).unwrap_or(given);
    let client = context.visit().await?;
    if !client.store().revoke_token(id, client.by(), Now::Database).await? {
        return Err(Failure::new(
            failure::NOT_FOUND,
            format!("there is no token {id}, or it was revoked already"),
        )
        .hint("`jobforge token list` shows what there is"));
    }
    if context.json {
        return output::json(&serde_json::json!({ "id": id, "revoked": true }));
    }
    output::note(&format!("token {id} is revoked; within seconds it opens nothing any more"));
    Ok(())
}
