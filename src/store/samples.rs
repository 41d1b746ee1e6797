//! Single attempts at one target, for whoever wants more of them than their sums.

use crate::dialect::usage::Usage;
use crate::error::Reason;
use crate::store::database::{Cell, Connection, Row};
use crate::store::fault::Fault;
use crate::telemetry::tale::Attempt;
use std::time::Duration;

/// Times in microseconds since the epoch; `to` does not belong.
#[derive(Debug, Clone)]
pub struct Question {
    pub from: i64,
    pub to: i64,
    pub model: String,
    pub provider: String,
    /// The newest, where there are more.
    pub limit: u32,
}

pub struct Sample {
    /// When its request began, in microseconds since the epoch.
    pub began: i64,
    pub attempt: Attempt,
    /// It was asked to go on with an answer that another one had begun.
    pub continues: bool,
}

/// The oldest first.
pub async fn ask(connection: &mut Connection, question: &Question) -> Result<Vec<Sample>, Fault> {
    let sql = format!(
        "SELECT a.began, a.reason, a.took_us, a.first_token_us, a.lasted_us, a.tokens_in, \
         a.tokens_out, a.tokens_reasoning, a.estimated, \
         CASE WHEN EXISTS (SELECT 1 FROM attempts b WHERE b.began = a.began AND b.id = a.id \
         AND b.number < a.number AND b.first_token_us IS NOT NULL) THEN 1 ELSE 0 END \
         FROM attempts a \
         WHERE a.model = $1 AND a.provider = $2 AND a.began >= $3 AND a.began < $4 \
         ORDER BY a.began DESC LIMIT {}",
        question.limit
    );
    let cells = [
        question.model.as_str().into(),
        question.provider.as_str().into(),
        Cell::from(question.from),
        Cell::from(question.to),
    ];
    let rows = connection.rows(&sql, &cells).await?;
    let samples: sqlx::Result<Vec<Sample>> = rows.iter().rev().map(sample).collect();
    Ok(samples?)
}

fn sample(row: &Row) -> sqlx::Result<Sample> {
    let ended = row.text(1)?.unwrap_or_default();
    let count = |column| {
        let count = row.number(column)?;
        Ok::<_, sqlx::Error>(count.and_then(|count| u64::try_from(count).ok()))
    };
    let time = |column| Ok::<_, sqlx::Error>(count(column)?.map(Duration::from_micros));
    let attempt = Attempt {
        reason: Reason::ALL.into_iter().find(|one| one.label() == ended),
        took: time(2)?.unwrap_or_default(),
        first_token: time(3)?,
        lasted: time(4)?.unwrap_or_default(),
        usage: Usage {
            input: count(5)?,
            output: count(6)?,
            reasoning: count(7)?,
            ..Usage::default()
        },
        estimated: row.number(8)? == Some(1),
        ..Attempt::default()
    };
    Ok(Sample {
        began: row.number(0)?.unwrap_or(0),
        attempt,
        continues: row.number(9)? == Some(1),
    })
}
