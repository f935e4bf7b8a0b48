//! Numbers in sentences.

use std::fmt::Display;

/// `0 jobs`, `1 job`, `2 jobs`: a number and the thing that it counts, which takes an s when there are several.
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(count: N, thing: &str) -> String {
    format!("{count} {thing}{}", if count == N::from(1) { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_one_and_all_else_are_many() {
        assert_eq!(
            [counted(0, "job"), counted(1_u64, "job"), counted(2_usize, "job")],
            ["0 jobs", "1 job", "2 jobs"]
        );
    }
}
