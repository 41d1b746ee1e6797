//! An answer of `/api/measures`, read back.

use crate::routing::figures::{Figures, Seen, Spread, Spreads};
use crate::routing::metric::{Metric, Stat, Window};
use serde::Deserialize;
use std::collections::HashMap;

/// By provider, then by model.
#[derive(Debug, Default)]
pub struct Measures(HashMap<String, HashMap<String, Figures>>);

#[derive(Deserialize)]
struct Answer {
    measures: Vec<Measured>,
}

#[derive(Deserialize)]
struct Measured {
    provider: String,
    model: String,
    windows: HashMap<String, Told>,
}

/// Of a window; what is not there is unknown.
#[derive(Deserialize)]
struct Told {
    success: Option<f64>,
    #[serde(flatten)]
    speeds: HashMap<String, serde_json::Value>,
}

#[derive(Default, Deserialize)]
struct Stats {
    avg: Option<f64>,
    median: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
}

impl Measures {
    /// What routing would know, were this window the one it looks at.
    pub fn read(json: &[u8], window: Window) -> Result<Measures, String> {
        let answer: Answer = serde_json::from_slice(json)
            .map_err(|error| format!("no answer of /api/measures: {error}"))?;
        let mut measures = Measures::default();
        for (place, measured) in answer.measures.into_iter().enumerate() {
            let Measured {
                provider,
                model,
                mut windows,
            } = measured;
            let place = format!("measures[{place}]");
            let Some(told) = windows.remove(window.name()) else {
                return Err(missing(&place, window, windows.keys()));
            };
            let place = format!("{place}.windows.{}", window.name());
            let mut figures = Figures::default();
            figures.set(Window::default(), told.seen(&place)?);
            let models = measures.0.entry(provider.clone()).or_default();
            if models.insert(model.clone(), figures).is_some() {
                return Err(format!(
                    "{place}: `{provider}` and `{model}` are there twice"
                ));
            }
        }
        Ok(measures)
    }

    pub fn of(&self, provider: &str, model: &str) -> Option<&Figures> {
        self.0.get(provider)?.get(model)
    }
}

fn missing<'a>(place: &str, window: Window, there: impl Iterator<Item = &'a String>) -> String {
    let mut there: Vec<&str> = there.map(String::as_str).collect();
    there.sort_unstable();
    let say = match there.as_slice() {
        [] => "it has none".to_owned(),
        there => format!("say --window {}", there.join(" or ")),
    };
    format!("{place}.windows: has no `{}`; {say}", window.name())
}

impl Told {
    fn seen(mut self, place: &str) -> Result<Seen, String> {
        let mut wrong = None;
        let spreads = Spreads::told(|metric| {
            let told = self.speeds.remove(metric.name()).unwrap_or_default();
            spread(metric, told).unwrap_or_else(|message| {
                wrong.get_or_insert(format!("{place}.{}: {message}", metric.name()));
                Spread::default()
            })
        });
        match wrong {
            Some(message) => Err(message),
            None => Ok(Seen {
                success: self.success,
                spreads,
                ..Seen::default()
            }),
        }
    }
}

fn spread(metric: Metric, told: serde_json::Value) -> Result<Spread, String> {
    let stats: Option<Stats> = serde_json::from_value(told).map_err(|error| error.to_string())?;
    let Stats {
        avg,
        median,
        p90,
        p99,
    } = stats.unwrap_or_default();
    match (avg, median, p90, p99) {
        (None, None, None, None) => Ok(Spread::default()),
        (Some(avg), Some(median), Some(p90), Some(p99)) => {
            Ok(Spread::told(1, [avg, median, p90, p99]))
        }
        _ => {
            let all = Stat::ALL.map(Stat::name).join(", ");
            Err(format!("`{}` needs all of {all}", metric.name()))
        }
    }
}
