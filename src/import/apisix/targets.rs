//! Who serves a route, and by what rules.

use super::instance::{Around, read as read_instance};
use super::limits::Limits;
use super::order::{self, Turn};
use super::{Context, Form, policy};
use crate::import::draft::{Field, Target, Value};
use crate::import::input::{Fields, Item};
use crate::import::notes::Notes;

pub type Chosen = (Vec<Target>, Vec<Field>);

/// Who serves, and by what rules. None where nobody is left.
pub fn targets(
    context: &mut Context,
    plugin: &mut Fields,
    form: Form,
    limits: &Limits,
) -> Option<Chosen> {
    let notes = &mut *context.notes;
    let verify = plugin.take("ssl_verify").and_then(|item| item.flag(notes)) != Some(false);
    if let Some(most) = plugin.take("max_req_body_size") {
        let bytes = most.whole(notes, 1 << 40);
        if bytes.is_some_and(|bytes| bytes < 1024) {
            notes.error(
                &most.place,
                "is less than 1024 bytes, the least `server.max_body` may be",
            );
        }
        context.max_body = context.max_body.max(bytes);
    }
    policy::settings(plugin, notes);
    let mut settings = policy::balance(plugin, notes);
    settings.extend(policy::timeouts(plugin, notes));
    let Some(instances) = plugin.take("instances") else {
        let label = plugin.place.to_string();
        let provider = plugin.peek_text("provider").unwrap_or(&label).to_owned();
        let around = Around {
            label: &provider,
            verify,
            tpm: limits.of(&format!("ai-proxy-{provider}")),
        };
        let target = read_instance(context, plugin, &around)?;
        settings.push(policy::retry(plugin, 1, 1, context.notes));
        return Some((vec![target], settings));
    };
    let (mut chosen, mut turns) = (Vec::new(), Vec::new());
    for item in instances.list(notes) {
        let notes = &mut *context.notes;
        let Some(mut fields) = item.fields(notes) else {
            continue;
        };
        let label = fields.take_text("name", notes).unwrap_or("instance");
        let priority = fields
            .take("priority")
            .map_or(Some(0), |item| item.signed(notes));
        let Some(weight) = fields.take("weight") else {
            notes.error(
                &item.place.key("weight"),
                "missing: APISIX wants a whole number, 0 or more",
            );
            continue;
        };
        let weight = weight.whole(notes, u64::from(u32::MAX));
        for name in ["examples", "threshold"] {
            fields.lose(name, notes, "no balance reads what a request means");
        }
        let around = Around {
            label,
            verify,
            tpm: limits.of(label),
        };
        let target = read_instance(context, &mut fields, &around);
        fields.finish(context.notes);
        let (Some(mut target), Some(weight), Some(priority)) = (target, weight, priority) else {
            continue;
        };
        target.why.insert(0, format!("instance `{label}`"));
        chosen.push((target, weight));
        turns.push(Turn {
            name: label,
            priority,
        });
    }
    let notes = &mut *context.notes;
    let direction = order::direction(&turns, context.priority, form, &instances.place, notes);
    let tiers = match &direction {
        Some(direction) => order::tiers(&turns, direction.priority),
        None => vec![1; turns.len()],
    };
    let mut targets = Vec::new();
    for ((mut target, weight), tier) in chosen.into_iter().zip(&tiers) {
        if let Some(direction) = &direction {
            target
                .why
                .push(format!("tier {tier} by `priority`, {}", direction.why));
            target.fields.push(("tier".to_owned(), Value::word(tier)));
        }
        targets.push((target, weight, *tier));
    }
    let targets = weighed(targets, &instances, notes);
    if targets.is_empty() {
        if !notes.failed() {
            notes.lost(
                &instances.place,
                "left out with its route: no instance is left",
            );
        }
        return None;
    }
    let steps = tiers.iter().max().copied().unwrap_or(1);
    settings.push(policy::retry(plugin, targets.len(), steps, notes));
    Some((targets, settings))
}

/// Weights as far as ours go, which end at 1000; a tier whose weights are all 0 serves nobody.
fn weighed(
    mut targets: Vec<(Target, u64, usize)>,
    instances: &Item,
    notes: &mut Notes,
) -> Vec<Target> {
    let sums = |targets: &[(Target, u64, usize)], wanted: usize| {
        let same = targets.iter().filter(|(_, _, tier)| *tier == wanted);
        same.map(|(_, weight, _)| *weight).collect::<Vec<u64>>()
    };
    let all = targets.clone();
    let before = targets.len();
    targets.retain(|(_, _, tier)| sums(&all, *tier).iter().any(|weight| *weight > 0));
    if targets.len() < before {
        notes.lost(
            &instances.place,
            "instances of weight 0 alone in their priority are left out",
        );
    }
    let mut weighed = Vec::new();
    for (mut target, weight, tier) in targets {
        let own = sums(&all, tier);
        if own.len() > 1 || weight == 0 {
            let most = own.iter().max().copied().unwrap_or(1).max(1);
            let scaled = match most > 1000 {
                true => (weight.saturating_mul(1000) / most).max(u64::from(weight > 0)),
                false => weight,
            };
            if scaled != weight {
                target.why.push(format!(
                    "weight {weight}, brought below 1000 with the others"
                ));
            }
            target
                .fields
                .push(("weight".to_owned(), Value::word(scaled)));
        }
        weighed.push(target);
    }
    weighed
}
