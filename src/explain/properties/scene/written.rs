//! The same as it is written: in the file, and in the body.

use super::{Balance, MODELS, NAMES, Offer, Price, Rules, Scene};
use std::fmt::Write;

impl Scene {
    pub fn yaml(&self) -> String {
        let mut out = String::from("providers:\n");
        for (name, house) in NAMES.iter().zip(&self.houses) {
            if house.offers.iter().all(Option::is_none) {
                continue;
            }
            let models = MODELS.iter().zip(&house.offers);
            let models = models.filter_map(|(model, offer)| Some(offered(model, offer.as_ref()?)));
            let _ = write!(
                out,
                "  {name}: {{ base_url: 'http://127.0.0.1:9/v1', auth: none, models: {{ {} }}",
                models.collect::<Vec<_>>().join(", ")
            );
            if let Some(region) = house.region {
                let _ = write!(out, ", region: {region}");
            }
            let collection = house
                .collects
                .map(|one| format!("collection: {}", if one { "allow" } else { "deny" }));
            let zdr = house.zdr.map(|zdr| format!("zdr: {zdr}"));
            let data: Vec<String> = collection.into_iter().chain(zdr).collect();
            if !data.is_empty() {
                let _ = write!(out, ", data: {{ {} }}", data.join(", "));
            }
            out.push_str(if house.chats {
                " }\n"
            } else {
                ", endpoints: [embeddings] }\n"
            });
        }
        out.push_str("routes:\n");
        for (at, way) in self.ways.iter().enumerate() {
            let models: Vec<&str> = way.models.iter().map(|model| MODELS[*model]).collect();
            let targets = way.targets.iter().map(|target| {
                format!(
                    "{{ provider: {}, tier: {}, weight: {} }}",
                    NAMES[target.provider], target.tier, target.weight
                )
            });
            let _ = write!(
                out,
                "  - {{ name: way-{at}, match: {{ models: [{}] }}, targets: [{}], balance: {}",
                models.join(", "),
                targets.collect::<Vec<_>>().join(", "),
                format!("{:?}", way.balance).to_lowercase()
            );
            if way.balance == Balance::Ranked {
                out.push_str(", order: [{ metric: output_price }]");
            }
            if let Some(least) = way.least_gpqa {
                let _ = write!(out, ", require: [{{ metric: gpqa, min: {least} }}]");
            }
            if way.falls_back {
                let _ = write!(out, ", fallback_models: [{}]", MODELS[1]);
            }
            let _ = writeln!(out, "{} }}", ruled(&way.rules));
        }
        let rules = ruled(&self.key);
        let _ = writeln!(
            out,
            "keys: [{{ name: k, secret: sk-a-long-enough-secret{rules} }}]"
        );
        out
    }

    pub fn body(&self) -> String {
        let wish = &self.wish;
        let suffix = if wish.floor { ":floor" } else { "" };
        let mut provider = serde_json::Map::new();
        let mut set = |name: &str, value: serde_json::Value| {
            provider.insert(name.to_owned(), value);
        };
        for (name, list) in [
            ("order", &wish.order),
            ("only", &wish.only),
            ("ignore", &wish.ignore),
            ("quantizations", &wish.quantizations),
        ] {
            if !list.is_empty() {
                set(name, list.clone().into());
            }
        }
        for (name, is_set, value) in [
            ("allow_fallbacks", wish.no_fallbacks, false),
            ("require_parameters", wish.require_parameters, true),
            ("zdr", wish.zdr, true),
        ] {
            if is_set {
                set(name, value.into());
            }
        }
        if wish.deny_collection {
            set("data_collection", "deny".into());
        }
        if let Some(apart) = wish.written_sort {
            let partition = if apart { "model" } else { "none" };
            set(
                "sort",
                serde_json::json!({ "by": "price", "partition": partition }),
            );
        }
        let mut cap = serde_json::Map::new();
        for (name, tenths) in [("prompt", wish.cap.0), ("completion", wish.cap.1)] {
            if let Some(tenths) = tenths {
                cap.insert(name.to_owned(), dollars(tenths).into());
            }
        }
        if !cap.is_empty() {
            set("max_price", cap.into());
        }
        let models: Vec<&str> = wish.models.iter().map(|model| MODELS[*model]).collect();
        let mut body = serde_json::json!({
            "model": format!("{}{suffix}", MODELS[wish.model]),
            "messages": [],
            "provider": provider,
        });
        if !models.is_empty() {
            body["models"] = models.into();
        }
        body.to_string()
    }
}

fn dollars(tenths: u32) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn offered(model: &str, offer: &Offer) -> String {
    let mut fields = vec![format!("name: x-{}", model.replace('/', "-"))];
    if let Some(Price { tenths, in_yuan }) = offer.price {
        let (input, output) = tenths;
        fields.push(if in_yuan {
            let yuan = |tenths: u32| format!("{}.{:02}", tenths * 73 / 100, tenths * 73 % 100);
            let (input, output) = (yuan(input), yuan(output));
            format!("price: {{ input: {input}, output: {output}, currency: CNY }}")
        } else {
            let (input, output) = (dollars(input), dollars(output));
            format!("price: {{ input: {input}, output: {output} }}")
        });
    }
    fields.extend(offer.context.map(|context| format!("context: {context}")));
    fields.extend(offer.tools.map(|takes| {
        let list = if takes { "tools" } else { "" };
        format!("capabilities: [{list}]")
    }));
    fields.extend(offer.quantization.map(|one| format!("quantization: {one}")));
    fields.extend(
        offer
            .gpqa
            .map(|score| format!("scores: {{ gpqa: {score} }}")),
    );
    format!("{model}: {{ {} }}", fields.join(", "))
}

fn ruled(rules: &Rules) -> String {
    let mut out = String::new();
    let named = |list: &[usize]| list.iter().map(|one| NAMES[*one]).collect::<Vec<_>>();
    for (field, list) in [
        ("regions", rules.regions.clone()),
        ("quantizations", rules.quantizations.clone()),
        ("only", named(&rules.only)),
        ("ignore", named(&rules.ignore)),
        ("prefer", named(&rules.prefer)),
    ] {
        if !list.is_empty() {
            let _ = write!(out, ", {field}: [{}]", list.join(", "));
        }
    }
    let parts = [("input", rules.cap.0), ("output", rules.cap.1)];
    let parts = parts
        .into_iter()
        .filter_map(|(name, tenths)| Some((name, tenths?)));
    let caps: Vec<String> = parts
        .map(|(name, tenths)| format!("{name}: {}", dollars(tenths)))
        .collect();
    if !caps.is_empty() {
        let _ = write!(out, ", max_price: {{ {} }}", caps.join(", "));
    }
    let collection = rules.deny_collection.then_some("collection: deny");
    let zdr = rules.zdr.then_some("zdr: true");
    let data: Vec<&str> = collection.into_iter().chain(zdr).collect();
    if !data.is_empty() {
        let _ = write!(out, ", data: {{ {} }}", data.join(", "));
    }
    out
}
