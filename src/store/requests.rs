//! Single requests as they were kept, the newest first, a page at a time.

use crate::store::database::{Cell, Connection, Row};
use crate::store::fault::Fault;
use std::collections::HashMap;

/// Times in microseconds since the epoch; `to` does not belong.
#[derive(Debug, Clone)]
pub struct Question {
    pub from: i64,
    pub to: i64,
    /// As it was asked for, or as it is called here.
    pub model: Option<String>,
    /// One that was asked, whether it answered or not.
    pub provider: Option<String>,
    pub key: Option<String>,
    pub route: Option<String>,
    pub reason: Option<String>,
    /// Those before this one.
    pub before: Option<Name>,
    pub limit: u32,
}

/// Which request: when it began, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name {
    pub began: i64,
    pub id: i64,
}

pub struct Kept {
    pub name: Name,
    /// The columns besides the name, in the order of `TEXTS` and `NUMBERS`.
    pub texts: Vec<Option<String>>,
    pub numbers: Vec<Option<i64>>,
    pub attempts: Vec<Try>,
}

/// One attempt, in the order of `TRY_TEXTS` and `TRY_NUMBERS`.
pub struct Try {
    pub texts: Vec<Option<String>>,
    pub numbers: Vec<Option<i64>>,
}

pub const TEXTS: [&str; 11] = [
    "request_id",
    "method",
    "path",
    "key_name",
    "route",
    "asked",
    "model",
    "served",
    "provider",
    "reason",
    "cause",
];
pub const NUMBERS: [&str; 8] = [
    "stream",
    "status",
    "duration_us",
    "first_byte_us",
    "overhead_us",
    "bytes_in",
    "bytes_out",
    "gap",
];
pub const TRY_TEXTS: [&str; 3] = ["provider", "model", "reason"];
pub const TRY_NUMBERS: [&str; 12] = [
    "provider_key",
    "status",
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

pub async fn ask(connection: &mut Connection, question: &Question) -> Result<Vec<Kept>, Fault> {
    connection.begin_reading().await?;
    let (sql, cells) = page(question);
    let mut page = Vec::new();
    for row in connection.rows(&sql, &cells).await? {
        page.push(Kept {
            name: name(&row)?,
            texts: texts(&row, 2, TEXTS.len())?,
            numbers: numbers(&row, 2 + TEXTS.len(), NUMBERS.len())?,
            attempts: Vec::new(),
        });
    }
    let mut tries = tries(connection, &page).await?;
    connection.commit().await?;
    for kept in &mut page {
        kept.attempts = tries.remove(&kept.name).unwrap_or_default();
    }
    Ok(page)
}

fn page(question: &Question) -> (String, Vec<Cell>) {
    let mut sql = format!(
        "SELECT began, id, {}, {} FROM requests WHERE began >= $1 AND began < $2",
        TEXTS.join(", "),
        NUMBERS.join(", ")
    );
    let mut cells = vec![Cell::from(question.from), Cell::from(question.to)];
    let filters = [
        (&question.model, "(model = $N OR asked = $N)"),
        (
            &question.provider,
            "EXISTS (SELECT 1 FROM attempts a WHERE a.began = requests.began \
             AND a.id = requests.id AND a.provider = $N)",
        ),
        (&question.key, "key_name = $N"),
        (&question.route, "route = $N"),
        (&question.reason, "reason = $N"),
    ];
    for (value, condition) in filters {
        if let Some(value) = value {
            cells.push(value.as_str().into());
            let number = format!("${}", cells.len());
            sql.push_str(" AND ");
            sql.push_str(&condition.replace("$N", &number));
        }
    }
    if let Some(Name { began, id }) = question.before {
        let next = cells.len() + 1;
        sql.push_str(&format!(" AND (began, id) < (${next}, ${})", next + 1));
        cells.extend([Cell::from(began), Cell::from(id)]);
    }
    sql.push_str(&format!(
        " ORDER BY began DESC, id DESC LIMIT {}",
        question.limit
    ));
    (sql, cells)
}

/// The attempts of a page.
async fn tries(
    connection: &mut Connection,
    page: &[Kept],
) -> Result<HashMap<Name, Vec<Try>>, Fault> {
    let mut tries: HashMap<Name, Vec<Try>> = HashMap::new();
    if page.is_empty() {
        return Ok(tries);
    }
    let pairs: Vec<String> = (0..page.len())
        .map(|pair| format!("(${}, ${})", 2 * pair + 1, 2 * pair + 2))
        .collect();
    let sql = format!(
        "SELECT began, id, {}, {} FROM attempts WHERE (began, id) IN (VALUES {}) \
         ORDER BY began, id, number",
        TRY_TEXTS.join(", "),
        TRY_NUMBERS.join(", "),
        pairs.join(", ")
    );
    let cells: Vec<Cell> = page
        .iter()
        .flat_map(|kept| [Cell::from(kept.name.began), Cell::from(kept.name.id)])
        .collect();
    for row in connection.rows(&sql, &cells).await? {
        tries.entry(name(&row)?).or_default().push(Try {
            texts: texts(&row, 2, TRY_TEXTS.len())?,
            numbers: numbers(&row, 2 + TRY_TEXTS.len(), TRY_NUMBERS.len())?,
        });
    }
    Ok(tries)
}

fn name(row: &Row) -> sqlx::Result<Name> {
    Ok(Name {
        began: row.number(0)?.unwrap_or(0),
        id: row.number(1)?.unwrap_or(0),
    })
}

fn texts(row: &Row, first: usize, count: usize) -> sqlx::Result<Vec<Option<String>>> {
    (first..first + count)
        .map(|column| row.text(column))
        .collect()
}

fn numbers(row: &Row, first: usize, count: usize) -> sqlx::Result<Vec<Option<i64>>> {
    (first..first + count)
        .map(|column| row.number(column))
        .collect()
}
