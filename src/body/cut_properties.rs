//! Cuts and insertions beside serde_json, on whatever a client may send.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::asides::{Aside, Asides, cut};
use super::members::changed;
use super::properties::{entries, object};
use super::scan::scan;
use super::splice::{apply, set_fields};
use super::stream_options::ask_for_usage;

type Entries = Vec<(String, String)>;

fn is_aside(name: &str, value: &str) -> bool {
    match name {
        "provider" | "models" => true,
        "route" => matches!(value, "\"fallback\"" | "\"sort\""),
        _ => false,
    }
}

fn sorted(mut entries: Entries) -> Entries {
    entries.sort();
    entries
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_cut_takes_the_asides_and_nothing_else(body in object()) {
        let Ok(scanned) = scan(body.as_bytes()) else { return Ok(()) };
        let said = entries(body.as_bytes()).unwrap();
        let count = |aside: Aside| {
            let is = |(name, value): &&(String, String)| name == aside.name() && is_aside(name, value);
            said.iter().filter(is).count()
        };
        prop_assert_eq!(scanned.asides.twice.is_some(), Aside::ALL.iter().any(|one| count(*one) > 1));
        if scanned.asides.twice.is_some() {
            return Ok(());
        }
        let body = Bytes::from(body);
        let edits = cut(&body, &scanned, &Aside::ALL);
        for edit in &edits {
            // Nothing is put in, and what goes are whole members with commas on one side.
            prop_assert!(edit.with.is_empty());
            let gone = std::str::from_utf8(&body[edit.span.clone()]).unwrap();
            let gone = entries(format!("{{{}}}", gone.trim_matches(',')).as_bytes()).unwrap();
            prop_assert!(gone.iter().all(|(name, value)| is_aside(name, value)));
        }
        let left = apply(&body, edits).joined();
        let expected: Entries = said
            .into_iter()
            .filter(|(name, value)| !is_aside(name, value))
            .collect();
        prop_assert_eq!(entries(&left), Some(expected));
        // Cutting again finds nothing.
        let again = scan(&left).unwrap();
        prop_assert_eq!(&again.asides, &Asides::default());
        prop_assert_eq!((again.stream, again.model.is_some()), (scanned.stream, scanned.model.is_some()));
    }

    #[test]
    fn what_the_scan_lets_pass_it_lets_pass_without_its_asides(
        body in object(),
        damage in vec((any::<prop::sample::Index>(), any::<Option<u8>>(), 0..3usize), 0..3),
    ) {
        let mut body = body.into_bytes();
        for (place, byte, removed) in damage {
            let place = place.index(body.len() + 1);
            let end = (place + removed).min(body.len());
            body.splice(place..end, byte);
        }
        let Ok(scanned) = scan(&body) else { return Ok(()) };
        let body = Bytes::from(body);
        let left = apply(&body, cut(&body, &scanned, &Aside::ALL)).joined();
        let again = scan(&left);
        prop_assert!(again.is_ok(), "{:?} {:?}", again, left);
        prop_assert!(scanned.asides.twice.is_some() || again.unwrap().asides == Asides::default());
    }

    #[test]
    fn cuts_options_and_the_usage_go_together(
        body in object(),
        options in prop::sample::subsequence(vec!["zz", "provider", "temperature"], 0..=3),
    ) {
        let Ok(scanned) = scan(body.as_bytes()) else { return Ok(()) };
        let mut expected = entries(body.as_bytes()).unwrap();
        let several = expected.iter().filter(|(name, _)| name == "stream_options").count() > 1;
        if scanned.asides.twice.is_some() || several {
            return Ok(());
        }
        let set: Vec<_> = options.iter().map(|name| (name.to_string(), "[1]".to_owned())).collect();
        expected.retain(|(name, value)| !is_aside(name, value));
        let wanted = set.iter().cloned().chain([("model".to_owned(), "\"new\"".to_owned())]);
        for (name, value) in wanted {
            let mut found = false;
            for (_, old) in expected.iter_mut().filter(|(other, _)| *other == name) {
                *old = value.clone();
                found = true;
            }
            if !found {
                expected.push((name, value));
            }
        }
        let body = Bytes::from(body);
        let mut edits = cut(&body, &scanned, &Aside::ALL);
        if scanned.stream {
            edits.extend(ask_for_usage(&body, &scanned));
        }
        let model = Bytes::from_static(b"\"new\"");
        let new = set_fields(&body, &scanned, &model, &set, edits).joined();
        let mut found = entries(&new).unwrap();
        if scanned.stream {
            let asked = found.iter().position(|(name, _)| name == "stream_options").unwrap();
            prop_assert!(found.remove(asked).1.contains("include_usage"));
            expected.retain(|(name, _)| name != "stream_options");
        }
        prop_assert_eq!(sorted(found), sorted(expected));
    }

    #[test]
    fn members_are_changed_as_serde_sees_it(
        object in object(),
        changes in vec(
            (
                prop::sample::select(vec!["model", "stream", "provider", "zz", "é\"", "models"]),
                prop::sample::select(vec![None, Some("0"), Some("{\"a\":[1]}")]),
            ),
            0..4,
        ),
    ) {
        let mut distinct: Vec<(&str, Option<String>)> = Vec::new();
        for (name, value) in changes {
            if distinct.iter().all(|(other, _)| *other != name) {
                distinct.push((name, value.map(str::to_owned)));
            }
        }
        let new = changed(object.as_bytes(), &distinct).unwrap();
        let mut expected: Entries = Vec::new();
        for (name, value) in entries(object.as_bytes()).unwrap() {
            match distinct.iter().find(|(other, _)| *other == name) {
                Some((_, None)) => {}
                Some((_, Some(new))) => expected.push((name, new.clone())),
                None => expected.push((name, value)),
            }
        }
        let old = entries(object.as_bytes()).unwrap();
        let missing = distinct.iter().filter(|(name, _)| old.iter().all(|(other, _)| other != name));
        let put = missing.filter_map(|(name, value)| Some((name.to_string(), value.clone()?)));
        let expected: Entries = put.chain(expected).collect();
        prop_assert_eq!(entries(new.as_bytes()), Some(expected));
    }
}
