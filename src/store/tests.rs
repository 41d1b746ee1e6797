//! Against a real file: what was written is what is answered.

use crate::error::Reason;
use crate::pricing::Micros;
use crate::store::batch::{Batch, QUARTER};
use crate::store::database::Connection;
use crate::store::record::Record;
use crate::store::sums::{Outcome, Sums};
use crate::store::usage::{Answer, Group, Question, ask};
use crate::store::{retention, sqlite};
use crate::telemetry::tale::Attempt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// The beginning of a quarter of an hour.
const START: i64 = 1_782_993_600_000_000;

struct File(PathBuf);

impl File {
    fn new(name: &str) -> File {
        let name = format!("overspill-store-{name}-{}.db", std::process::id());
        let file = File(std::env::temp_dir().join(name));
        file.remove();
        file
    }

    async fn open(&self) -> Connection {
        sqlite::open(&self.0, false).await.unwrap()
    }

    fn remove(&self) {
        for part in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{part}", self.0.display()));
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.remove();
    }
}

/// One for every way to end, and as many attempts as models, over almost two hours.
fn records() -> Vec<Arc<Record>> {
    let ends = [None].into_iter().chain(Reason::ALL.map(Some));
    let records = ends.zip(0..).map(|(reason, number): (_, u32)| {
        let attempts = (0..number % 3).map(|at| {
            let mut attempt = Attempt {
                provider: format!("provider-{at}").into(),
                model: "model".into(),
                reason: if at == 0 { reason } else { None },
                estimated: at == 1,
                cost: (number % 4 == 0).then(|| Micros::new(u64::from(number))),
                ..Attempt::default()
            };
            attempt.usage.input = Some(u64::from(number));
            attempt.usage.output = (at == 1).then_some(7);
            attempt
        });
        let offset = u64::try_from(START).unwrap() + u64::from(number) * 190_000_000;
        Arc::new(Record {
            began: UNIX_EPOCH + Duration::from_micros(offset),
            reason,
            key: (number % 2 == 0).then(|| "key".into()),
            label: Some("model".into()),
            provider: (number % 3 > 0).then(|| "provider-0".into()),
            attempts: attempts.collect(),
            ..Record::default()
        })
    });
    records.collect()
}

fn question(from: i64, to: i64, interval: i64) -> Question {
    Question {
        from,
        to,
        interval,
        by: Group::ALL.to_vec(),
        only: Vec::new(),
    }
}

/// By group, whatever the interval.
fn together(answer: &Answer) -> Vec<(Vec<String>, Sums)> {
    let mut sums = std::collections::BTreeMap::<_, Sums>::new();
    for ((_, values), more) in answer {
        sums.entry(values.clone()).or_default().add(more);
    }
    sums.into_iter().collect()
}

#[tokio::test]
async fn rows_and_their_sums_say_the_same_and_a_batch_is_written_once() {
    let file = File::new("same");
    let mut connection = file.open().await;
    let records = records();
    let batch = Batch::new(&records, 17);
    for _ in 0..2 {
        batch.write(&mut connection, START).await.unwrap();
    }
    let end = START + 12 * QUARTER;
    let whole = ask(&mut connection, &question(START, end, end - START))
        .await
        .unwrap();
    // Every quarter is cut: from the rows alone.
    let cut = ask(&mut connection, &question(START, end, 420_000_000))
        .await
        .unwrap();
    assert_eq!(together(&whole), together(&cut));
    let mut expected = Sums::default();
    for record in &records {
        expected.add(&Sums::of_request(record));
        for attempt in &record.attempts {
            expected.add(&Sums::of_attempt(attempt));
        }
    }
    let mut found = Sums::default();
    whole.values().for_each(|sums| found.add(sums));
    assert_eq!(found, expected);
    let named: std::collections::HashMap<_, _> = found.named().collect();
    assert_eq!(named["requests"], i64::try_from(records.len()).unwrap());
    assert_eq!(named["cancelled"], 1);
    // All ways to end, one of them well.
    let bad = named["failures"] + named["refused"] + named["cancelled"];
    assert_eq!(bad, named["requests"] - 1);

    // A filter is the same for both.
    for interval in [end - START, 420_000_000] {
        let question = Question {
            only: vec![
                (Group::Key, "key".to_owned()),
                (Group::Provider, "provider-1".to_owned()),
            ],
            ..question(START, end, interval)
        };
        let answer = ask(&mut connection, &question).await.unwrap();
        let groups = together(&answer);
        assert_eq!(groups.len(), 1, "{groups:?}");
        assert_eq!(groups[0].0, ["model", "provider-1", "key", ""]);
    }
}

#[tokio::test]
async fn what_is_old_goes_and_the_rest_stays() {
    let file = File::new("old");
    let mut connection = file.open().await;
    let records = records();
    Batch::new(&records, 1)
        .write(&mut connection, START)
        .await
        .unwrap();
    let now = START + 12 * QUARTER;
    let keep = Duration::from_micros(u64::try_from(now - (START + 3 * QUARTER)).unwrap());
    while retention::step(&mut connection, keep, now).await.unwrap() {}
    let old = ask(
        &mut connection,
        &question(START, START + 2 * QUARTER + 1, now),
    )
    .await
    .unwrap();
    assert!(old.is_empty(), "{old:?}");
    let rest = ask(&mut connection, &question(START + 3 * QUARTER, now, now))
        .await
        .unwrap();
    let mut sums = Sums::default();
    rest.values().for_each(|more| sums.add(more));
    let kept = records.iter().filter(|record| {
        let began = record.began.duration_since(UNIX_EPOCH).unwrap().as_micros();
        i64::try_from(began).unwrap() >= START + 3 * QUARTER
    });
    let kept = i64::try_from(kept.count()).unwrap();
    assert!(kept > 0);
    assert_eq!(sums.named().next(), Some(("requests", kept)));
}

#[test]
fn whose_doing_it_was() {
    for (reason, outcome) in [
        (None, Outcome::Well),
        (Some(Reason::CallerCancelled), Outcome::Cancelled),
        (Some(Reason::CallerBadJson), Outcome::Refused),
        (Some(Reason::PolicyKey), Outcome::Refused),
        (Some(Reason::ProviderError), Outcome::Failed),
        (Some(Reason::GatewayNoTarget), Outcome::Failed),
    ] {
        assert_eq!(Outcome::of(reason), outcome, "{reason:?}");
    }
}
