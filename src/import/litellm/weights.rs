//! In which proportion the deployments of one model are asked.

use super::deployment::Deployment;
use super::router::{Router, Strategy};

/// What LiteLLM would draw by: weights, else the limits; written only where they differ.
pub fn weights(deployments: &[Deployment], router: &Router) -> Vec<Option<(u64, &'static str)>> {
    deployments
        .iter()
        .map(|deployment| {
            let mates = deployments
                .iter()
                .filter(|other| other.tier == deployment.tier);
            let mates: Vec<&Deployment> = mates.collect();
            let weights = match router.strategy {
                Strategy::Weighted => in_one_tier(&mates),
                _ => None,
            };
            let index = mates
                .iter()
                .position(|mate| std::ptr::eq(*mate, deployment));
            let (weights, by) = weights?;
            Some((*weights.get(index?)?, by))
        })
        .collect()
}

fn in_one_tier(deployments: &[&Deployment]) -> Option<(Vec<u64>, &'static str)> {
    type Number = fn(&Deployment) -> Option<f64>;
    let by: [(&str, Number); 3] = [
        ("weight", |one| one.weight),
        ("rpm", |one| as_number(one.rpm)),
        ("tpm", |one| as_number(one.tpm)),
    ];
    let (numbers, by) = by
        .iter()
        .map(|(by, of)| (deployments.iter().map(|one| of(one)).collect(), *by))
        .find(|(numbers, _): &(Vec<Option<f64>>, _)| numbers.iter().any(Option::is_some))?;
    let numbers: Vec<f64> = numbers.into_iter().map(Option::unwrap_or_default).collect();
    let most = numbers.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 || numbers.iter().all(|number| *number >= most) {
        return None;
    }
    let whole = most <= 1000.0 && numbers.iter().all(|number| number.fract() == 0.0);
    let scale = if whole { 1.0 } else { 1000.0 / most };
    let scaled = |number: f64| match number * scale {
        zero if zero <= 0.0 => 0,
        number => (number.round() as u64).max(1),
    };
    let weights: Vec<u64> = numbers.into_iter().map(scaled).collect();
    let shared = weights.iter().copied().fold(0, gcd).max(1);
    let weights = weights.into_iter().map(|weight| weight / shared);
    Some((weights.collect(), by))
}

fn as_number(limit: Option<u64>) -> Option<f64> {
    limit.map(|limit| limit as f64)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
