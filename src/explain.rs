//! Why a request goes where it goes: the decision a request would take, told instead of taken.

use crate::config::metric::{Metric, Stat, Window};
use crate::config::snapshot::{Candidate, Key};
use crate::decide::{Ask, Decision};
use crate::error::{Failure, Reason};
use crate::health::board::Board;
use crate::health::grant::bar;
use crate::measure::table::Table;
use crate::routing::rank;
use http::HeaderMap;
use serde::Serialize;
use std::fmt::Write;
use std::time::Instant;

/// `x-overspill-explain: 1`
pub fn is_asked(headers: &HeaderMap) -> bool {
    let value = headers.get("x-overspill-explain");
    value.is_some_and(|value| !matches!(value.as_bytes(), b"" | b"0" | b"false"))
}

/// A key may ask where it says `explain: true`; without keys everybody may do everything.
pub fn permitted(key: Option<&Key>) -> Result<(), Failure> {
    if key.is_none_or(|key| key.explain) {
        return Ok(());
    }
    Err(Failure::new(
        Reason::PolicyKey,
        "this key may not ask for explanations: its operator can set `explain: true` for it",
    ))
}

#[derive(Debug, Serialize)]
pub struct Explanation<'a> {
    pub model: Option<&'a str>,
    pub route: &'a str,
    pub balance: String,
    /// In the order in which they would be tried.
    pub order: Vec<Tried<'a>>,
    pub excluded: Vec<LeftOut<'a>>,
    /// The same in words, a line each.
    pub words: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Tried<'a> {
    pub place: usize,
    pub target: &'a str,
    pub provider: &'a str,
    pub model: &'a str,
    pub upstream_model: &'a str,
    pub tier: u32,
    /// Rises with every tier and other model: going to a higher one is spilling.
    pub rank: u32,
    pub weight: u32,
    /// What would keep it from being asked at this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub barred: Option<&'static str>,
    #[serde(flatten)]
    pub scores: Scores,
}

#[derive(Debug, Serialize)]
pub struct LeftOut<'a> {
    pub target: &'a str,
    pub provider: &'a str,
    pub model: &'a str,
    pub rule: &'static str,
    pub why: String,
    #[serde(flatten)]
    pub scores: Scores,
}

/// What is known and measured, by which they are chosen. Unknown is null.
#[derive(Debug, Serialize)]
pub struct Scores {
    /// Dollars for a million tokens.
    pub input_price: Option<f64>,
    pub output_price: Option<f64>,
    pub context: Option<u64>,
    pub regions: Vec<String>,
    pub success: Option<f64>,
    /// Medians of the last hour.
    pub ttft: Option<f64>,
    pub otps: Option<f64>,
    pub in_flight: Option<u32>,
}

pub fn explain<'a>(
    decision: &Decision<'a>,
    board: &Board,
    table: &Table,
    ask: &Ask<'_, 'a>,
    now: Instant,
) -> Explanation<'a> {
    let tokens = ask.tokens.0.saturating_add(ask.tokens.1);
    let order: Vec<Tried<'a>> = decision
        .plan
        .steps
        .iter()
        .enumerate()
        .map(|(place, step)| {
            let candidate = step.candidate;
            Tried {
                place: place + 1,
                target: &candidate.target.id,
                provider: &candidate.target.provider.name,
                model: step.model,
                upstream_model: &candidate.upstream_model,
                tier: candidate.target.tier,
                rank: step.rank,
                weight: candidate.target.weight,
                barred: bar(board, &candidate.target, now, tokens, false).map(|bar| bar.label()),
                scores: scores(candidate, step.label, board, table),
            }
        })
        .collect();
    let excluded: Vec<LeftOut<'a>> = decision
        .plan
        .excluded
        .iter()
        .map(|one| LeftOut {
            target: &one.candidate.target.id,
            provider: &one.candidate.target.provider.name,
            model: one.model,
            rule: one.why.label(),
            why: one.why.to_string(),
            scores: scores(one.candidate, one.model, board, table),
        })
        .collect();
    let balance = format!("{:?}", decision.route.balance).to_ascii_lowercase();
    let words = words(&order, &excluded, &decision.route.name, &balance);
    Explanation {
        model: ask.model,
        route: &decision.route.name,
        balance,
        order,
        excluded,
        words,
    }
}

fn scores(candidate: &Candidate, model: &str, board: &Board, table: &Table) -> Scores {
    let figures = table.of(&candidate.target.provider.name, model);
    let value = |metric| rank::value(candidate, figures, metric, Stat::Median, Window::default());
    let regions = &candidate.target.provider.regions;
    Scores {
        input_price: value(Metric::InputPrice),
        output_price: value(Metric::OutputPrice),
        context: candidate.context,
        regions: regions.iter().map(|region| region.to_string()).collect(),
        success: value(Metric::Success),
        ttft: value(Metric::Ttft),
        otps: value(Metric::Otps),
        in_flight: board
            .target(&candidate.target)
            .map(|state| state.score.in_flight()),
    }
}

fn words(order: &[Tried<'_>], excluded: &[LeftOut<'_>], route: &str, balance: &str) -> Vec<String> {
    let mut words = vec![format!("route `{route}` serves this, balance {balance}")];
    for one in order {
        let mut line = format!(
            "{}. {} as {} (tier {}, weight {})",
            one.place, one.provider, one.upstream_model, one.tier, one.weight
        );
        if let Some(barred) = one.barred {
            let _ = write!(line, ", passed over now: {barred}");
        }
        words.push(line);
    }
    if order.is_empty() {
        words.push("nobody may serve it".to_owned());
    }
    for one in excluded {
        words.push(format!(
            "not {} for {}: {}",
            one.provider, one.model, one.why
        ));
    }
    words
}

impl Explanation<'_> {
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A line each.
    pub fn to_text(&self) -> String {
        let mut text = self.words.join("\n");
        text.push('\n');
        text
    }
}
