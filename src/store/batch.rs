//! Records as the rows they become, and writing them: all of a batch, or none of it, and never
//! twice.

use crate::store::database::{Cell, Connection};
use crate::store::fault::Fault;
use crate::store::record::Record;
use crate::store::sums::{self, Sums};
use crate::store::units::{cost, count, micros, moment, text};
use crate::telemetry::tale::Attempt;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// The length of the times that sums are kept for, in microseconds.
pub const QUARTER: i64 = 15 * 60 * 1_000_000;

const REQUESTS: [&str; 22] = [
    "began",
    "id",
    "request_id",
    "method",
    "path",
    "key_name",
    "route",
    "asked",
    "model",
    "served",
    "provider",
    "stream",
    "status",
    "reason",
    "cause",
    "attempts",
    "duration_us",
    "first_byte_us",
    "overhead_us",
    "bytes_in",
    "bytes_out",
    "gap",
];
const ATTEMPTS: [&str; 18] = [
    "began",
    "id",
    "number",
    "provider",
    "model",
    "provider_key",
    "status",
    "reason",
    "after_us",
    "took_us",
    "first_token_us",
    "lasted_us",
    "tokens_in",
    "tokens_out",
    "tokens_cached",
    "tokens_reasoning",
    "estimated",
    "cost_micros",
];
/// What sums are kept by, besides the time.
pub const GROUPS: [&str; 4] = ["model", "provider", "key_name", "route"];

/// Rows of one statement. A full one is prepared once.
const ROWS: usize = 100;

/// Quarter, then the values of `GROUPS`. In order, so that two gateways that write to one database
/// never wait for each other crosswise.
type Group<'a> = (i64, [&'a str; GROUPS.len()]);

pub struct Batch {
    /// Known again when it is not known whether it was written.
    id: i64,
    requests: Vec<Cell>,
    attempts: Vec<Cell>,
    sums: Vec<Cell>,
}

impl Batch {
    /// `id` and as many as there are records from it on belong to this batch.
    pub fn new(records: &[Arc<Record>], id: i64) -> Batch {
        let mut batch = Batch {
            id,
            requests: Vec::with_capacity(records.len() * REQUESTS.len()),
            attempts: Vec::with_capacity(records.len() * ATTEMPTS.len()),
            sums: Vec::new(),
        };
        let mut groups: BTreeMap<Group<'_>, Sums> = BTreeMap::new();
        for (record, id) in records.iter().zip(id..) {
            let began = moment(record.began);
            batch.requests.extend(request(record, began, id));
            let quarter = began - began.rem_euclid(QUARTER);
            let (key, route) = (or_empty(&record.key), or_empty(&record.route));
            let group = [
                or_empty(&record.label),
                or_empty(&record.provider),
                key,
                route,
            ];
            let sums = groups.entry((quarter, group)).or_default();
            sums.add(&Sums::of_request(record));
            for (one, number) in record.attempts.iter().zip(1..) {
                let cells = attempt(one, began, id, number);
                batch.attempts.extend(cells);
                let group = [&*one.model, &*one.provider, key, route];
                let sums = groups.entry((quarter, group)).or_default();
                sums.add(&Sums::of_attempt(one));
            }
        }
        for ((quarter, group), sums) in &groups {
            batch.sums.push((*quarter).into());
            batch.sums.extend(group.map(Cell::from));
            batch.sums.extend(sums.cells());
        }
        batch
    }

    /// In one transaction. After an error the connection is of no more use.
    pub async fn write(&self, connection: &mut Connection, now: i64) -> Result<(), Fault> {
        let is_numbered = matches!(connection, Connection::Postgres(_));
        connection.begin().await?;
        let sql = "INSERT INTO batches (id, written) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        let cells = [Cell::from(self.id), Cell::from(now)];
        let is_new = connection.execute(sql, &cells, true).await? > 0;
        if is_new {
            let summed: Vec<&str> = ["quarter"]
                .into_iter()
                .chain(GROUPS)
                .chain(sums::NAMES)
                .collect();
            let tables = [
                ("requests", &REQUESTS[..], &self.requests, String::new()),
                ("attempts", &ATTEMPTS[..], &self.attempts, String::new()),
                ("usage_quarters", &summed[..], &self.sums, added()),
            ];
            for (table, columns, cells, conflict) in tables {
                for cells in cells.chunks(columns.len() * ROWS) {
                    let rows = cells.len() / columns.len();
                    let sql = insert(table, columns, rows, &conflict, is_numbered);
                    connection.execute(&sql, cells, rows == ROWS).await?;
                }
            }
        }
        connection.commit().await?;
        Ok(())
    }
}

fn or_empty(name: &Option<Arc<str>>) -> &str {
    name.as_deref().unwrap_or("")
}

fn request(record: &Record, began: i64, id: i64) -> [Cell; REQUESTS.len()] {
    let named = |name: &Option<Arc<str>>| Cell::from(name.as_deref().map(text));
    let said = |said: &Option<String>| Cell::from(said.as_deref().map(text));
    [
        began.into(),
        id.into(),
        text(&record.request_id).into(),
        text(&record.method).into(),
        text(&record.path).into(),
        named(&record.key),
        named(&record.route),
        said(&record.asked),
        named(&record.label),
        said(&record.served),
        named(&record.provider),
        record.stream.into(),
        i64::from(record.status).into(),
        record.end().into(),
        said(&record.cause),
        i64::try_from(record.attempts.len())
            .unwrap_or(i64::MAX)
            .into(),
        micros(record.duration).into(),
        record.first_byte.map(micros).into(),
        micros(record.overhead).into(),
        count(record.bytes_in).into(),
        count(record.bytes_out).into(),
        record.gap.into(),
    ]
}

fn attempt(attempt: &Attempt, began: i64, id: i64, number: i64) -> [Cell; ATTEMPTS.len()] {
    let end = attempt.reason.map_or("ok", |reason| reason.label());
    let usage = &attempt.usage;
    [
        began.into(),
        id.into(),
        number.into(),
        text(&attempt.provider).into(),
        text(&attempt.model).into(),
        i64::try_from(attempt.key).unwrap_or(i64::MAX).into(),
        attempt.status.map(i64::from).into(),
        end.into(),
        micros(attempt.began).into(),
        micros(attempt.took).into(),
        attempt.first_token.map(micros).into(),
        micros(attempt.lasted).into(),
        usage.input.map(count).into(),
        usage.output.map(count).into(),
        usage.cached.map(count).into(),
        usage.reasoning.map(count).into(),
        attempt.estimated.into(),
        cost(attempt).into(),
    ]
}

/// `INSERT INTO table (a, b) VALUES ($1, $2), ($3, $4)`, or `?` instead: SQLite looks for the name
/// of each among all the others.
fn insert(table: &str, columns: &[&str], rows: usize, conflict: &str, is_numbered: bool) -> String {
    let mut sql = format!("INSERT INTO {table} ({}) VALUES ", columns.join(", "));
    let mut number = 0;
    for row in 0..rows {
        sql.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns.len() {
            number += 1;
            let comma = if column == 0 { "" } else { ", " };
            // Writing into a string cannot fail.
            let _ = match is_numbered {
                true => write!(sql, "{comma}${number}"),
                false => write!(sql, "{comma}?"),
            };
        }
        sql.push(')');
    }
    sql.push_str(conflict);
    sql
}

/// What is there already grows.
fn added() -> String {
    let sums: Vec<String> = sums::NAMES
        .iter()
        .map(|name| format!("{name} = usage_quarters.{name} + excluded.{name}"))
        .collect();
    format!(
        " ON CONFLICT (quarter, {}) DO UPDATE SET {}",
        GROUPS.join(", "),
        sums.join(", ")
    )
}
