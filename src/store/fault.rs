//! What goes wrong with a database, as far as it matters what is done about it.

use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;
use std::fmt;
use std::time::Duration;

#[derive(Debug)]
pub enum Fault {
    /// It has to be written by a later version of this program.
    Newer {
        found: i64,
        newest: i64,
    },
    /// It did not answer.
    Silent(Duration),
    /// SQLite has looked through its file and says what is wrong with it.
    Damaged(String),
    Io(std::io::Error),
    Database(sqlx::Error),
}

/// SQLite's primary result codes.
const CORRUPT: i64 = 11;
const CONSTRAINT: i64 = 19;
const NOT_A_DATABASE: i64 = 26;

/// The extended codes have the primary one in their lowest byte. None: it is not SQLite's.
fn primary_code(error: &dyn DatabaseError) -> Option<i64> {
    error.try_downcast_ref::<SqliteError>()?;
    let code: i64 = error.code()?.parse().ok()?;
    Some(code & 0xff)
}

impl Fault {
    /// The file is not a database, or not a whole one.
    pub fn is_corrupt(&self) -> bool {
        let error = match self {
            Fault::Damaged(_) => return true,
            Fault::Database(sqlx::Error::Database(error)) => error,
            _ => return false,
        };
        [CORRUPT, NOT_A_DATABASE]
            .map(Some)
            .contains(&primary_code(&**error))
    }

    /// The database is there and well, and will not have these rows, however often it is asked.
    pub fn is_refusal(&self) -> bool {
        let Fault::Database(sqlx::Error::Database(error)) = self else {
            return false;
        };
        // Data that does not fit a type, and broken constraints.
        if primary_code(&**error) == Some(CONSTRAINT) {
            return true;
        }
        let postgres = error.try_downcast_ref::<PgDatabaseError>();
        postgres.is_some_and(|error| {
            ["22", "23"]
                .iter()
                .any(|class| error.code().starts_with(class))
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Newer { found, newest } => write!(
                f,
                "it was written by a later version of this program (tables {found}, known here: \
                 {newest}); use that version, or another database"
            ),
            Fault::Silent(waited) => write!(f, "no answer for {} s", waited.as_secs()),
            Fault::Damaged(said) => f.write_str(said),
            Fault::Io(error) => error.fmt(f),
            Fault::Database(sqlx::Error::Database(error)) => f.write_str(error.message()),
            Fault::Database(error) => error.fmt(f),
        }
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Fault {
        Fault::Database(error)
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Fault {
        Fault::Io(error)
    }
}
