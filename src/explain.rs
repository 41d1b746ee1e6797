//! Why a request goes where it goes: the decision a request would take, told instead of taken.

use crate::config::metric::{Metric, Stat, Window};
use crate::config::snapshot::{Candidate, Endpoint, Key, Keys, Snapshot};
use crate::decide::{self, Ask, Decision, decide};
use crate::error::{Failure, Reason};
use crate::health::board::Board;
use crate::health::grant::bar;
use crate::limits::budget::Standing;
use crate::measure::table::Table;
use crate::pricing::Micros;
use crate::routing::filter::Needs;
use crate::routing::preferences::Preferences;
use crate::routing::rank;
use crate::routing::table::Asked;
use http::{HeaderMap, HeaderValue};
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

/// A request that nobody makes, to be asked what would become of it.
#[derive(Debug, Default)]
pub struct Question {
    pub model: String,
    /// The name of a key, never its secret.
    pub key: Option<String>,
    /// As in `x-overspill-tags`.
    pub tags: Option<String>,
    /// As in `x-overspill-route`.
    pub route: Option<String>,
    pub host: String,
    /// None: that of chats.
    pub path: Option<String>,
}

/// The answer as JSON, and in words.
#[derive(Debug)]
pub struct Answer {
    pub json: String,
    pub text: String,
}

/// What would become of it now. `standing`: of a key's budget, by its name.
pub fn answer(
    question: &Question,
    snapshot: &Snapshot,
    board: &Board,
    table: &Table,
    standing: impl FnOnce(&str) -> Option<Standing>,
    now: Instant,
) -> Result<Answer, Failure> {
    let refused = |message: String| Failure::new(Reason::CallerBadRequest, message);
    let key = match (&question.key, &snapshot.keys) {
        (None, _) => None,
        (Some(name), keys) => {
            let found = match keys {
                Keys::Open => None,
                Keys::Known(keys) => keys.values().find(|key| *key.name == **name),
            };
            Some(found.ok_or_else(|| refused(format!("there is no key `{name}`")))?)
        }
    };
    let mut headers = HeaderMap::new();
    if let Some(tags) = &question.tags {
        let value = HeaderValue::from_str(tags);
        let value = value.map_err(|_| refused("tags: no value of a header".to_owned()))?;
        headers.insert("x-overspill-tags", value);
    }
    let (model, by) = decide::without_suffix(snapshot, &question.model);
    let preferences = Preferences::default().with_suffix(by);
    let path = question.path.as_deref().unwrap_or("/v1/chat/completions");
    let ask = Ask {
        asked: Asked {
            path,
            host: &question.host,
            headers: &headers,
            key: key.map(|key| &**key),
            route: question.route.as_deref(),
        },
        endpoint: Some(Endpoint::at(path).unwrap_or(Endpoint::Chat)),
        model: (!model.is_empty()).then_some(model),
        preferences: &preferences,
        needs: &Needs::default,
        tokens: (0, 0),
        drawn: (0, 0),
        takes_turn: false,
    };
    let decision = decide(snapshot, board, table, &ask, |_| 0, now)?;
    let explained = explain(&decision, board, table, &ask, now);
    let explained = explained.with_budget(key.and_then(|key| standing(&key.name)));
    Ok(Answer {
        json: explained.to_json(),
        text: explained.to_text(),
    })
}

#[derive(Debug, Serialize)]
pub struct Explanation<'a> {
    pub model: Option<&'a str>,
    pub route: &'a str,
    pub balance: String,
    /// In the order in which they would be tried.
    pub order: Vec<Tried<'a>>,
    pub excluded: Vec<LeftOut<'a>>,
    /// Of the key, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
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

/// In micro-dollars.
#[derive(Debug, Serialize)]
pub struct Budget {
    pub limit_micros: u64,
    pub spent_micros: u64,
    pub reserved_micros: u64,
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
        budget: None,
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
    /// With what the key may still spend, if that is bounded.
    pub fn with_budget(mut self, standing: Option<Standing>) -> Self {
        let Some(standing) = standing else {
            return self;
        };
        let (limit, spent, left) = (standing.limit, standing.spent, standing.left());
        self.words.push(match left == Micros::ZERO {
            true => format!(
                "refused now whoever would serve it: of the key's {limit} dollars nothing is left"
            ),
            false => format!("of the key's {limit} dollars {spent} are spent and {left} left"),
        });
        self.budget = Some(Budget {
            limit_micros: limit.get(),
            spent_micros: spent.get(),
            reserved_micros: standing.reserved.get(),
        });
        self
    }

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

#[cfg(test)]
mod properties;
