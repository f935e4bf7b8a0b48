//! Pages of the source in the application's tables.

use std::collections::{BTreeMap, BTreeSet};

use super::SOURCE;
use super::clip::{Clip, Refused};
use super::source::Page;
use crate::db::{self, Db, Sql};
use crate::trouble::Trouble;

const POSITION: Sql =
    Sql { action: "read how far the source was read", text: include_str!("../../sql/sync_position.sql") };
const MOVE: Sql =
    Sql { action: "move the position of the source", text: include_str!("../../sql/sync_move.sql") };
const CREATORS: Sql = Sql { action: "store creators", text: include_str!("../../sql/sync_creators.sql") };
const CLIPS: Sql = Sql { action: "store clips", text: include_str!("../../sql/sync_clips.sql") };
const REJECT: Sql = Sql { action: "note a refused clip", text: include_str!("../../sql/sync_reject.sql") };

/// What became of a page.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) unchanged: i64,
    pub(super) refused: Vec<(String, Refused)>,
}

/// How far the source was read.
pub(super) async fn position(db: &Db) -> Result<String, Trouble> {
    let mut client = db.client().await?;
    let transaction = db::begin(&mut client).await?;
    let rows = db::must(&transaction, POSITION, &[&SOURCE]).await?;
    let position = rows.first().map(|row| row.get(0)).unwrap_or_default();
    db::commit(transaction).await?;
    Ok(position)
}

/// Stores a page that was read from a position, and the position behind it.
pub(super) async fn page(db: &Db, from: &str, page: &Page) -> Result<Taken, Trouble> {
    let (clips, refused) = read(page);
    let creators: Vec<&str> =
        clips.values().map(|clip| clip.creator.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
    let stored: Vec<&Clip> = clips.values().collect();

    let mut client = db.client().await?;
    let transaction = db::begin(&mut client).await?;
    // First, and with its lock held to the end: whoever else stores this page waits here, and then finds it done.
    let moved = transaction
        .prepare_cached(MOVE.text)
        .await
        .map_err(|error| Trouble::database(MOVE.action, &error))?;
    let moved = transaction
        .execute(&moved, &[&SOURCE, &from, &page.next])
        .await
        .map_err(|error| Trouble::database(MOVE.action, &error))?;
    if moved == 0 {
        return Err(Trouble::Again {
            kind: "overtaken",
            message: format!(
                "position {from:?} was moved by another run, which goes on from there; nothing was stored twice"
            ),
        });
    }
    db::must(&transaction, CREATORS, &[&creators]).await?;
    let counted = db::must(&transaction, CLIPS, &[&serde_json::json!(stored)]).await?;
    for (id, why) in &refused {
        db::must(&transaction, REJECT, &[&SOURCE, id, &why.to_string()]).await?;
    }
    let (created, updated) = counted.first().map_or((0, 0), |row| (row.get(0), row.get(1)));
    db::commit(transaction).await?;
    let stored = i64::try_from(stored.len()).unwrap_or(i64::MAX);
    Ok(Taken { created, updated, unchanged: stored - created - updated, refused })
}

/// The clips of a page by id, each as it was told last, and those that cannot be stored.
fn read(page: &Page) -> (BTreeMap<String, Clip>, Vec<(String, Refused)>) {
    let (mut clips, mut refused) = (BTreeMap::new(), Vec::new());
    for value in &page.clips {
        match Clip::read(value) {
            Ok(clip) => {
                clips.insert(clip.id.clone(), clip);
            }
            Err(why) => {
                // Whatever it is, it is told and stored as text that people can read.
                let id = value["id"].as_str().filter(|id| !id.is_empty()).unwrap_or("without an id");
                let id = id.chars().filter(|character| !character.is_control()).take(100).collect();
                refused.push((id, why));
            }
        }
    }
    (clips, refused)
}
