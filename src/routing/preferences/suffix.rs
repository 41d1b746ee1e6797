//! `:nitro` and `:floor` behind a model's name.

use super::By;

/// A model's name without the suffix that asks for an order, and that order. Any other suffix is
/// part of the name, and so is this one where the configuration has a model of the whole name:
/// `is_configured` says so, of names that stand there literally, not of what a pattern takes.
pub fn split_suffix(model: &str, is_configured: impl FnOnce(&str) -> bool) -> (&str, Option<By>) {
    let Some((name, suffix)) = model.rsplit_once(':') else {
        return (model, None);
    };
    let by = match suffix {
        "nitro" => By::Throughput,
        "floor" => By::Price,
        _ => return (model, None),
    };
    if name.is_empty() || is_configured(model) {
        return (model, None);
    }
    (name, Some(by))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_suffixes_ask_for_an_order_and_others_are_part_of_the_name() {
        let configured = |model: &str| model == "a/own:floor";
        for (model, name, by) in [
            ("a/b", "a/b", None),
            ("a/b:nitro", "a/b", Some(By::Throughput)),
            ("a/b:floor", "a/b", Some(By::Price)),
            ("a/own:floor", "a/own:floor", None),
            ("a/own:nitro", "a/own", Some(By::Throughput)),
            ("a/b:free", "a/b:free", None),
            ("a/b:thinking:floor", "a/b:thinking", Some(By::Price)),
            ("a/b:floor:thinking", "a/b:floor:thinking", None),
            ("a/b:floor:nitro", "a/b:floor", Some(By::Throughput)),
            ("a/b:Nitro", "a/b:Nitro", None),
            ("a/b:", "a/b:", None),
            (":nitro", ":nitro", None),
            ("nitro", "nitro", None),
            ("", "", None),
        ] {
            assert_eq!(split_suffix(model, configured), (name, by), "{model}");
        }
    }
}
