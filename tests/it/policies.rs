//! The policies of `conf/`: domestic first with an overflow abroad, and DeepSeekRouter's
//! requirement, against providers that behave like those they name.

use crate::harness::answers::failure;
use crate::harness::fleet::{Mood, by};
use crate::harness::gateway::run;
use crate::harness::*;
use serde_json::json;

/// So many tokens after so long.
fn answer(tokens: u64, after: Duration) -> Vec<Act> {
    let mut body: Value = serde_json::from_str(&chat("m", "hello")).unwrap();
    body["usage"] = json!({
        "prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": 10 + tokens
    });
    vec![Act::Sleep(after), json_reply(200, body.to_string())]
}

fn body(model: &str) -> String {
    json!({ "model": model, "messages": [{ "role": "user", "content": "hi" }] }).to_string()
}

fn tagged(model: &str, tag: &str) -> Request {
    Request::chat(body(model)).header("x-overspill-tags", tag)
}

struct Placed {
    names: Vec<&'static str>,
    moods: Vec<Mood>,
    providers: Vec<Provider>,
    config: Config,
    gateway: Gateway,
}

impl Placed {
    async fn start(file: &str, names: &[&'static str]) -> Placed {
        let (mut moods, mut providers, mut bases) = (vec![], vec![], vec![]);
        for name in names {
            let mood = Mood::default();
            let provider = mood.provider().await;
            bases.push((*name, provider.base()));
            moods.push(mood);
            providers.push(provider);
        }
        let keys = names
            .iter()
            .map(|name| format!("{}_API_KEY", name.to_uppercase()));
        let keys: Vec<String> = keys.collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let config = Config::example(file, &bases, &keys);
        let gateway = Gateway::start(&config).await;
        Placed {
            names: names.to_vec(),
            moods,
            providers,
            config,
            gateway,
        }
    }

    fn place(&self, name: &str) -> usize {
        let place = self.names.iter().position(|one| *one == name);
        place.expect("such a provider")
    }

    fn set(&self, name: &str, acts: Vec<Act>) {
        self.moods[self.place(name)].set(acts);
    }

    fn count(&self, name: &str) -> usize {
        self.providers[self.place(name)].count()
    }

    async fn explained(&self, request: Request) -> Value {
        let request = request.header("x-overspill-explain", "1");
        self.gateway.ask(request).await.expect(200).json()
    }
}

fn excluded(explained: &Value, provider: &str, model: &str) -> Option<String> {
    let all = explained["excluded"].as_array().expect("a list");
    let mut all = all.iter();
    let found = all.find(|one| one["provider"] == provider && one["model"] == model);
    found.map(|one| one["rule"].as_str().unwrap().to_owned())
}

const HYBRID: [&str; 3] = ["siliconflow", "alibaba", "openrouter"];
const V3: &str = "deepseek/deepseek-v3.2";

#[tokio::test]
async fn hybrid_stays_at_home_until_it_cannot_and_then_within_its_price() {
    let placed = Placed::start("hybrid.yaml", &HYBRID).await;
    for _ in 0..10 {
        placed.gateway.chat(body(V3)).await.expect(200);
    }
    assert_eq!(placed.count("siliconflow"), 8);
    assert_eq!(placed.count("alibaba"), 2);
    assert_eq!(placed.count("openrouter"), 0);
    for name in ["siliconflow", "alibaba"] {
        placed.set(name, vec![failure(503, "down")]);
    }
    let spilled = placed.gateway.chat(body(V3)).await.expect(200);
    assert_eq!(by(&spilled), "openrouter");
    // The cap goes with it: OpenRouter chooses among others by itself.
    let told = placed.providers[2].only().json();
    let cap = &told["provider"]["max_price"];
    let number = |value: &Value| {
        let text = value.as_str().map(str::to_owned);
        text.unwrap_or(value.to_string()).parse::<f64>().unwrap()
    };
    assert_eq!(
        (number(&cap["prompt"]), number(&cap["completion"])),
        (0.6, 2.4),
        "{told}"
    );
    // There it costs 2.5, and the cap is 2.4.
    let r1 = "deepseek/deepseek-r1";
    let explained = placed.explained(Request::chat(body(r1))).await;
    let rule = excluded(&explained, "openrouter", r1);
    assert_eq!(rule.as_deref(), Some("price_cap"), "{explained}");
    assert_eq!(placed.count("openrouter"), 1);
}

#[tokio::test]
async fn hybrid_never_leaves_the_country_where_a_tag_says_so() {
    let placed = Placed::start("hybrid.yaml", &HYBRID).await;
    let reply = placed.gateway.ask(tagged(V3, "global")).await.expect(200);
    assert_eq!(by(&reply), "openrouter");
    let home = placed.gateway.ask(tagged(V3, "cn-only")).await.expect(200);
    assert_ne!(by(&home), "openrouter");
    for name in ["siliconflow", "alibaba"] {
        placed.set(name, vec![failure(503, "down")]);
    }
    let refused = placed.gateway.ask(tagged(V3, "cn-only")).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(placed.count("openrouter"), 1);
    let explained = placed.explained(tagged(V3, "cn-only")).await;
    let rule = excluded(&explained, "openrouter", V3);
    assert_eq!(rule.as_deref(), Some("region"));
}

const R1: &str = "deepseek/deepseek-r1";

impl Placed {
    /// Two requests for each of the four, whoever serves at the moment.
    async fn probe(&self) {
        for _ in 0..8 {
            self.gateway.ask(tagged(R1, "probe")).await;
        }
    }

    async fn becomes(&self, provider: &str) {
        let start = Instant::now();
        loop {
            let reply = self.gateway.chat(body(R1)).await;
            if reply.status == 200 && by(&reply) == provider {
                return;
            }
            let explained = self.explained(Request::chat(body(R1))).await;
            assert!(start.elapsed() < ms(20_000), "not {provider}: {explained}");
            tokio::time::sleep(ms(50)).await;
        }
    }

    /// Who comes first by `overspill rank`.
    fn ranked(&self) -> Vec<String> {
        let requirement = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/conf/deepseekrouter-requirement.json"
        );
        let config = self.gateway.beside("overspill.yaml");
        let admin = self.gateway.admin.to_string();
        let output = run(
            &[
                "rank",
                "--requirement",
                requirement,
                "-c",
                config.to_str().unwrap(),
                "--admin",
                &admin,
                "--format",
                "json",
            ],
            &self.config.environment,
        );
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let ranked = told["rankings"][0]["ranked"].as_array().unwrap().clone();
        ranked
            .iter()
            .map(|one| one["provider"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[tokio::test]
async fn deepseekrouters_requirement_follows_what_is_measured() {
    let names = ["siliconflow", "alibaba", "openrouter", "tencent"];
    let placed = Placed::start("deepseekrouter.yaml", &names).await;
    for name in names {
        placed.set(name, answer(5000, ms(1)));
    }
    // Nobody is known to be fast yet.
    let reply = placed.gateway.chat(body(R1)).await.expect(503).json();
    assert_eq!(reply["error"]["metadata"]["reason"], "policy_quality");
    assert_eq!(placed.count("siliconflow"), 0);

    placed.probe().await;
    placed.becomes("siliconflow").await;
    assert_eq!(placed.ranked(), ["siliconflow", "alibaba", "openrouter"]);
    let explained = placed.explained(Request::chat(body(R1))).await;
    let rule = excluded(&explained, "tencent", R1);
    assert_eq!(rule.as_deref(), Some("measured"));

    // The cheapest grows slow: twenty tokens a second.
    placed.set("siliconflow", answer(10, ms(500)));
    placed.probe().await;
    placed.becomes("alibaba").await;
    assert_eq!(placed.ranked(), ["alibaba", "openrouter"]);

    // The next one fails: its success falls, and the dearest is left.
    placed.set("alibaba", vec![failure(500, "out of order")]);
    placed.probe().await;
    placed.becomes("openrouter").await;
    let explained = placed.explained(Request::chat(body(R1))).await;
    let rule = excluded(&explained, "alibaba", R1);
    assert_eq!(rule.as_deref(), Some("measured"), "{explained}");
    assert_eq!(placed.ranked(), ["openrouter"]);

    // A policy that cannot be read changes nothing; one that can holds from then on.
    let address = placed.gateway.address.to_string();
    let yaml = placed
        .config
        .yaml(&address, &placed.gateway.admin.to_string());
    placed.gateway.rewrite_as(&yaml.replace("p90", "p95"));
    let refused = placed.gateway.reload().await;
    assert_ne!(refused.status, 200);
    assert!(
        refused.text().contains("unknown stat"),
        "{}",
        refused.text()
    );
    let reply = placed.gateway.chat(body(R1)).await.expect(200);
    assert_eq!(by(&reply), "openrouter");
    placed
        .gateway
        .rewrite_as(&yaml.replace("min: 60", "min: 69.5"));
    placed.gateway.reload().await.expect(200);
    let reply = placed.gateway.chat(body(R1)).await.expect(503).json();
    assert_eq!(reply["error"]["metadata"]["reason"], "policy_quality");
}
