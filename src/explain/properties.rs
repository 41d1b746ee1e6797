//! Whatever the configuration and the request: the explanation is the plan, whoever is in it breaks
//! no rule, whoever is left out breaks one, and nobody is forgotten. The rules are written here a
//! second time, from what the documentation promises.

mod scene;

use super::*;
use crate::body::scan::scan;
use crate::config::load::load_str;
use crate::config::snapshot::{Capabilities, Capability};
use crate::routing::preferences;
use proptest::prelude::*;
use scene::{Balance, Leg, Scene};
use std::collections::BTreeMap;

/// A provider and a model.
type Pair = (String, String);

/// Who is tried, in this order, and who is not, by which rule.
struct Told {
    order: Vec<Pair>,
    excluded: BTreeMap<Pair, &'static str>,
}

fn told(scene: &Scene) -> Told {
    let yaml = scene.yaml();
    let snapshot = match load_str(&yaml, "test", &|_| None) {
        Ok(loaded) => loaded.snapshot,
        Err(problems) => panic!("{problems:?}\n{yaml}"),
    };
    let body = scene.body();
    let scanned = scan(body.as_bytes()).unwrap();
    let preferences = preferences::read(body.as_bytes(), &scanned).unwrap();
    let (model, by) = decide::without_suffix(&snapshot, &scanned.model.as_ref().unwrap().text);
    let preferences = preferences.with_suffix(by);
    let Keys::Known(keys) = &snapshot.keys else {
        panic!("there are keys");
    };
    let mut needed = Capabilities::default();
    if scene.wish.tools {
        needed.add(Capability::Tools);
    }
    let needs = || Needs {
        capabilities: needed,
        prompt: scene.wish.prompt,
    };
    let headers = HeaderMap::new();
    let ask = Ask {
        asked: Asked {
            path: "/v1/chat/completions",
            host: "gateway.test",
            headers: &headers,
            key: keys.values().next().map(|key| &**key),
            route: None,
        },
        endpoint: Some(Endpoint::Chat),
        model: Some(model),
        preferences: &preferences,
        needs: &needs,
        tokens: (scene.wish.prompt, 500),
        drawn: (3, 7),
        takes_turn: false,
    };
    let now = Instant::now();
    let board = Board::new(&snapshot, &Board::default(), now);
    let table = Table::default();
    let decision = decide(&snapshot, &board, &table, &ask, |_| 11, now).unwrap();
    let explained = explain(&decision, &board, &table, &ask, now);
    let pair = |provider: &str, model: &str| (provider.to_owned(), model.to_owned());
    let taking = Ask {
        takes_turn: true,
        ..ask
    };
    let taken = decide(&snapshot, &board, &table, &taking, |_| 11, now).unwrap();
    let steps = taken.plan.steps.iter();
    let planned: Vec<Pair> = steps
        .map(|step| pair(step.provider(), step.model))
        .collect();
    let order: Vec<Pair> = explained
        .order
        .iter()
        .map(|one| pair(one.provider, one.model))
        .collect();
    assert_eq!(order, planned, "what is told is not what is planned");
    let ranks: Vec<u32> = decision.plan.steps.iter().map(|step| step.rank).collect();
    assert!(ranks.is_sorted(), "{ranks:?}");
    let mut excluded = BTreeMap::new();
    for one in &explained.excluded {
        let before = excluded.insert(pair(one.provider, one.model), one.rule);
        assert_eq!(before, None, "left out twice: {one:?}");
    }
    assert_eq!(excluded.len(), decision.plan.excluded.len());
    Told { order, excluded }
}

/// What decides between two that may both serve; the less comes first.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
struct Place {
    leg: usize,
    /// Who prefers it, and at which place of a list.
    preferred: (usize, usize),
    sorted: f64,
    leg_again: usize,
    tier: u32,
    balanced: f64,
    line: usize,
}

fn place(scene: &Scene, at: usize, leg: &Leg, target: usize) -> Place {
    let wish = &scene.wish;
    let provider = leg.way.targets[target].provider;
    let offer = scene.offer(provider, leg.model).unwrap();
    let dollars = |weighed: fn((u64, u64)) -> u64| {
        offer
            .price
            .map_or(f64::INFINITY, |price| weighed(price.micros()) as f64)
    };
    let both = |(input, output): (u64, u64)| input + output;
    let output = |(_, output): (u64, u64)| output;
    let name = scene::NAMES[provider];
    let slug = |slug: &&str| name == *slug || name.starts_with(&format!("{slug}/"));
    let own = |list: &[usize]| list.iter().position(|one| *one == provider);
    let preferred = wish
        .order
        .iter()
        .position(slug)
        .map(|place| (0, place))
        .or_else(|| own(&scene.key.prefer).map(|place| (1, place)))
        .or_else(|| own(&leg.way.rules.prefer).map(|place| (2, place)))
        .unwrap_or((3, 0));
    let cost = |price: scene::Price| {
        let (input, output) = price.micros();
        input * wish.prompt + output * 500
    };
    let (balanced, line) = match leg.way.balance {
        Balance::Ranked => (dollars(output), target),
        Balance::Cheapest => (
            offer
                .price
                .map_or(f64::INFINITY, |price| cost(price) as f64),
            0,
        ),
        Balance::Weighted | Balance::Sticky => (0.0, 0),
    };
    let sorts = wish.sort.is_some();
    Place {
        leg: if wish.sort == Some(false) { 0 } else { at },
        preferred,
        sorted: if sorts { dollars(both) } else { 0.0 },
        leg_again: at,
        tier: leg.way.targets[target].tier,
        balanced,
        line,
    }
}

/// Everyone that serves the model at all, with the place it would have and whether it may.
fn candidates(scene: &Scene, prompt: u64) -> Vec<(Pair, Place, usize, bool)> {
    let mut all = Vec::new();
    for (at, leg) in scene.legs().iter().enumerate() {
        for (line, target) in leg.way.targets.iter().enumerate() {
            let serves = target.weight > 0 && scene.houses[target.provider].chats;
            if let Some(offer) = scene.offer(target.provider, leg.model).filter(|_| serves) {
                let may = scene.may(leg, target.provider, offer, prompt);
                let pair = (
                    scene::NAMES[target.provider].to_owned(),
                    scene::MODELS[leg.model].to_owned(),
                );
                all.push((pair, place(scene, at, leg, line), line, may));
            }
        }
    }
    all
}

fn check(scene: &Scene) {
    let Told { order, excluded } = told(scene);
    let mut all = candidates(scene, scene.wish.prompt);
    if !all.iter().any(|(.., may)| *may) {
        // The length of a prompt is only a guess: half of it has to be too much as well.
        all = candidates(scene, scene.wish.prompt / 2);
    }
    let alone = scene.wish.no_fallbacks && scene.wish.order.is_empty();
    let permitted = all.iter().filter(|(.., may)| *may).count();
    let expected = if alone { permitted.min(1) } else { permitted };
    assert_eq!(order.len(), expected, "{order:?}");
    for (pair, _, _, may) in &all {
        match excluded.get(pair) {
            None => assert!(order.contains(pair) && *may, "{pair:?} breaks a rule"),
            Some(&"no_fallback") => assert!(alone && *may && !order.contains(pair), "{pair:?}"),
            Some(rule) => assert!(!may && !order.contains(pair), "{pair:?}: {rule}"),
        }
    }
    assert_eq!(
        all.len(),
        order.len() + excluded.len(),
        "{order:?} {excluded:?}"
    );
    let found = |pair: &Pair| all.iter().find(|(one, ..)| one == pair).unwrap();
    if alone {
        if let Some(first) = order.first() {
            let first = &found(first).1;
            let mut others = all.iter().filter(|(.., may)| *may);
            assert!(others.all(|(_, place, ..)| first <= place), "{order:?}");
        }
        return;
    }
    let placed: Vec<_> = order.iter().map(found).collect();
    let in_order = placed.is_sorted_by(|(_, one, ..), (_, other, ..)| one <= other);
    assert!(in_order, "{placed:#?}");
    // Whoever takes turns keeps the order of the file, from somewhere on round to it.
    for equals in placed.chunk_by(|(_, one, ..), (_, other, ..)| one == other) {
        let leg = &scene.legs()[equals[0].1.leg_again];
        if matches!(leg.way.balance, Balance::Weighted | Balance::Sticky) {
            let lines: Vec<usize> = equals.iter().map(|(_, _, line, _)| *line).collect();
            let descents = lines.windows(2).filter(|two| two[0] > two[1]).count();
            let closes = descents == 0 || lines[lines.len() - 1] < lines[0];
            assert!(descents <= 1 && closes, "{lines:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_told_is_what_the_rules_say(
        drawn in proptest::collection::vec(any::<u16>(), 60..400),
    ) {
        check(&Scene::drawn(&drawn));
    }
}
