//! From `priority` to tiers. Its direction is asked for, or stated by the input; never guessed.

use super::{Form, Priority};
use crate::config::place::Place;
use crate::config::problem::shortened;
use crate::import::notes::Notes;

/// An instance as far as its turn goes.
pub struct Turn<'a> {
    pub name: &'a str,
    pub priority: i64,
}

/// How the direction was found out, as one would say it.
pub struct Direction {
    pub priority: Priority,
    pub why: String,
}

/// None where it does not matter, or where it cannot be told: then that is an error.
pub fn direction(
    turns: &[Turn],
    asked: Option<Priority>,
    form: Form,
    instances: &Place,
    notes: &mut Notes,
) -> Option<Direction> {
    let first = turns.first()?;
    if turns.iter().all(|turn| turn.priority == first.priority) {
        return None;
    }
    if let Some(priority) = asked {
        let why = format!("--priority {}", word(priority));
        return Some(Direction { priority, why });
    }
    let mut stated = Vec::new();
    if let Some(priority) = by_names(turns) {
        stated.push((priority, "the instances' names say which is the fallback"));
    }
    if form == Form::Api7 {
        let why = "routes in this form are API7's, whose guides call 1 the highest";
        stated.push((Priority::SmallerFirst, why));
    }
    if let Some((priority, _)) = stated.first().copied()
        && stated.iter().all(|(other, _)| *other == priority)
    {
        let whys: Vec<&str> = stated.iter().map(|(_, why)| *why).collect();
        let why = format!("{}: {}", word(priority), whys.join(", and "));
        notes.warn(format!(
            "{instances}: `priority` is read as {why}; APISIX itself sorts larger first. \
             Say --priority to decide otherwise"
        ));
        return Some(Direction { priority, why });
    }
    let conflict = match stated.is_empty() {
        true => "nothing in the file says which direction `priority` has",
        false => "the file contradicts itself about the direction of `priority`",
    };
    let [larger, smaller] =
        [Priority::LargerFirst, Priority::SmallerFirst].map(|priority| leading(turns, priority));
    let message = format!(
        "{conflict}: APISIX itself tries the larger number first (here {larger}), API7's guides \
         call 1 the highest (here {smaller}); say --priority larger-first or \
         --priority smaller-first"
    );
    notes.error(instances, message);
    None
}

/// The tier of each, from 1 on.
pub fn tiers(turns: &[Turn], priority: Priority) -> Vec<usize> {
    let mut steps: Vec<i64> = turns.iter().map(|turn| turn.priority).collect();
    steps.sort_unstable();
    steps.dedup();
    if priority == Priority::LargerFirst {
        steps.reverse();
    }
    let tier = |turn: &Turn| steps.iter().position(|step| *step == turn.priority);
    turns
        .iter()
        .map(|turn| tier(turn).map_or(1, |index| index + 1))
        .collect()
}

fn leading(turns: &[Turn], priority: Priority) -> String {
    let tiers = tiers(turns, priority);
    let first = turns.iter().zip(tiers).filter(|(_, tier)| *tier == 1);
    let names: Vec<String> = first
        .map(|(turn, _)| format!("`{}`", shortened(turn.name)))
        .collect();
    names.join(" and ")
}

const LEADING: [&str; 2] = ["primary", "main"];
const FOLLOWING: [&str; 5] = ["fallback", "backup", "secondary", "standby", "failover"];

/// Only where every word in the names agrees.
fn by_names(turns: &[Turn]) -> Option<Priority> {
    let called = |turn: &Turn, words: &[&str]| {
        let name = turn.name.to_ascii_lowercase();
        name.split(|sign: char| !sign.is_ascii_alphanumeric())
            .any(|part| words.contains(&part))
    };
    let following: Vec<&Turn> = turns
        .iter()
        .filter(|turn| called(turn, &FOLLOWING))
        .collect();
    let leading: Vec<&Turn> = turns.iter().filter(|turn| called(turn, &LEADING)).collect();
    let holds = |priority: Priority| {
        let before = |one: &Turn, other: &Turn| match priority {
            Priority::LargerFirst => one.priority > other.priority,
            Priority::SmallerFirst => one.priority < other.priority,
        };
        let last = following.iter().all(|fallback| {
            let others = turns.iter().filter(|turn| !called(turn, &FOLLOWING));
            others.into_iter().all(|other| before(other, fallback))
        });
        let first = leading.iter().all(|primary| {
            let others = turns.iter().filter(|turn| !called(turn, &LEADING));
            others.into_iter().all(|other| before(primary, other))
        });
        last && first
    };
    let named = following.len() + leading.len();
    let usable = named > 0 && following.len() < turns.len() && leading.len() < turns.len();
    [Priority::LargerFirst, Priority::SmallerFirst]
        .into_iter()
        .find(|priority| usable && holds(*priority))
}

fn word(priority: Priority) -> &'static str {
    match priority {
        Priority::LargerFirst => "larger-first",
        Priority::SmallerFirst => "smaller-first",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(names: &[(&str, i64)]) -> Option<Priority> {
        let turns: Vec<Turn> = names
            .iter()
            .map(|&(name, priority)| Turn { name, priority })
            .collect();
        by_names(&turns)
    }

    #[test]
    fn names_state_a_direction_or_none() {
        let (larger, smaller) = (Some(Priority::LargerFirst), Some(Priority::SmallerFirst));
        assert_eq!(
            stated(&[("deepseek-primary", 1), ("openai-fallback", 2)]),
            smaller
        );
        assert_eq!(stated(&[("main", 10), ("other", 0)]), larger);
        assert_eq!(stated(&[("a", 1), ("b", 1), ("backup", 0)]), larger);
        assert_eq!(stated(&[("deepseek", 1), ("openai", 2)]), None);
        // Of four, the fallback stands between the others.
        assert_eq!(stated(&[("a", 1), ("fallback", 2), ("b", 3)]), None);
        assert_eq!(stated(&[("fallback-a", 1), ("fallback-b", 2)]), None);
        assert_eq!(stated(&[("primary-backup", 1), ("x", 2)]), None);
        assert_eq!(stated(&[("mainland", 1), ("x", 2)]), None);
    }

    #[test]
    fn tiers_have_no_gaps() {
        let turns = [5, -1, 5, 9].map(|priority| Turn {
            name: "x",
            priority,
        });
        assert_eq!(tiers(&turns, Priority::LargerFirst), [2, 3, 2, 1]);
        assert_eq!(tiers(&turns, Priority::SmallerFirst), [2, 1, 2, 3]);
    }
}
