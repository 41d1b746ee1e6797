//! A million records into SQLite, and the questions that are asked of them. All of them in the last
//! day, with the models, providers and keys of a busy gateway: the most that a day's question can
//! meet.

use overspill::config::snapshot::{Store as Settings, StorePlace};
use overspill::error::Reason;
use overspill::pricing::Micros;
use overspill::store::Store;
use overspill::store::meters::Meters;
use overspill::store::place::Place;
use overspill::store::record::Record;
use overspill::store::requests;
use overspill::store::usage::{Group, Question};
use overspill::telemetry::tale::Attempt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const RECORDS: u32 = 1_000_000;
const DAY: Duration = Duration::from_secs(86_400);
/// What a question may take.
const BOUND: Duration = Duration::from_millis(200);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Cargo runs benches as tests too, where it is enough that they start.
    let records = if std::env::args().any(|argument| argument == "--bench") {
        RECORDS
    } else {
        10_000
    };
    let folder = std::env::temp_dir().join(format!("overspill-store-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let done = run(&folder.join("overspill.db"), records);
    std::fs::remove_dir_all(&folder)?;
    done
}

fn run(file: &std::path::Path, records: u32) -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings {
        place: StorePlace::Sqlite(file.to_owned()),
        retention: 90 * DAY,
        queue: 50_000,
        implied: false,
    };
    let meters = Meters::new(&prometheus::Registry::new())?;
    let place = Place::of(&settings, None);
    let store = Store::start(place, settings.retention, settings.queue, meters.clone())?;
    let now = SystemTime::now();
    let began = Instant::now();
    let names = Names::new();
    for number in 0..records {
        let at = now - DAY + DAY * number / records;
        store.write(&Arc::new(names.record(number, at)));
        while meters.waiting.get() > 40_000 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    while meters.waiting.get() > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let took = began.elapsed().as_secs_f64();
    let size = std::fs::metadata(file)?.len() >> 20;
    let lost = meters.dropped.get();
    println!(
        "{records} records in {took:.1} s: {:.0} a second, {lost} lost, {size} MiB",
        f64::from(records) / took
    );

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let micros = i64::try_from(now.duration_since(UNIX_EPOCH)?.as_micros())?;
    let (day, hour) = (86_400_000_000, 3_600_000_000);
    let quarter = hour / 4;
    // As it is asked when nobody says from when.
    let from = micros - day - (micros - day) % quarter;
    let all = Group::ALL.to_vec();
    let few = vec![Group::Model, Group::Provider];
    let questions = [
        ("the last day", from, micros - from, Vec::new(), None),
        (
            "the last day by model and provider",
            from,
            micros - from,
            few.clone(),
            None,
        ),
        (
            "the last day by all four",
            from,
            micros - from,
            all.clone(),
            None,
        ),
        ("the last day by hours and all four", from, hour, all, None),
        (
            "the last day of one key by hours and models",
            from,
            hour,
            few.clone(),
            Some((Group::Key, "key-3".to_owned())),
        ),
        ("a day that cuts quarters", micros - day + 1, day, few, None),
    ];
    let mut slow = Vec::new();
    for (name, from, interval, by, only) in questions {
        let question = Question {
            from,
            to: micros,
            interval,
            by,
            only: only.into_iter().collect(),
        };
        let began = Instant::now();
        let answer = runtime.block_on(async { store.reader().await?.usage(&question).await });
        let groups = answer.map_err(|fault| fault.to_string())?.len();
        let took = began.elapsed();
        println!(
            "{name}: {groups} groups in {:.0} ms",
            took.as_secs_f64() * 1e3
        );
        if took > BOUND {
            slow.push(name);
        }
    }
    let question = requests::Question {
        from,
        to: micros,
        model: None,
        provider: None,
        key: None,
        route: None,
        reason: None,
        before: None,
        limit: 100,
    };
    let began = Instant::now();
    let page = runtime.block_on(async { store.reader().await?.requests(&question).await });
    let rows = page.map_err(|fault| fault.to_string())?.len();
    let took = began.elapsed().as_secs_f64() * 1e3;
    println!("the newest {rows} requests: {took:.0} ms");
    store.close(Duration::from_secs(30));
    if slow.is_empty() {
        return Ok(());
    }
    Err(format!("longer than {BOUND:?}: {}", slow.join(", ")).into())
}

/// Eight models, four providers, ten keys.
struct Names {
    models: Vec<Arc<str>>,
    providers: Vec<Arc<str>>,
    keys: Vec<Arc<str>>,
    route: Arc<str>,
}

impl Names {
    fn new() -> Names {
        let named = |what: &str, count: u32| {
            let names = (0..count).map(|number| format!("{what}-{number}").into());
            names.collect()
        };
        Names {
            models: named("vendor/model", 8),
            providers: named("provider", 4),
            keys: named("key", 10),
            route: "main".into(),
        }
    }

    fn record(&self, number: u32, began: SystemTime) -> Record {
        // Spread without a pattern that an index would like.
        let mixed = number.wrapping_mul(2_654_435_761) >> 8;
        let pick = |names: &[Arc<str>], by: u32| {
            let at = (mixed / by) as usize % names.len();
            names.get(at).cloned().unwrap_or_default()
        };
        let (model, provider) = (pick(&self.models, 1), pick(&self.providers, 8));
        let failed = mixed.is_multiple_of(50);
        let reason = failed.then_some(Reason::ProviderOverloaded);
        let mut attempt = Attempt {
            provider: provider.clone(),
            model: model.clone(),
            status: Some(if failed { 503 } else { 200 }),
            reason,
            took: Duration::from_millis(300),
            first_token: Some(Duration::from_millis(290)),
            lasted: Duration::from_millis(4000),
            ..Attempt::default()
        };
        attempt.cost = Some(Micros::new(u64::from(mixed % 3000)));
        attempt.usage.input = Some(1200);
        attempt.usage.output = Some(u64::from(mixed % 900));
        Record {
            began,
            request_id: format!("{number:032x}"),
            method: "POST".to_owned(),
            path: "/v1/chat/completions".to_owned(),
            key: Some(pick(&self.keys, 32)),
            route: Some(self.route.clone()),
            asked: Some(model.to_string()),
            served: Some(model.to_string()),
            label: Some(model),
            provider: Some(provider),
            stream: true,
            status: if failed { 503 } else { 200 },
            reason,
            attempts: vec![attempt],
            duration: Duration::from_millis(4001),
            first_byte: Some(Duration::from_millis(300)),
            overhead: Duration::from_micros(150),
            bytes_in: 4000,
            bytes_out: 9000,
            ..Record::default()
        }
    }
}
