//! "Did you mean …?"

/// A file with thousands of names and as many mistakes is still answered at once.
const MOST_CANDIDATES: usize = 1000;

/// The candidate nearest to a word, if it is near enough to have been meant.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let word = word.to_lowercase();
    // Longer than any name here; the comparison takes the product of both lengths.
    if word.len() > 200 {
        return None;
    }
    candidates
        .into_iter()
        .take(MOST_CANDIDATES)
        .map(|candidate| {
            (
                strsim::osa_distance(&word, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= tolerance(&word, candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

fn tolerance(word: &str, candidate: &str) -> usize {
    let shorter = word.len().min(candidate.len());
    match shorter {
        0..3 => 0,
        _ => (shorter / 3).clamp(1, 4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let names = ["openrouter", "siliconflow", "deepseek"];
        assert_eq!(closest("openruter", names).as_deref(), Some("openrouter"));
        assert_eq!(
            closest("SiliconFlow", names).as_deref(),
            Some("siliconflow")
        );
        assert_eq!(closest("depseek", names).as_deref(), Some("deepseek"));
        assert_eq!(closest("anthropic", names), None);
        assert_eq!(closest("", names), None);
        assert_eq!(closest("x", ["y"]), None);
        assert_eq!(closest("teir", ["tier", "weight"]).as_deref(), Some("tier"));
    }
}
