//! `overspill rank`: a requirement file held against what is known and measured.

use crate::harness::answers::failure;
use crate::harness::fleet::{by, well};
use crate::harness::gateway::{Directory, run};
use crate::harness::*;
use serde_json::json;

const REQUIREMENT: &str = r#"{
    "filters": [
        {"metric": "success", "min": 0.95},
        {"metric": "otps", "stat": "p90", "min": 30},
        {"metric": "gpqa", "min": 60}
    ],
    "order": [{"metric": "output_price"}, {"metric": "ttft", "stat": "average"}]
}"#;

/// Providers with output price and score, `-` for none of it.
const CONFIG: &str = "\
providers:
  dear: { base_url: \"http://127.0.0.1:1/v1\", auth: none, models: { acme/chat: { name: m, price: { input: 1, output: 9 }, scores: { gpqa: 71 } } } }
  tie-b: { base_url: \"http://127.0.0.1:1/v1\", auth: none, models: { acme/chat: { name: m, price: { input: 1, output: 2 }, scores: { gpqa: 60 } } } }
  tie-a: { base_url: \"http://127.0.0.1:1/v1\", auth: none, models: { acme/chat: { name: m, price: { input: 1, output: 2 }, scores: { gpqa: 61 } } } }
  quick: { base_url: \"http://127.0.0.1:1/v1\", auth: none, models: { acme/chat: { name: m, price: { input: 1, output: 14.6, currency: CNY }, scores: { gpqa: 65 } } } }
  free: { base_url: \"http://127.0.0.1:1/v1\", auth: none, models: { acme/chat: { name: m, scores: { gpqa: 99 } } } }
  slow: { base_url: \"http://127.0.0.1:1/v1\", auth: none, models: { acme/chat: { name: m, price: { input: 0, output: 0 }, scores: { gpqa: 99 } } } }
  unscored: { base_url: \"http://127.0.0.1:1/v1\", auth: none, models: { acme/chat: { name: m, price: { input: 0, output: 0 } } } }
  new: { base_url: \"http://127.0.0.1:1/v1\", auth: none, models: { acme/chat: { name: m, price: { input: 0, output: 0 }, scores: { gpqa: 99 } }, acme/other: m } }
currencies: { CNY: { from_usd: 7.3, to_usd: 0.137 } }
routes:
  - match: { models: [acme/chat] }
    targets:
      - { provider: dear }
      - { provider: tie-b }
      - { provider: tie-a }
      - { provider: quick }
      - { provider: free }
      - { provider: slow, tier: 2 }
      - { provider: unscored }
      - { provider: new }
  - match: { models: [acme/other] }
    targets: [{ provider: new }]
";

fn spread(value: f64) -> Value {
    json!({ "samples": 3, "avg": value, "median": value, "p90": value, "p99": value })
}

/// Of `otps` only its p90 is 30 for those that just reach it.
fn measured(provider: &str, success: f64, otps: f64, ttft: Option<f64>) -> Value {
    let window = json!({
        "attempts": 3, "answers": 3, "estimated": 0, "sampled": false, "success": success,
        "otps": spread(otps),
        "ttft": ttft.map(spread).unwrap_or_else(|| json!({ "samples": 0, "p90": null })),
    });
    let windows = json!({ "1h": window, "5m": { "success": 0.0 } });
    json!({ "provider": provider, "model": "acme/chat", "windows": windows })
}

fn data() -> Value {
    json!({ "measures": [
        measured("dear", 0.99, 200.0, Some(0.1)),
        measured("tie-b", 0.95, 30.0, Some(0.5)),
        measured("tie-a", 1.0, 31.0, Some(0.5)),
        measured("quick", 1.0, 50.0, Some(0.4)),
        measured("free", 1.0, 50.0, None),
        measured("slow", 0.9499, 29.999, Some(9.0)),
        measured("unscored", 1.0, 99.0, Some(0.1)),
        measured("of-no-route", 1.0, 99.0, Some(0.1)),
    ] })
}

struct Desk(Directory);

struct Told {
    code: Option<i32>,
    out: String,
    said: String,
}

impl Desk {
    fn new() -> Desk {
        let desk = Desk(Directory::new());
        desk.0.write("requirement.json", REQUIREMENT);
        desk.0.write("overspill.yaml", CONFIG);
        desk.0.write("data.json", data().to_string());
        desk
    }

    fn rank(&self, arguments: &[&str]) -> Told {
        let path = |name: &str| self.0.path().join(name).display().to_string();
        let (requirement, config) = (path("requirement.json"), path("overspill.yaml"));
        let mut all = vec!["rank", "--requirement", &requirement, "-c", &config];
        let data = path("data.json");
        if !arguments.contains(&"--admin") && !arguments.contains(&"--offline") {
            all.extend(["--data", &data]);
        }
        all.extend(arguments.iter().filter(|one| **one != "--offline"));
        let output = run(&all, &[]);
        let told = Told {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            said: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!told.said.contains("panicked"), "{}", told.said);
        told
    }
}

impl Told {
    fn fine(self) -> Told {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.said);
        self
    }

    /// The JSON's first ranking.
    fn first(&self) -> Value {
        let all: Value = serde_json::from_str(&self.out).expect("JSON");
        all["rankings"][0].clone()
    }
}

fn providers(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list").iter();
    list.map(|one| one["provider"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn bounds_are_inclusive_ties_stable_and_the_unknown_last() {
    let told = Desk::new()
        .rank(&["--model", "acme/chat", "--format", "json"])
        .fine();
    let ranking = told.first();
    // `quick` is as cheap in dollars as the two before it (14.6 CNY are 2.0002), and dearer by that.
    assert_eq!(
        providers(&ranking["ranked"]),
        ["tie-b", "tie-a", "quick", "dear", "free"]
    );
    assert_eq!(providers(&ranking["left_out"]), ["unscored", "new", "slow"]);
    let best = &ranking["ranked"][0];
    assert_eq!(best["place"], 1);
    let values = json!({ "output_price": 2.0, "ttft_avg": 0.5, "success": 0.95, "otps_p90": 30.0, "gpqa": 60.0 });
    assert_eq!(best["values"], values);
    assert_eq!(ranking["ranked"][4]["values"]["output_price"], Value::Null);
    assert_eq!(ranking["ranked"][4]["values"]["ttft_avg"], Value::Null);
    let why = |place: usize| ranking["left_out"][place]["why"].clone();
    assert_eq!(why(0), json!(["its gpqa is unknown, not at least 60"]));
    assert_eq!(
        why(1),
        json!([
            "its success is unknown, not at least 0.95",
            "its otps p90 is unknown, not at least 30"
        ])
    );
    assert_eq!(why(2)[0], "its success is 0.9499, not at least 0.95");
    assert_eq!(why(2).as_array().map(Vec::len), Some(2));
}

#[test]
fn prices_are_compared_in_the_currency_that_is_asked_for() {
    let desk = Desk::new();
    desk.0.write(
        "requirement.json",
        "filters: [{ metric: output_price, max: 14.6 }]\norder: [{ metric: gpqa }]\n",
    );
    let arguments = [
        "--model",
        "acme/chat",
        "--format",
        "json",
        "--currency",
        "CNY",
    ];
    let ranking = desk.rank(&arguments).fine().first();
    // Nine dollars are too much; the yuan price is what it says, not what it becomes by way of dollars.
    assert_eq!(
        providers(&ranking["ranked"]),
        ["new", "slow", "quick", "tie-a", "tie-b", "unscored"]
    );
    let prices: Vec<f64> = ranking["ranked"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["values"]["output_price"].as_f64().unwrap())
        .collect();
    assert_eq!(prices, [0.0, 0.0, 14.6, 14.6, 14.6, 0.0]);
    let why = &ranking["left_out"][0]["why"][0];
    assert_eq!(why, "its output_price is 65.7000, not at most 14.6");
    let told = desk.rank(&["--currency", "EUR"]);
    assert_eq!(told.code, Some(1));
    assert!(
        told.said
            .contains("--currency: \"EUR\" has no rate: write one of CNY, USD"),
        "{}",
        told.said
    );
}

#[test]
fn a_table_and_lines_for_spreadsheets() {
    let desk = Desk::new();
    let table = desk.rank(&[]).fine();
    assert!(table.said.is_empty(), "{}", table.said);
    let lines: Vec<&str> = table.out.lines().collect();
    assert_eq!(
        lines[0],
        "Prices: USD per million tokens. Measures: of the last 1h. `-`: unknown, or left out."
    );
    assert_eq!(lines[2], "acme/chat");
    let cells = |line: &str| -> Vec<String> {
        let cells = line
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty());
        cells.map(str::to_owned).collect()
    };
    assert_eq!(
        cells(lines[3]),
        [
            "#",
            "PROVIDER",
            "OUTPUT_PRICE",
            "TTFT AVG",
            "SUCCESS",
            "OTPS P90",
            "GPQA",
            "LEFT OUT FOR"
        ]
    );
    assert_eq!(
        cells(lines[4]),
        ["1", "tie-b", "2", "0.5", "0.95", "30", "60"]
    );
    assert!(table.out.contains("\nacme/other\n"), "{}", table.out);
    let csv = desk.rank(&["--format", "csv"]).fine();
    let lines: Vec<&str> = csv.out.lines().collect();
    assert_eq!(
        lines[0],
        "place,provider,model,output_price,ttft_avg,success,otps_p90,gpqa,left_out"
    );
    assert_eq!(lines[1], "1,tie-b,acme/chat,2,0.5,0.95,30,60,");
    assert_eq!(
        lines[6],
        ",unscored,acme/chat,0,0.1,1,99,,\"its gpqa is unknown, not at least 60\""
    );
}

#[test]
fn nobody_left_and_what_cannot_be_read_are_failures() {
    let desk = Desk::new();
    let other = desk.rank(&["--model", "acme/other"]);
    assert_eq!(other.code, Some(1));
    assert!(
        other.said.contains("nobody meets the requirement"),
        "{}",
        other.said
    );
    assert!(other.out.contains("its gpqa is unknown"), "{}", other.out);
    let offline = desk.rank(&["--offline"]);
    assert_eq!(offline.code, Some(1));
    let warning = "warning: there are no measures without --admin or --data: \
                   of everyone ttft, otps, success are unknown";
    assert!(offline.said.contains(warning), "{}", offline.said);
    for (arguments, said) in [
        (vec!["--model", "acme/chatt"], "did you mean `acme/chat`?"),
        (
            vec!["--window", "24h"],
            "measures[0].windows: has no `24h`; say --window 1h or 5m",
        ),
        (
            vec!["--admin", "https://127.0.0.1:1"],
            "is not a host and its port",
        ),
        (vec!["--admin", "127.0.0.1"], "is not a host and its port"),
        (
            vec!["--admin", "http://127.0.0.1:1/api"],
            "is not a host and its port",
        ),
        (vec!["--admin", "http://127.0.0.1:1"], "cannot be asked: "),
        (
            vec!["--admin", "127.0.0.1:1", "--token", "a\nb: c"],
            "no value of a header",
        ),
    ] {
        let told = desk.rank(&arguments);
        assert_eq!(told.code, Some(1), "{arguments:?}");
        assert!(told.said.contains(said), "{arguments:?}: {}", told.said);
        assert!(told.out.is_empty(), "{arguments:?}: {}", told.out);
    }
    for arguments in [
        vec!["--window", "2h"],
        vec!["--token", "x"],
        vec!["--offline", "--token", "x"],
        vec!["--format", "xml"],
    ] {
        assert_eq!(desk.rank(&arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn odd_data_is_refused_with_its_place() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut data = data();
        change(&mut data["measures"][1]);
        data.to_string()
    };
    let desk = Desk::new();
    for (data, said) in [
        (String::new(), "no answer of /api/measures"),
        ("{\"measures\":{}}".to_owned(), "no answer of /api/measures"),
        ("[]".to_owned(), "no answer of /api/measures"),
        (
            with(&|one| one["windows"]["1h"]["otps"]["p90"] = Value::Null),
            "measures[1].windows.1h.otps: `otps` needs all of avg, median, p90, p99",
        ),
        (
            with(&|one| one["windows"]["1h"]["ttft"] = json!("fast")),
            "measures[1].windows.1h.ttft: invalid type",
        ),
        (
            with(&|one| one["provider"] = json!("dear")),
            "`dear` and `acme/chat` are there twice",
        ),
        (
            with(&|one| one["windows"] = json!({})),
            "measures[1].windows: has no `1h`; it has none",
        ),
    ] {
        desk.0.write("data.json", &data);
        let told = desk.rank(&[]);
        assert_eq!(told.code, Some(1), "{said}");
        assert!(told.said.contains(said), "{said}: {}", told.said);
    }
    desk.0.write(
        "requirement.json",
        "{\"filters\": [{\"metric\": \"speed\"}], \"order\": []}",
    );
    desk.0
        .write("overspill.yaml", "providers: {}\nroutes: []\n");
    let told = desk.rank(&[]);
    assert_eq!(told.code, Some(1));
    // Of both files at once.
    for said in [
        "requirement.json:1: filters[0].metric: unknown metric \"speed\"",
        "requirement.json:1: order: is empty",
        "overspill.yaml:1: providers: is empty",
    ] {
        assert!(told.said.contains(said), "{said}: {}", told.said);
    }
}

#[tokio::test]
async fn a_running_gateway_tells_its_measures() {
    let providers = well(2).await;
    let desk = Desk::new();
    desk.0.write(
        "requirement.json",
        "filters: [{ metric: success, min: 1 }]\norder: [{ metric: otpr, stat: p99 }]\n",
    );
    let config = Config::of(&providers)
        .route("main", "{ provider: one }, { provider: two, tier: 2 }")
        .server("admin: { address: ADMIN, token: sk-admin-token }");
    let gateway = Gateway::start(&config).await;
    assert_eq!(by(&gateway.chat(ASK).await.expect(200)), "one");
    let yaml = config.yaml(&gateway.address.to_string(), &gateway.admin.to_string());
    desk.0.write("overspill.yaml", yaml);
    let admin = format!("http://{}/", gateway.admin);
    let rank = async |more: &[&str]| {
        let arguments = [
            &["--admin", &admin, "--window", "5m", "--format", "json"],
            more,
        ]
        .concat();
        desk.rank(&arguments)
    };
    // The answer was sent before it was counted.
    let start = Instant::now();
    let told = loop {
        let told = rank(&[]).await;
        if told.code == Some(0) {
            break told;
        }
        assert!(start.elapsed() < ms(10_000), "{}", told.said);
    };
    let ranking = told.first();
    assert_eq!(
        providers_of(&ranking),
        (vec!["one".to_owned()], vec!["two".to_owned()])
    );
    assert_eq!(ranking["ranked"][0]["values"]["otpr_p99"], 2.0);
    rank(&["--token", "sk-admin-token"]).await.fine();
    let wrong = rank(&["--token", "sk-other-token"]).await;
    assert!(
        wrong.said.contains("wants its token: say --token"),
        "{}",
        wrong.said
    );
    // A token of the configuration is its own admin port's, and nobody else's.
    let other = Config::of(&providers)
        .route("main", "{ provider: one }")
        .server("admin: { address: ADMIN, token: sk-admin-token }");
    desk.0
        .write("overspill.yaml", other.yaml("127.0.0.1:8", "127.0.0.1:9"));
    assert!(rank(&[]).await.said.contains("wants its token"));
    let data = format!("http://{}", gateway.address);
    let wrong = desk.rank(&["--admin", &data]);
    assert!(
        wrong.said.contains("is it an admin port?"),
        "{}",
        wrong.said
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_an_address_answers_is_no_reason_to_wait_or_to_guess() {
    let desk = Desk::new();
    let raw = |text: &str| Act::Write(text.as_bytes().to_vec());
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}";
    let unsized_one = "HTTP/1.0 200 OK\r\n\r\n{\"measures\":[]}";
    for (acts, said) in [
        (vec![Act::Close], "the answer is no HTTP"),
        (
            vec![raw("SSH-2.0-x\r\n"), Act::Close],
            "the answer is no HTTP",
        ),
        (vec![raw(cut), Act::Close], "the answer is cut off"),
        (vec![failure(500, "down")], "answered 500"),
        (
            vec![json_reply(200, "{}"), Act::Hang],
            "no answer of /api/measures",
        ),
        (
            vec![raw(unsized_one), Act::Close],
            "nobody meets the requirement",
        ),
        (vec![Act::Reset], "cannot be asked: "),
    ] {
        let other = Provider::always(acts).await;
        let start = Instant::now();
        let told = desk.rank(&["--admin", &other.address.to_string()]);
        assert_eq!(told.code, Some(1), "{said}");
        assert!(told.said.contains(said), "{said}: {}", told.said);
        assert!(start.elapsed() < ms(20_000), "{said}");
        let seen = other.only();
        assert_eq!(seen.target, "/api/measures?window=1h");
        assert_eq!(seen.get("authorization"), None);
    }
}

fn providers_of(ranking: &Value) -> (Vec<String>, Vec<String>) {
    (
        providers(&ranking["ranked"]),
        providers(&ranking["left_out"]),
    )
}
