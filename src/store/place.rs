//! Where records are kept.

use crate::config::secret::Secret;
use crate::config::snapshot;
use crate::store::database::Connection;
use crate::store::fault::Fault;
use crate::store::sqlite::Identity;
use crate::store::{postgres, sqlite};
use std::fmt;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::timeout;

/// Longer than a database takes that is well.
const PATIENCE: Duration = Duration::from_secs(10);
/// To read a whole file that is suspect.
const SCRUTINY: Duration = Duration::from_secs(600);

#[derive(Clone)]
pub enum Place {
    File(PathBuf),
    Server(Secret),
}

/// A connection that writes, and which file it writes to.
pub struct Opened {
    pub connection: Connection,
    file: Identity,
}

impl Place {
    /// Where the configuration says. Where it says nothing, a service manager may have a directory
    /// for it.
    pub fn of(settings: &snapshot::Store, state_directory: Option<&Path>) -> Place {
        match (&settings.place, state_directory) {
            (snapshot::StorePlace::Postgres(url), _) => Place::Server(url.clone()),
            (snapshot::StorePlace::Sqlite(path), Some(directory)) if settings.implied => {
                let name = path.file_name().unwrap_or_default();
                Place::File(directory.join(name))
            }
            (snapshot::StorePlace::Sqlite(path), _) => Place::File(path.clone()),
        }
    }

    /// Whether a file can be made here at all, or is there and can be written.
    pub fn try_out(&self) -> std::io::Result<()> {
        match self {
            Place::File(path) => {
                let mut options = OpenOptions::new();
                options.create(true).append(true).open(path).map(drop)
            }
            Place::Server(_) => Ok(()),
        }
    }

    /// Ready to be written. What is `suspect` is looked through first.
    pub async fn open(&self, suspect: bool) -> Result<Opened, Fault> {
        let patience = if suspect { SCRUTINY } else { PATIENCE };
        let connection = bounded(patience, async {
            match self {
                Place::File(path) => sqlite::open(path, suspect).await,
                Place::Server(url) => postgres::open(url).await,
            }
        })
        .await?;
        let file = self.file();
        Ok(Opened { connection, file })
    }

    pub async fn read(&self) -> Result<Connection, Fault> {
        bounded(PATIENCE, async {
            match self {
                Place::File(path) => sqlite::read(path).await,
                Place::Server(url) => postgres::read(url).await,
            }
        })
        .await
    }

    /// A file that was moved or removed can still be written to, where nobody will read it.
    pub fn still_has(&self, opened: &Opened) -> bool {
        self.file() == opened.file
    }

    fn file(&self) -> Identity {
        match self {
            Place::File(path) => sqlite::identity(path),
            Place::Server(_) => None,
        }
    }
}

/// Bounds whatever is asked of a database.
pub async fn patiently<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    bounded(PATIENCE, work).await
}

async fn bounded<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    match timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(Fault::Silent(limit)),
    }
}

/// Without a password.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => path.display().fmt(f),
            Place::Server(_) => f.write_str("PostgreSQL"),
        }
    }
}
