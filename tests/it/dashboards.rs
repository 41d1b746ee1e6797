//! The dashboard and the alert rules ask for numbers that a gateway has, by names it gives them.

mod promql;

use crate::harness::*;
use overspill::mock::{Behaviour, serve};
use promql::Asked;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use tokio::net::TcpListener;

const DASHBOARD: &str = "conf/grafana/dashboards/overspill.json";
const ALERTS: &str = "conf/prometheus/alerts.yml";

/// Prometheus makes these itself, of what it scrapes.
const OF_PROMETHEUS: [(&str, &[&str]); 1] = [("up", &["job", "instance"])];
const OF_EVERY_SERIES: [&str; 2] = ["job", "instance"];

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> serde_yaml::Value {
    serde_yaml::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

async fn mock(behaviour: Behaviour) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, behaviour));
    base
}

/// The names of all series of a gateway that has met with everything, each with its labels.
async fn series() -> BTreeMap<String, BTreeSet<String>> {
    let one = mock(Behaviour::named("one").chunks(20)).await;
    let two = mock(Behaviour::named("two").chunks(20).by_model(false)).await;
    let usage = r#"{"prompt_tokens":1,"completion_tokens":1,"cost":2.5}"#;
    let told = format!(r#"{{"choices":[{{"message":{{"content":"hi"}}}}],"usage":{usage}}}"#);
    let dear = Provider::always(vec![json_reply(200, told)]).await;
    let faults = ["ok", "503", "malformed,at=5", "cut,at=10"];
    let models = faults.iter().map(|fault| {
        format!(
            "\"acme/{}\": {{ name: \"m+{fault}\", price: {{ input: 1, output: 2 }} }}",
            &fault[..2]
        )
    });
    let models = format!("{{ {} }}", Vec::from_iter(models).join(", "));
    let config = Config::new()
        .provider("one", &one)
        .with("models", &models)
        .provider("two", &two)
        .with("models", &models)
        .route("main", "{ provider: one }, { provider: two, tier: 2 }")
        .on_route("stream", "{ resume: auto }")
        .provider("dear", &dear.base())
        .with(
            "models",
            "{ \"dear/chat\": { name: dear-chat, price: { input: 1, output: 1 } } }",
        )
        .route("capped", "{ provider: dear }")
        .on_route("match", "{ models: [\"dear/*\"] }")
        .on_route("max_price", "{ input: 1, output: 1 }")
        .top("keys: [{ name: mobile, secret: sk-client-a, budget: { usd: 50, per: month } }]")
        .stored();
    let gateway = Gateway::start(&config).await;
    for fault in faults {
        let body = ASK_STREAM.replace("acme/chat", &format!("acme/{}", &fault[..2]));
        let request = Request::chat(body).key("sk-client-a");
        gateway.ask(request).await.expect(200);
    }
    let body = ASK.replace("acme/chat", "dear/chat");
    let request = Request::chat(body).key("sk-client-a");
    gateway.ask(request).await.expect(200);
    gateway.counts("overspill_requests_total", &[], 5.0).await;
    gateway.counts("overspill_in_flight", &[], 0.0).await;
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in gateway.metrics().await.lines() {
        if line.starts_with('#') {
            continue;
        }
        let name = line.split(['{', ' ']).next().expect("a name");
        let labels = promql::asked(line.rsplit_once(' ').expect("a value").0).labels;
        all.entry(name.to_string()).or_default().extend(labels);
    }
    all
}

/// Each expression with the labels that its legend names.
fn on_the_dashboard() -> Vec<(String, Vec<String>)> {
    let json: Value = serde_json::from_str(&read(DASHBOARD)).expect("a dashboard of JSON");
    let panels = json["panels"].as_array().expect("panels");
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let mut found: Vec<_> = targets
        .map(|target| {
            let legend = target["legendFormat"].as_str().expect("a legend");
            let named = legend.split("{{").skip(1);
            let named = named.filter_map(|rest| Some(rest.split_once("}}")?.0.trim().to_string()));
            let expression = target["expr"].as_str().expect("an expression");
            (expression.to_string(), named.collect())
        })
        .collect();
    for variable in json["templating"]["list"].as_array().expect("variables") {
        if let Some(query) = variable["query"]["query"].as_str() {
            let inner = query
                .strip_prefix("label_values(")
                .and_then(|rest| rest.strip_suffix(")"))
                .unwrap_or_else(|| panic!("another kind of query: {query}"));
            let (series, label) = inner.rsplit_once(", ").expect("a series and a label");
            found.push((series.to_string(), vec![label.to_string()]));
        }
    }
    found
}

/// Each expression with the labels that its summary names.
fn in_the_alerts() -> Vec<(String, Vec<String>)> {
    let yaml = yaml(ALERTS);
    let groups = yaml["groups"].as_sequence().expect("groups");
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_sequence().into_iter().flatten());
    rules
        .map(|rule| {
            let summary = rule["annotations"]["summary"].as_str().expect("a summary");
            let named = summary.split("$labels.").skip(1).map(|rest| {
                let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_');
                name.clone().next().unwrap_or_default().to_string()
            });
            let expression = rule["expr"].as_str().expect("an expression");
            (expression.to_string(), named.collect())
        })
        .collect()
}

#[tokio::test]
async fn every_name_in_them_is_one_of_the_gateways() {
    let mut known = series().await;
    for (name, labels) in OF_PROMETHEUS {
        known.insert(
            name.into(),
            labels.iter().map(|label| label.to_string()).collect(),
        );
    }
    let expressions = [on_the_dashboard(), in_the_alerts()].concat();
    assert!(
        expressions.len() > 30,
        "only {} expressions",
        expressions.len()
    );
    let mut wrong = Vec::new();
    for (expression, named) in &expressions {
        let Asked { names, labels } = promql::asked(expression);
        assert!(!names.is_empty(), "no series in {expression}");
        let mut theirs: BTreeSet<&str> = OF_EVERY_SERIES.into();
        for name in &names {
            match known.get(name) {
                Some(labels) => theirs.extend(labels.iter().map(String::as_str)),
                None => wrong.push(format!("no such series: {name} in {expression}")),
            }
        }
        for label in labels.iter().chain(named) {
            if !theirs.contains(label.as_str()) {
                wrong.push(format!("no such label: {label} in {expression}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn money_is_shown_by_key_and_model() {
    let shown = on_the_dashboard();
    let money = shown
        .iter()
        .find(|(expression, _)| expression.contains("_dollars_total"));
    let (expression, named) = money.expect("a panel of costs");
    assert!(expression.contains("sum by (key, model)"), "{expression}");
    assert_eq!(named[..], ["key", "model"]);
}

#[test]
fn panels_lie_beside_each_other_and_ask_the_chosen_prometheus() {
    let json: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = json["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let place = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{panel}");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "over another: {panel}");
            }
        }
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
        }
    }
}

#[test]
fn what_compose_mounts_is_there_and_fits_together() {
    let compose = yaml("docker-compose.yml");
    let services = compose["services"].as_mapping().expect("services");
    let mut mounted = BTreeMap::new();
    for (name, service) in services {
        for volume in service["volumes"].as_sequence().into_iter().flatten() {
            let volume = volume.as_str().expect("a short volume");
            let mut parts = volume.split(':');
            let (from, to) = (parts.next().unwrap(), parts.next().unwrap());
            if from.starts_with("./") {
                assert!(repository(from).exists(), "{name:?} mounts {from}");
                assert_eq!(parts.next(), Some("ro"), "{volume}");
                mounted.insert(to.to_string(), repository(from));
            } else {
                assert!(compose["volumes"].get(from).is_some(), "no volume {from}");
            }
        }
    }
    // A path inside a container, as it is here.
    let here = |path: &str| {
        let (to, from) = mounted
            .iter()
            .find(|(to, _)| path.starts_with(to.as_str()))
            .unwrap_or_else(|| panic!("{path} is not mounted"));
        PathBuf::from(format!("{}{}", from.display(), &path[to.len()..]))
    };
    let command = services["prometheus"]["command"].as_sequence().unwrap();
    let config = command
        .iter()
        .find_map(|word| word.as_str()?.strip_prefix("--config.file="))
        .expect("a configuration");
    let config = here(config);
    let text = std::fs::read_to_string(&config).unwrap();
    let prometheus: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    for rules in prometheus["rule_files"].as_sequence().expect("rules") {
        assert!(
            config.with_file_name(rules.as_str().unwrap()).exists(),
            "{rules:?}"
        );
    }
    let scraped = prometheus["scrape_configs"][0]["static_configs"][0]["targets"][0].as_str();
    assert_eq!(scraped, Some("gateway:9090"));
    let provisioning = "conf/grafana/provisioning";
    let dashboards = yaml(&format!("{provisioning}/dashboards/overspill.yml"));
    let folder = dashboards["providers"][0]["options"]["path"]
        .as_str()
        .unwrap();
    assert!(here(folder).join("overspill.json").exists(), "{folder}");
    let sources = yaml(&format!("{provisioning}/datasources/prometheus.yml"));
    let source = &sources["datasources"][0];
    assert_eq!(source["url"], "http://prometheus:9090");
    let home = &services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"];
    assert!(here(home.as_str().unwrap()).exists());
}
