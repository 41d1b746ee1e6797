//! `router_settings` and `litellm_settings`: how often, how long and in which order.

use crate::config::place::Place;
use crate::config::units::show_time;
use crate::import::draft::{Field, Value};
use crate::import::input::{Fields, Item};
use crate::import::notes::Notes;
use std::time::Duration;

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Strategy {
    #[default]
    Weighted,
    LeastBusy,
    Fastest,
    Cheapest,
}

/// A model, and what it falls back to.
struct Fallback<'a> {
    place: Place,
    /// None: every model that has none of its own.
    from: Option<&'a str>,
    to: Vec<(&'a str, Place)>,
    /// Only for requests that are too long.
    by_context: bool,
}

#[derive(Default)]
pub struct Router<'a> {
    pub strategy: Strategy,
    retries: Option<u64>,
    timeout: Option<Duration>,
    stream_timeout: Option<Duration>,
    allowed_fails: Option<u64>,
    cooldown: Option<Duration>,
    fallbacks: Vec<Fallback<'a>>,
}

pub fn read<'a>(fields: &mut Fields<'a>, notes: &mut Notes) -> Router<'a> {
    let mut router = Router::default();
    for (name, timeout) in [
        ("router_settings", "timeout"),
        ("litellm_settings", "request_timeout"),
    ] {
        let Some(mut settings) = fields.take_fields(name, notes) else {
            continue;
        };
        router.read(&mut settings, timeout, notes);
        settings.lose("drop_params", notes, "requests pass as they are");
        settings.finish(notes);
    }
    router
}

impl<'a> Router<'a> {
    /// Of the two places a setting may stand in, the router's own holds.
    fn read(&mut self, settings: &mut Fields<'a>, timeout: &str, notes: &mut Notes) {
        if let Some(item) = settings.take("routing_strategy") {
            self.strategy = strategy(&item, notes);
        }
        let mut whole = |name| settings.take(name).and_then(|item| item.whole(notes, 1000));
        let (retries, fails) = (whole("num_retries"), whole("allowed_fails"));
        self.retries = self.retries.or(retries);
        self.allowed_fails = self.allowed_fails.or(fails);
        let mut time = |name| {
            let seconds = settings.take(name)?.number(notes, 86_400.0)?;
            let time = Duration::try_from_secs_f64(seconds).ok()?;
            Some(time.max(Duration::from_millis(1)))
        };
        let (whole, stream, cooldown) =
            (time(timeout), time("stream_timeout"), time("cooldown_time"));
        self.timeout = self.timeout.or(whole);
        self.stream_timeout = self.stream_timeout.or(stream);
        self.cooldown = self.cooldown.or(cooldown);
        for (name, by_context) in [("fallbacks", false), ("context_window_fallbacks", true)] {
            if let Some(item) = settings.take(name) {
                self.add_fallbacks(&item, by_context, notes);
            }
        }
        if let Some(item) = settings.take("default_fallbacks") {
            let to = models(&item, notes);
            self.fallbacks.push(Fallback {
                place: item.place,
                from: None,
                to,
                by_context: false,
            });
        }
        let why =
            "a refused content goes to the caller; `retry.for: [content_filter]` changes that";
        settings.lose("content_policy_fallbacks", notes, why);
    }

    /// `[{a: [b, c]}]`.
    fn add_fallbacks(&mut self, item: &Item<'a>, by_context: bool, notes: &mut Notes) {
        for item in item.list(notes) {
            let Some(mut pairs) = item.fields(notes) else {
                continue;
            };
            for (from, item) in pairs.drain() {
                let from = (from != "*").then_some(from);
                let to = models(&item, notes);
                if by_context {
                    notes.warn(format!(
                        "{}: models for longer requests are also asked when every target has \
                         failed otherwise",
                        item.place
                    ));
                }
                self.fallbacks.push(Fallback {
                    place: item.place,
                    from,
                    to,
                    by_context,
                });
            }
        }
    }

    /// Fallbacks of models that are none of these.
    pub fn strangers(&self, is_known: impl Fn(&str) -> bool) -> impl Iterator<Item = &Place> {
        let strange = move |one: &&Fallback| one.from.is_some_and(|from| !is_known(from));
        self.fallbacks.iter().filter(strange).map(|one| &one.place)
    }

    /// In their order, each once.
    pub fn fallbacks(&self, model: &str) -> Vec<(&'a str, &Place)> {
        let mut found: Vec<(&str, &Place)> = Vec::new();
        for fallback in self.of(model) {
            for (to, place) in &fallback.to {
                if !found.iter().any(|(known, _)| known == to) {
                    found.push((to, place));
                }
            }
        }
        found
    }

    fn of(&self, model: &str) -> impl Iterator<Item = &Fallback<'a>> {
        let own = self
            .fallbacks
            .iter()
            .any(|fallback| fallback.from == Some(model) && !fallback.by_context);
        self.fallbacks
            .iter()
            .filter(move |fallback| match fallback.from {
                Some(from) => from == model,
                None => !own,
            })
    }

    pub fn why_fallbacks(&self, model: &str) -> &'static str {
        if self.of(model).any(|fallback| fallback.by_context) {
            "`fallbacks` and `context_window_fallbacks`: here one list"
        } else {
            "`fallbacks`"
        }
    }

    /// What every route says, with so many models to fall back to.
    pub fn fields(&self, fallbacks: usize) -> Vec<Field> {
        let mut fields = Vec::new();
        let balance = match self.strategy {
            Strategy::Weighted => None,
            Strategy::LeastBusy => Some("least_busy"),
            Strategy::Fastest => Some("fastest"),
            Strategy::Cheapest => Some("cheapest"),
        };
        if let Some(balance) = balance {
            let field = Field::new("balance", Value::word(balance));
            fields.push(field.because("`routing_strategy`"));
        }
        if let Some(retries) = self.retries {
            let models = u64::try_from(fallbacks)
                .unwrap_or(u64::MAX)
                .saturating_add(1);
            let attempts = (retries + 1).saturating_mul(models).min(100);
            let retry = Value::map([("attempts", Value::word(attempts))]);
            let why = match fallbacks {
                0 => "`num_retries`, and the first attempt".to_owned(),
                _ => format!("`num_retries` and the first attempt, for each of {models} models"),
            };
            fields.push(Field::new("retry", retry).because(why));
        }
        let whole = self.timeout.map(|time| ("response", time));
        let streams = self.stream_timeout.or(self.timeout);
        let times = [streams.map(|time| ("first_byte", time)), whole];
        let times: Vec<(&str, Value)> = times
            .into_iter()
            .flatten()
            .map(|(name, time)| (name, Value::word(show_time(time))))
            .collect();
        if !times.is_empty() {
            let field = Field::new("timeouts", Value::map(times));
            let why = "LiteLLM's `timeout`: for the whole answer; a stream only has to begin in it";
            fields.push(field.because(why));
        }
        fields
    }

    /// `allowed_fails` and `cooldown_time`, as near as a breaker comes.
    pub fn breaker(&self) -> Option<Field> {
        let mut fields = Vec::new();
        if let Some(fails) = self.allowed_fails {
            let minimum = fails.saturating_add(1);
            fields.push(("window", Value::word("1m")));
            fields.push(("minimum", Value::word(minimum)));
            if minimum > 20 {
                fields.push(("last", Value::word(minimum)));
            }
        }
        if let Some(cooldown) = self.cooldown {
            fields.push(("interval", Value::word(show_time(cooldown))));
        }
        if fields.is_empty() {
            return None;
        }
        let why = "`allowed_fails` and `cooldown_time`, nearly: it opens on a share of failures, \
                   50% unless said, and a probe ends the rest";
        Some(Field::new("breaker", Value::map(fields)).because(why))
    }
}

fn models<'a>(item: &Item<'a>, notes: &mut Notes) -> Vec<(&'a str, Place)> {
    let items = item.one_or_many(notes);
    items
        .into_iter()
        .filter_map(|item| Some((item.text(notes)?, item.place)))
        .collect()
}

fn strategy(item: &Item, notes: &mut Notes) -> Strategy {
    match item.text(notes) {
        Some("simple-shuffle") | None => Strategy::Weighted,
        Some("least-busy") => Strategy::LeastBusy,
        Some("latency-based-routing") => Strategy::Fastest,
        Some("cost-based-routing" | "lowest-cost") => Strategy::Cheapest,
        Some(_) => {
            notes.lost(
                &item.place,
                "no such balance here; requests are spread by weight",
            );
            Strategy::Weighted
        }
    }
}
