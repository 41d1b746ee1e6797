//! Records in a file. It is shared: a successor writes to it while its predecessor drains, and an
//! operator may read it at any time.

use crate::store::database::Connection;
use crate::store::fault::Fault;
use crate::store::schema;
use sqlx::ConnectOptions;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long another's lock is waited for before the batch is tried again later.
const BUSY: Duration = Duration::from_secs(2);
/// The journal is cut back to this after a checkpoint.
const JOURNAL: &str = "67108864";

/// Which file stands at a path: device and number.
pub type Identity = Option<(u64, u64)>;

/// A connection that writes, its tables made. A file that is no database is set aside first, and
/// one that `suspect` says has misbehaved is looked through before it is trusted again.
pub async fn open(path: &Path, suspect: bool) -> Result<Connection, Fault> {
    let before = identity(path);
    match attempt(path, suspect).await {
        Err(fault) if fault.is_corrupt() && before.is_some() => {
            // Another process may have found the same, and put a fresh file there by now.
            if identity(path) == before {
                set_aside(path, &fault)?;
            }
            attempt(path, false).await
        }
        other => other,
    }
}

/// A connection that reads what is there, and only that: one that may write takes the journal along
/// when it closes, and where the file was set aside meanwhile that is the fresh one's.
pub async fn read(path: &Path) -> Result<Connection, Fault> {
    let connection = options(path).read_only(true).connect().await?;
    Ok(Connection::Sqlite(Box::new(connection)))
}

pub fn identity(path: &Path) -> Identity {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

async fn attempt(path: &Path, suspect: bool) -> Result<Connection, Fault> {
    let connection: SqliteConnection = options(path)
        .create_if_missing(true)
        // Space that retention frees goes back to the file system in small steps.
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        // A power cut may cost the last batches, and never the database.
        .synchronous(SqliteSynchronous::Normal)
        .pragma("journal_size_limit", JOURNAL)
        .connect()
        .await?;
    let mut connection = Connection::Sqlite(Box::new(connection));
    if suspect {
        check(&mut connection).await?;
    }
    schema::prepare(&mut connection).await?;
    Ok(connection)
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(false)
        .busy_timeout(BUSY)
        .disable_statement_logging()
}

/// Reads the whole file. Damage that it finds comes as rows; as an error it comes where there is
/// not even a list of tables.
async fn check(connection: &mut Connection) -> Result<(), Fault> {
    let said = connection.rows("PRAGMA quick_check(1)", &[]).await?;
    let said = match said.first() {
        Some(row) => row.text(0)?,
        None => None,
    };
    if said.as_deref() == Some("ok") {
        return Ok(());
    }
    Err(Fault::Damaged(said.unwrap_or_default()))
}

fn set_aside(path: &Path, fault: &Fault) -> Result<(), Fault> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let suffix = format!(".corrupt-{}", now.map_or(0, |now| now.as_secs()));
    let aside = extended(path, &suffix);
    std::fs::rename(path, &aside)?;
    for part in ["-wal", "-shm"] {
        // Its journal belongs to it, and would ruin the fresh one.
        let from = extended(path, part);
        if from.exists() {
            std::fs::rename(from, extended(&aside, part))?;
        }
    }
    tracing::error!(
        "the store at {} is no database any more ({fault}): it was set aside as {}, and a fresh \
         one is begun; `sqlite3 {} .recover` may save what is left",
        path.display(),
        aside.display(),
        aside.display(),
    );
    Ok(())
}

fn extended(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
