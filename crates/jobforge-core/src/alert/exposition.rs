//! Reads the text that is scraped at `/metrics`.
//!
//! Format: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.

use std::collections::BTreeSet;

use super::history::{Labels, Sample};

/// The samples of the metrics that are `wanted`. A line that cannot be read is passed over: it is about a metric that
/// is not ours.
pub fn samples(text: &str, wanted: &BTreeSet<&str>) -> Vec<Sample> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(sample).filter(|sample| wanted.contains(sample.metric.as_str())).collect()
}

fn sample(line: &str) -> Option<Sample> {
    let name = line.find(['{', ' '])?;
    let (metric, rest) = line.split_at(name);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Labels::new(), rest),
    };
    // What may follow is the time of the sample.
    let value = rest.split_whitespace().next()?;
    Some(Sample { metric: metric.to_owned(), labels, value: value.parse().ok()? })
}

/// Labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut labels = Labels::new();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut letters = quoted.char_indices();
        let end = loop {
            match letters.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match letters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, letter) => value.push(letter),
            }
        };
        labels.insert(name.trim().to_owned(), value);
        rest = quoted.get(end + 1..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_scraped_is_read() {
        let text = "# HELP a what it is\n# TYPE a counter\na 3\na{x=\"1\",y=\"b, \\\"c\\\" \\\\ \\n}\"} 4.5 1700000000\n\
                    b_bucket{le=\"+Inf\"} 7\nc NaN\nd{broken 1\nother 1\n";
        let read = samples(text, &BTreeSet::from(["a", "b_bucket", "c", "d"]));
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Labels>()
        };
        assert_eq!(read.len(), 4);
        assert_eq!(read[0], Sample { metric: "a".to_owned(), labels: labels(&[]), value: 3.0 });
        assert_eq!(read[1].labels, labels(&[("x", "1"), ("y", "b, \"c\" \\ \n}")]));
        assert_eq!(
            read[2],
            Sample { metric: "b_bucket".to_owned(), labels: labels(&[("le", "+Inf")]), value: 7.0 }
        );
        assert!(read[3].value.is_nan());
    }
}
