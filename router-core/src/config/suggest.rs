//! "Did you mean …?": the known word that is nearest to a mistyped one.

/// The candidate that `word` was most likely meant to be, if any is near enough. Of equally near ones the
/// first wins.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = lower(word);
    if word.is_empty() || word.len() > WORD_CHARS_MAX {
        return None;
    }
    // A third of the word may be wrong, at least one letter: `wieght` is one swap, `foo` is not `key`.
    let limit = (word.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (lower(candidate), candidate))
        .filter(|(letters, _)| letters.len().abs_diff(word.len()) <= limit)
        .map(|(letters, candidate)| (distance(&word, &letters), candidate))
        .filter(|&(distance, _)| distance <= limit)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

fn lower(word: &str) -> Vec<char> {
    word.chars().take(WORD_CHARS_MAX + 1).flat_map(char::to_lowercase).collect()
}

/// Optimal string alignment distance: how many letters must be inserted, left out, replaced or swapped with
/// their neighbour. Three rows of the usual table are kept, the oldest for the swap.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

/// Longer words are no typing mistakes, and the table grows with the square.
const WORD_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    fn between(a: &str, b: &str) -> usize {
        distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>())
    }

    #[test]
    fn a_swap_counts_once() {
        assert_eq!(between("wieght", "weight"), 1);
        assert_eq!(between("weight", "weight"), 0);
        assert_eq!(between("", "key"), 3);
        assert_eq!(between("kitten", "sitting"), 3);
    }

    #[test]
    fn only_near_words_are_suggested() {
        let known = ["pool", "model", "weight"];
        assert_eq!(nearest("wieght", known), Some("weight"));
        assert_eq!(nearest("Model", known), Some("model"));
        assert_eq!(nearest("pol", known), Some("pool"));
        assert_eq!(nearest("retry", known), None);
        assert_eq!(nearest("", known), None);
    }
}
