//! A text as a vector, computed here and the same everywhere, in the place of a model.
//!
//! Words and the groups of three letters in them are hashed into a fixed number of places, with a sign that the hash also
//! decides, and the result is given length 1. Texts that share words or parts of words point in similar directions, so
//! their dot product says how alike they are.

/// Places of a vector.
pub const DIMENSIONS: usize = 128;

/// How much a whole word weighs beside one of its groups of three letters.
const WORD_WEIGHT: f32 = 2.0;

/// Returns the vector of a text; `None` if it has no words.
pub fn of(text: &str) -> Option<Vec<f32>> {
    let mut vector = vec![0.0_f32; DIMENSIONS];
    let lower = text.to_lowercase();
    for word in lower.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()) {
        add(&mut vector, word.as_bytes(), WORD_WEIGHT);
        // With its ends marked, so that beginnings are alike to beginnings.
        let marked: Vec<char> = format!("^{word}$").chars().collect();
        for three in marked.windows(3) {
            let three: String = three.iter().collect();
            add(&mut vector, three.as_bytes(), 1.0);
        }
    }
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    // No words; or, next to impossible, words that cancel each other out.
    if length == 0.0 {
        return None;
    }
    vector.iter_mut().for_each(|value| *value /= length);
    Some(vector)
}

fn add(vector: &mut [f32], feature: &[u8], weight: f32) {
    let hash = fnv1a(feature);
    let place = usize::try_from(hash % vector.len() as u64).unwrap_or_default();
    // The highest bit, which the remainder hardly depends on.
    vector[place] += if hash >> 63 == 0 { weight } else { -weight };
}

/// FNV-1a of 64 bits: unlike the standard library's hasher the same in every release.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(one: &str, other: &str) -> f32 {
        of(one).unwrap().iter().zip(of(other).unwrap()).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn the_hash_agrees_with_its_published_values() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn texts_that_share_words_are_alike() {
        assert!((alike("Triple kill!", "triple KILL") - 1.0).abs() < 1e-5);
        let near = alike("clutch on the last round", "clutching the last rounds");
        let far = alike("clutch on the last round", "speedrun without glitches");
        assert!(near > 0.5 && far < 0.3, "{near} {far}");
    }

    #[test]
    fn a_text_without_words_has_no_vector() {
        assert!(of("").is_none() && of(" ?! 🎮").is_none());
    }
}
