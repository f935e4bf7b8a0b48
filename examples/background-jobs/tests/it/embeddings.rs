//! Vectors of titles.

use background_jobs::vector;

use crate::site::{Site, succeeded};

#[test]
fn process_new_titles_become_vectors_once_and_again_when_they_change() {
    let site = Site::new();
    let _worker = site.work();
    site.sql(
        "INSERT INTO app.users (name) VALUES ('ada');
         INSERT INTO app.clips (source_id, title, creator_id, created_at)
         SELECT 'c' || n, 'Triple kill ' || n, 1, now() FROM generate_series(1, 250) AS n
         UNION ALL SELECT 'wordless', '?!', 1, now()
         UNION ALL SELECT 'old', 'Triple kill', 1, now() - interval '8 days'",
    );
    assert_eq!(site.run("embedding_generation"), succeeded(250, 0, 1));
    let stored = site.sql("SELECT to_json(embedding) FROM app.clips WHERE source_id = 'c7'");
    let stored: Vec<f32> = serde_json::from_str(&stored).unwrap();
    assert_eq!(stored, vector::of("Triple kill 7").unwrap());
    assert_eq!(site.run("embedding_generation"), succeeded(0, 0, 0));
    site.sql("UPDATE app.clips SET title = 'speedrun' WHERE source_id IN ('c7', 'wordless')");
    assert_eq!(site.run("embedding_generation"), succeeded(2, 0, 0));
    // Nearest is what shares the word.
    let alike = "SELECT sum(a * b) FROM app.clips x, app.clips y, unnest(x.embedding, y.embedding) AS pair (a, b) \
                 WHERE x.source_id = 'c7' AND y.source_id = ";
    let (same, other) = (site.number(&format!("{alike} 'wordless'")), site.number(&format!("{alike} 'c8'")));
    assert!(same > 0.999 && other < 0.5, "{same} {other}");
    assert_eq!(site.sql("SELECT count(*) FROM app.clips WHERE embedding IS NULL"), "1", "the old one");
}
