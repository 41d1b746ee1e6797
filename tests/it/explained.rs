//! What `x-overspill-explain` says is what then happens, whatever was configured and asked for.

use crate::harness::answers::{chat_reply, failure};
use crate::harness::*;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const NAMES: [&str; 5] = ["ada", "ada/turbo", "bob", "cyd", "dee"];
const REGIONS: [&str; 2] = ["cn", "us"];

/// Numbers that are the same every time.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        // Knuth's constants; the high bits are the good ones.
        self.0 = self.0.wrapping_mul(6364136223846793005);
        self.0 = self.0.wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// A list of names as JSON and YAML have it, in any order.
    fn names(&mut self) -> String {
        let from = self.below(NAMES.len());
        let count = 1 + self.below(3);
        let taken = NAMES.iter().cycle().skip(from).step_by(2).take(count);
        let quoted: Vec<_> = taken.map(|name| format!("\"{name}\"")).collect();
        format!("[{}]", quoted.join(","))
    }
}

/// A provider that fails while it is told to.
async fn provider(failing: &Arc<AtomicUsize>, at: usize, how: Act) -> Provider {
    let failing = failing.clone();
    Provider::start(move |_, seen| {
        if failing.load(Ordering::Relaxed) & (1 << at) != 0 {
            vec![how.clone()]
        } else {
            chat_reply(seen)
        }
    })
    .await
}

fn models(draw: &mut Draw, name: &str, at: usize) -> String {
    let name = name.replace('/', "-");
    let mut models = String::new();
    for (model, base) in [("one", 10), ("two", 20)] {
        let cents = (base + at) * (1 + draw.below(3)) + at * 100;
        let price = match draw.below(5) {
            0 => String::new(),
            1 => format!(
                ", price: {{ input: {}.{:03}, output: {}.{:03}, currency: CNY }}",
                cents * 73 / 1000,
                cents * 73 % 1000,
                cents * 73 / 1000,
                cents * 73 % 1000
            ),
            _ => format!(
                ", price: {{ input: {}.{:02}, output: {}.{:02} }}",
                cents / 100,
                cents % 100,
                cents / 100,
                cents % 100
            ),
        };
        let tools = ["", ", capabilities: [tools]", ", capabilities: []"][draw.below(3)];
        let stored = ["", ", quantization: fp8", ", quantization: int4"][draw.below(3)];
        let _ = write!(
            models,
            "\"acme/{model}\": {{ name: {name}-{model}{price}{tools}{stored} }}, "
        );
    }
    format!("{{ {models} }}")
}

fn config(draw: &mut Draw, providers: &[Provider]) -> Config {
    let mut config = Config::new();
    for (at, (name, provider)) in NAMES.iter().zip(providers).enumerate() {
        config = config.provider(name, &provider.base());
        config = config.with("models", &models(draw, name, at));
        if draw.once_in(2) {
            config = config.with("region", REGIONS[draw.below(2)]);
        }
        if draw.once_in(2) {
            config = config.with("data", "{ collection: deny, zdr: true }");
        }
    }
    let balance = ["weighted", "cheapest", "ranked", "sticky"][draw.below(4)];
    let spread = 1 + draw.below(3);
    let start = draw.below(NAMES.len());
    let order = NAMES.iter().cycle().skip(start).take(NAMES.len());
    let targets: Vec<String> = order
        .enumerate()
        .map(|(at, name)| {
            let weight = 1 + draw.below(3);
            format!(
                "{{ provider: {name}, tier: {}, weight: {weight} }}",
                1 + at / spread
            )
        })
        .collect();
    let route = |config: Config, name: &str, models: &str| {
        let config = config.route(name, &targets.join(", "));
        let config = match balance {
            "ranked" => config.on_route("order", "[{ metric: output_price }]"),
            _ => config,
        };
        config
            .on_route("match", &format!("{{ models: [\"{models}\"] }}"))
            .on_route("balance", balance)
            .on_route("retry", "{ attempts: 20, backoff: 1ms..2ms }")
    };
    let is_one = draw.once_in(2);
    if is_one {
        config = route(config, "all", "acme/*");
        if draw.once_in(2) {
            config = config.on_route("fallback_models", "[\"acme/two\"]");
        }
    } else {
        config = route(route(config, "first", "acme/one"), "second", "acme/two");
    }
    if draw.once_in(4) {
        config = config.on_route("max_price", &format!("{{ output: {} }}", 1 + draw.below(5)));
    }
    if draw.once_in(5) {
        config = config.on_route("regions", "[cn, sg]");
    }
    if draw.once_in(4) {
        config = config.on_route("prefer", &draw.names());
    }
    let mut key = String::new();
    for (field, times) in [("prefer", 3), ("ignore", 4), ("only", 6)] {
        if draw.once_in(times) {
            let _ = write!(key, ", {field}: {}", draw.names());
        }
    }
    if draw.once_in(6) {
        key.push_str(", data: { collection: deny }");
    }
    config.top(&format!(
        "keys: [{{ name: k, secret: sk-explained-key, explain: true{key} }}]"
    ))
}

fn body(draw: &mut Draw) -> String {
    let mut provider = Vec::new();
    for (field, times) in [("order", 3), ("ignore", 4), ("only", 6)] {
        if draw.once_in(times) {
            provider.push(format!("\"{field}\":{}", draw.names()));
        }
    }
    for (field, times) in [
        ("\"allow_fallbacks\":false", 5),
        ("\"max_price\":{\"prompt\":\"3.5\"}", 5),
        ("\"quantizations\":[\"fp8\",\"unknown\"]", 5),
        ("\"require_parameters\":true", 5),
        ("\"preferred_max_latency\":3", 5),
    ] {
        if draw.once_in(times) {
            provider.push(field.to_owned());
        }
    }
    match draw.below(8) {
        0 => provider.push("\"sort\":\"price\"".to_owned()),
        1 => provider.push("\"sort\":{\"by\":\"price\",\"partition\":\"none\"}".to_owned()),
        _ => {}
    }
    let suffix = if draw.once_in(6) { ":floor" } else { "" };
    let models = ["", ",\"models\":[\"acme/two\",\"acme/one\"]"][draw.below(2)];
    let tools = ["", ",\"tools\":[{\"type\":\"function\"}]"][draw.below(2)];
    format!(
        r#"{{"model":"acme/one{suffix}","messages":[]{models}{tools},"provider":{{{}}}}}"#,
        provider.join(",")
    )
}

fn ask(body: &str) -> Request {
    Request::chat(body)
        .key("sk-explained-key")
        .header("x-overspill-session", "the same")
}

/// Provider, and its own name for the model, of each step.
fn explained(reply: &Reply) -> Vec<(String, String)> {
    let told = reply.json();
    let order = told["order"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    order
        .iter()
        .map(|one| (text(&one["provider"]), text(&one["upstream_model"])))
        .collect()
}

/// So many of those in the plan are down; who is asked?
async fn happens(seed: u64, down: usize, how: Act) {
    let mut draw = Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let failing = Arc::new(AtomicUsize::new(0));
    let mut providers = Vec::new();
    for at in 0..NAMES.len() {
        providers.push(provider(&failing, at, how.clone()).await);
    }
    let gateway = Gateway::start(&config(&mut draw, &providers)).await;
    let body = body(&mut draw);
    let told = gateway
        .ask(ask(&body).header("x-overspill-explain", "1"))
        .await;
    let told = told.expect(200);
    let order = explained(&told);
    assert!(providers.iter().all(|provider| provider.count() == 0));
    let mut mask = 0;
    for (name, _) in order.iter().take(down) {
        let at = NAMES.iter().position(|known| known == name);
        mask |= 1 << at.expect("one of them");
    }
    failing.store(mask, Ordering::Relaxed);
    let is_down = |name: &str| {
        let at = NAMES.iter().position(|known| *known == name);
        mask & (1 << at.expect("one of them")) != 0
    };
    let reply = gateway.ask(ask(&body)).await;
    let what = format!(
        "seed {seed}, {down} down: {body}\n{}\n{:?}",
        told.text(),
        reply.head
    );
    // Up to the first that is well, or to the end.
    let until = order.iter().position(|(name, _)| !is_down(name));
    let asked = &order[..until.map_or(order.len(), |at| at + 1)];
    let status = match (until, order.is_empty()) {
        (Some(_), _) => 200..=200,
        (None, false) => 500..=599,
        (None, true) => 400..=503,
    };
    assert!(status.contains(&reply.status), "{} {what}", reply.status);
    let trace = reply.get("x-overspill-trace").unwrap_or_default();
    let mut tried: Vec<&str> = trace
        .split(", ")
        .filter_map(|one| one.split(';').next())
        .filter(|name| !name.is_empty())
        .collect();
    // A second try of the same before the next is no other.
    tried.dedup();
    let mut expected: Vec<&str> = asked.iter().map(|(name, _)| name.as_str()).collect();
    expected.dedup();
    assert_eq!(tried, expected, "{what}");
    for (name, provider) in NAMES.iter().zip(&providers) {
        let mut seen: Vec<String> = provider.seen().iter().map(|seen| seen.model()).collect();
        seen.dedup();
        let own = asked.iter().filter(|(asked, _)| asked == name);
        let own: Vec<String> = own.map(|(_, model)| model.clone()).collect();
        assert_eq!(seen, own, "{name}: {what}");
    }
}

#[tokio::test]
async fn what_is_told_is_what_happens() {
    for seed in 0..24 {
        happens(seed, seed as usize % 4, failure(503, "down")).await;
    }
}

#[tokio::test]
async fn so_it_is_when_everybody_fails() {
    for seed in 24..40 {
        // A dead one is not tried twice, which would be more retries than an outage may cost.
        happens(seed, usize::MAX, Act::Reset).await;
    }
}
