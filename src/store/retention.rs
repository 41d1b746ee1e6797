//! What is too old goes, a little at a time, so that no batch waits long behind it.

use crate::store::batch::QUARTER;
use crate::store::database::{Cell, Connection};
use crate::store::fault::Fault;
use std::time::Duration;

/// Rows of one table that go in one step; a few more where they are of the same moment.
const STEP: u32 = 1000;
/// Pages that go back to the file system in one step.
const VACUUM: &str = "PRAGMA incremental_vacuum(256)";
/// A batch is tried again within seconds, or not at all. In microseconds.
const BATCHES: i64 = 600 * 1_000_000;

/// One step. True: there is more to do. `now` in microseconds since the epoch.
pub async fn step(connection: &mut Connection, keep: Duration, now: i64) -> Result<bool, Fault> {
    let keep = i64::try_from(keep.as_micros()).unwrap_or(i64::MAX);
    let oldest = now.saturating_sub(keep);
    let tables = [
        ("requests", "began", oldest),
        ("attempts", "began", oldest),
        // As long as any of its quarter of an hour is kept.
        ("usage_quarters", "quarter", oldest.saturating_sub(QUARTER)),
        ("batches", "written", now.saturating_sub(BATCHES)),
    ];
    let mut gone = 0;
    for (table, column, before) in tables {
        let sql = format!(
            "DELETE FROM {table} WHERE {column} < $1 AND {column} <= (SELECT MAX({column}) FROM \
             (SELECT {column} FROM {table} ORDER BY {column} LIMIT {STEP}) AS oldest)"
        );
        gone += connection
            .execute(&sql, &[Cell::from(before)], true)
            .await?;
    }
    if gone > 0 && matches!(connection, Connection::Sqlite(_)) {
        connection.tell(VACUUM).await?;
    }
    Ok(gone > 0)
}
