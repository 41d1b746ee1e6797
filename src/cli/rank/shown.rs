//! Rankings for a terminal, for programs and for spreadsheets.

use crate::cli::rank::ranking::{Placed, Ranking};
use crate::cli::table::table;
use crate::config::snapshot::By;
use crate::routing::metric::Window;
use serde_json::{Map, Value, json};

pub struct Shown<'a> {
    pub rankings: &'a [Ranking<'a>],
    pub columns: &'a [By],
    pub currency: &'a str,
    pub window: Window,
}

impl Shown<'_> {
    /// One for each model.
    pub fn table(&self) -> String {
        let mut text = format!(
            "Prices: {} per million tokens. Measures: of the last {}. `-`: unknown, or left out.\n",
            self.currency,
            self.window.name()
        );
        let columns = self.columns.iter().map(|by| named(by, " ").to_uppercase());
        let columns: Vec<String> = columns.collect();
        let mut head = vec!["#", "PROVIDER"];
        head.extend(columns.iter().map(String::as_str));
        head.push("LEFT OUT FOR");
        for ranking in self.rankings {
            let rows: Vec<_> = rows(ranking)
                .map(|(place, placed)| {
                    let cell = |text: Option<String>| text.unwrap_or("-".to_owned());
                    let place = cell(place.map(|place| place.to_string()));
                    let mut row = vec![place, placed.provider.to_string()];
                    row.extend(placed.values.iter().map(|value| cell(value.map(number))));
                    row.push(placed.why.join("; "));
                    row
                })
                .collect();
            text.push_str(&format!("\n{}\n{}", ranking.model, table(&head, &rows)));
        }
        text
    }

    pub fn json(&self) -> String {
        let values = |placed: &Placed<'_>| -> Map<String, Value> {
            let pairs = self.columns.iter().zip(&placed.values);
            pairs
                .map(|(by, value)| (named(by, "_"), Value::from(*value)))
                .collect()
        };
        let rankings = self.rankings.iter().map(|ranking| {
            let ranked = ranking.ranked.iter().enumerate().map(|(at, placed)| {
                let provider = &**placed.provider;
                json!({ "place": at + 1, "provider": provider, "values": values(placed) })
            });
            let left_out = ranking.left_out.iter().map(|placed| {
                let provider = &**placed.provider;
                json!({ "provider": provider, "values": values(placed), "why": placed.why })
            });
            json!({
                "model": &**ranking.model,
                "ranked": ranked.collect::<Vec<_>>(),
                "left_out": left_out.collect::<Vec<_>>(),
            })
        });
        let all = json!({
            "currency": self.currency,
            "window": self.window.name(),
            "rankings": rankings.collect::<Vec<_>>(),
        });
        format!("{all}\n")
    }

    /// Everything in one table, with a line for its head.
    pub fn csv(&self) -> String {
        let mut head = vec![
            "place".to_owned(),
            "provider".to_owned(),
            "model".to_owned(),
        ];
        head.extend(self.columns.iter().map(|by| named(by, "_")));
        head.push("left_out".to_owned());
        let rows = self.rankings.iter().flat_map(|ranking| {
            rows(ranking).map(|(place, placed)| {
                let place = place.map(|place| place.to_string()).unwrap_or_default();
                let mut row = vec![
                    place,
                    placed.provider.to_string(),
                    ranking.model.to_string(),
                ];
                let values = placed.values.iter();
                row.extend(values.map(|value| value.map(number).unwrap_or_default()));
                row.push(placed.why.join("; "));
                row
            })
        });
        std::iter::once(head)
            .chain(rows)
            .map(|row| {
                let cells: Vec<String> = row.iter().map(|cell| quoted(cell)).collect();
                cells.join(",") + "\n"
            })
            .collect()
    }
}

/// Those ranked, with their places, then those left out.
fn rows<'r>(ranking: &'r Ranking<'_>) -> impl Iterator<Item = (Option<usize>, &'r Placed<'r>)> {
    let ranked = ranking.ranked.iter().enumerate();
    let left_out = ranking.left_out.iter().map(|placed| (None, placed));
    ranked
        .map(|(at, placed)| (Some(at + 1), placed))
        .chain(left_out)
}

/// `otps_p90`; a metric that is one number by its name alone.
fn named(by: &By, between: &str) -> String {
    match by.metric.needs_stat() {
        true => format!("{}{between}{}", by.metric.name(), by.stat.name()),
        false => by.metric.name().to_owned(),
    }
}

/// As precise as anybody compares.
fn number(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text {
        "-0" => "0".to_owned(),
        text => text.to_owned(),
    }
}

/// Of a line of values with commas between.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}
