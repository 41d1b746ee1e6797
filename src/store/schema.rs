//! The tables, and how an older database becomes a newer one. The same statements serve both
//! databases.
//!
//! Times are microseconds since the epoch or lengths in microseconds. `began` and `id` together
//! name a request; the ids that callers choose are no names. `usage_quarters` holds the sums of
//! every quarter of an hour, written in the same transaction as the rows they sum up: questions
//! about months read it instead of the rows.

use crate::store::database::{Cell, Connection};
use crate::store::fault::Fault;

/// What brings a database from each version to the next. Only ever added to; and so that a gateway
/// that hands over can go on writing, a step adds and never takes away.
const STEPS: [&[&str]; 1] = [&[
    "CREATE TABLE requests (
        began BIGINT NOT NULL,
        id BIGINT NOT NULL,
        request_id TEXT NOT NULL,
        method TEXT NOT NULL,
        path TEXT NOT NULL,
        key_name TEXT,
        route TEXT,
        asked TEXT,
        model TEXT,
        served TEXT,
        provider TEXT,
        stream BIGINT NOT NULL,
        status BIGINT NOT NULL,
        reason TEXT NOT NULL,
        cause TEXT,
        attempts BIGINT NOT NULL,
        duration_us BIGINT NOT NULL,
        first_byte_us BIGINT,
        overhead_us BIGINT NOT NULL,
        bytes_in BIGINT NOT NULL,
        bytes_out BIGINT NOT NULL,
        gap BIGINT NOT NULL,
        PRIMARY KEY (began, id)
    )",
    "CREATE TABLE attempts (
        began BIGINT NOT NULL,
        id BIGINT NOT NULL,
        number BIGINT NOT NULL,
        provider TEXT NOT NULL,
        model TEXT NOT NULL,
        provider_key BIGINT NOT NULL,
        status BIGINT,
        reason TEXT NOT NULL,
        after_us BIGINT NOT NULL,
        took_us BIGINT NOT NULL,
        first_token_us BIGINT,
        lasted_us BIGINT NOT NULL,
        tokens_in BIGINT,
        tokens_out BIGINT,
        tokens_cached BIGINT,
        tokens_reasoning BIGINT,
        estimated BIGINT NOT NULL,
        cost_micros BIGINT,
        PRIMARY KEY (began, id, number)
    )",
    "CREATE INDEX attempts_by_target ON attempts (model, provider, began)",
    "CREATE TABLE usage_quarters (
        quarter BIGINT NOT NULL,
        model TEXT NOT NULL,
        provider TEXT NOT NULL,
        key_name TEXT NOT NULL,
        route TEXT NOT NULL,
        requests BIGINT NOT NULL,
        failures BIGINT NOT NULL,
        refused BIGINT NOT NULL,
        cancelled BIGINT NOT NULL,
        attempts BIGINT NOT NULL,
        failed_attempts BIGINT NOT NULL,
        tokens_in BIGINT NOT NULL,
        tokens_out BIGINT NOT NULL,
        tokens_cached BIGINT NOT NULL,
        tokens_reasoning BIGINT NOT NULL,
        estimated BIGINT NOT NULL,
        cost_micros BIGINT NOT NULL,
        priced BIGINT NOT NULL,
        unpriced BIGINT NOT NULL,
        PRIMARY KEY (quarter, model, provider, key_name, route)
    )",
    "CREATE TABLE batches (id BIGINT PRIMARY KEY, written BIGINT NOT NULL)",
]];

/// For PostgreSQL, where two gateways may begin at once: any number that nobody else uses.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7305809171094563)";

/// Makes the tables as this version knows them. All or nothing.
pub async fn prepare(connection: &mut Connection) -> Result<(), Fault> {
    let newest = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    connection.begin().await?;
    if let Connection::Postgres(_) = connection {
        connection.tell(LOCK).await?;
    }
    connection
        .tell("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")
        .await?;
    let rows = connection
        .rows("SELECT MAX(version) FROM schema_version", &[])
        .await?;
    let found = match rows.first() {
        Some(row) => row.number(0)?.unwrap_or(0),
        None => 0,
    };
    if found > newest {
        return Err(Fault::Newer { found, newest });
    }
    let done = usize::try_from(found).unwrap_or(0);
    for statement in STEPS.iter().skip(done).flat_map(|step| step.iter()) {
        connection.tell(statement).await?;
    }
    if found < newest {
        let sql = "INSERT INTO schema_version (version) VALUES ($1)";
        let version = [Cell::from(newest)];
        connection.execute(sql, &version, false).await?;
    }
    connection.commit().await?;
    Ok(())
}
