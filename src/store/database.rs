//! One connection to either database, and the few things that are asked of it. The SQL is the same
//! for both; what differs is how a value is bound and how a row is read.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection as _, Executor as _, Row as _};
use std::pin::Pin;

/// Named, so that the compiler sees that it may move between threads whatever is borrowed.
type Work<'a, T> = Pin<Box<dyn Future<Output = sqlx::Result<T>> + Send + 'a>>;

pub enum Connection {
    Sqlite(Box<SqliteConnection>),
    Postgres(Box<PgConnection>),
}

/// A value of a column. No other types are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    Number(Option<i64>),
    Text(Option<String>),
}

impl From<i64> for Cell {
    fn from(number: i64) -> Cell {
        Cell::Number(Some(number))
    }
}

impl From<Option<i64>> for Cell {
    fn from(number: Option<i64>) -> Cell {
        Cell::Number(number)
    }
}

impl From<bool> for Cell {
    fn from(truth: bool) -> Cell {
        Cell::Number(Some(truth.into()))
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(Some(text))
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(Some(text.to_owned()))
    }
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Cell {
        Cell::Text(text)
    }
}

pub enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

macro_rules! bound {
    ($query:expr, $cells:expr) => {
        $cells.iter().fold($query, |query, cell| match cell {
            Cell::Number(number) => query.bind(*number),
            Cell::Text(text) => query.bind(text.as_deref()),
        })
    };
}

impl Connection {
    /// The rows it changed. A statement that will not come again is not kept prepared.
    pub fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        cells: &'a [Cell],
        again: bool,
    ) -> Work<'a, u64> {
        match self {
            Connection::Sqlite(connection) => Box::pin(async move {
                let query = bound!(sqlx::query(sql).persistent(again), cells);
                Ok(query.execute(&mut **connection).await?.rows_affected())
            }),
            Connection::Postgres(connection) => Box::pin(async move {
                let query = bound!(sqlx::query(sql).persistent(again), cells);
                Ok(query.execute(&mut **connection).await?.rows_affected())
            }),
        }
    }

    /// Without values, and perhaps without a plan: `BEGIN`, `PRAGMA`, what makes tables.
    pub fn tell<'a>(&'a mut self, sql: &'a str) -> Work<'a, ()> {
        match self {
            Connection::Sqlite(connection) => {
                Box::pin(async move { connection.execute(sql).await.map(drop) })
            }
            Connection::Postgres(connection) => {
                Box::pin(async move { connection.execute(sql).await.map(drop) })
            }
        }
    }

    pub fn rows<'a>(&'a mut self, sql: &'a str, cells: &'a [Cell]) -> Work<'a, Vec<Row>> {
        match self {
            Connection::Sqlite(connection) => Box::pin(async move {
                let query = bound!(sqlx::query(sql).persistent(false), cells);
                let rows = query.fetch_all(&mut **connection).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }),
            Connection::Postgres(connection) => Box::pin(async move {
                let query = bound!(sqlx::query(sql).persistent(false), cells);
                let rows = query.fetch_all(&mut **connection).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }),
        }
    }

    /// `BEGIN`, in the form that waits for its turn now rather than failing later.
    pub async fn begin(&mut self) -> sqlx::Result<()> {
        let sql = match self {
            Connection::Sqlite(_) => "BEGIN IMMEDIATE",
            Connection::Postgres(_) => "BEGIN",
        };
        self.tell(sql).await
    }

    /// Everything read from here on is as it was at one moment.
    pub async fn begin_reading(&mut self) -> sqlx::Result<()> {
        let sql = match self {
            Connection::Sqlite(_) => "BEGIN",
            Connection::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        self.tell(sql).await
    }

    pub async fn commit(&mut self) -> sqlx::Result<()> {
        self.tell("COMMIT").await
    }

    pub async fn close(self) {
        let closed = match self {
            Connection::Sqlite(connection) => connection.close().await,
            Connection::Postgres(connection) => connection.close().await,
        };
        if let Err(error) = closed {
            tracing::debug!("the store was not closed well: {error}");
        }
    }
}

impl Row {
    pub fn number(&self, column: usize) -> sqlx::Result<Option<i64>> {
        match self {
            Row::Sqlite(row) => row.try_get(column),
            Row::Postgres(row) => row.try_get(column),
        }
    }

    pub fn text(&self, column: usize) -> sqlx::Result<Option<String>> {
        match self {
            Row::Sqlite(row) => row.try_get(column),
            Row::Postgres(row) => row.try_get(column),
        }
    }
}
