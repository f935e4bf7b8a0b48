//! `jobforge db vacuum`: gives back the space of what was deleted.

use indicatif::HumanBytes;
use jobforge::store::StoreError;
use jobforge::store::rows::PartSize;
use jobforge::{OpenOptions, Purpose, open_store};

use crate::commands::Context;
use crate::failure::Failure;
use crate::output;

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    // A file is rebuilt by its owner only: whoever else has it open would be held up for as long as that takes.
    let options = OpenOptions::from_settings(&context.settings, Purpose::Own, false);
    let store = open_store(&options).await.map_err(|error| match &error {
        StoreError::InUse { .. } => Failure::from_store(&error)
            .hint("stop `jobforge up` or `serve`, run `jobforge db vacuum`, and start it again"),
        _ => context.explain_open(&error),
    })?;
    let before = store.sizes().await?;
    let bar = output::progress(before.len() as u64, "vacuum");
    let told = {
        let bar = bar.clone();
        move |part: &str| {
            bar.set_message(format!("vacuum {part}"));
            bar.inc(1);
        }
    };
    store.vacuum(&told).await?;
    bar.finish_and_clear();
    let after = store.sizes().await?;
    if context.json {
        return output::json(&serde_json::json!({ "before": before, "after": after }));
    }
    let bytes_after =
        |part: &PartSize| after.iter().find(|now| now.part == part.part).map_or(0, |now| now.bytes);
    let mut rows: Vec<Vec<String>> = before
        .iter()
        .map(|part| {
            vec![
                part.part.clone(),
                HumanBytes(part.bytes).to_string(),
                HumanBytes(bytes_after(part)).to_string(),
            ]
        })
        .collect();
    if rows.len() > 1 {
        let sum = |parts: &[PartSize]| HumanBytes(parts.iter().map(|part| part.bytes).sum()).to_string();
        rows.push(vec!["in all".to_owned(), sum(&before), sum(&after)]);
    }
    output::table(&["part", "before", "after"], &[1, 2], rows);
    if options.is_postgres() {
        output::note(
            "the space is free for new rows; only VACUUM FULL, which locks a table, gives it back to the disk",
        );
    }
    Ok(())
}
