//! What a misspelt word may have meant.

/// Characters of a word that are looked at.
const LOOKED_AT: usize = 40;

/// The known word that is fewest edits away, if it is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(LOOKED_AT).collect();
    let allowed = (word.len() / 2).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| (edits(&word, &candidate.chars().collect::<Vec<_>>()), candidate))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// A sentence on what to write instead of an unknown word.
pub fn advice(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => format!("allowed are {}", known.join(", ")),
    }
}

/// Levenshtein distance, one row at a time.
fn edits(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_nonsense_finds_none() {
        let known = ["status", "queue", "type"];
        assert_eq!(nearest("statsu", known), Some("status"));
        assert_eq!(nearest("queu", known), Some("queue"));
        assert_eq!(nearest("xyzzy-plugh", known), None);
        assert_eq!(nearest("", known), None);
    }
}
