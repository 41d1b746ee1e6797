//! How much was used, over any time, in intervals of any length. Whole quarters of an hour are read
//! from their sums; only those that a limit of an interval cuts are read from the rows.

use crate::store::batch::{GROUPS, QUARTER};
use crate::store::database::{Cell, Connection, Row};
use crate::store::fault::Fault;
use crate::store::sums::{NAMES, OF_ATTEMPTS, OF_REQUESTS, Sums};
use std::collections::BTreeMap;

/// Times in microseconds since the epoch; `to` does not belong.
#[derive(Debug, Clone)]
pub struct Question {
    pub from: i64,
    pub to: i64,
    pub interval: i64,
    pub by: Vec<Group>,
    pub only: Vec<(Group, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    Model,
    Provider,
    Key,
    Route,
}

impl Group {
    pub const ALL: [Group; GROUPS.len()] =
        [Group::Model, Group::Provider, Group::Key, Group::Route];

    pub fn name(self) -> &'static str {
        match self {
            Group::Model => "model",
            Group::Provider => "provider",
            Group::Key => "key",
            Group::Route => "route",
        }
    }

    fn column(self) -> &'static str {
        match self {
            Group::Model => "model",
            Group::Provider => "provider",
            Group::Key => "key_name",
            Group::Route => "route",
        }
    }
}

/// By the number of the interval and the values of `by`. Empty intervals are not in it.
pub type Answer = BTreeMap<(i64, Vec<String>), Sums>;

pub async fn ask(connection: &mut Connection, question: &Question) -> Result<Answer, Fault> {
    let mut answer = Answer::new();
    connection.begin_reading().await?;
    let limits = [question.from, question.interval, question.to];
    read(
        connection,
        &quarters(question),
        limits,
        question,
        &mut answer,
    )
    .await?;
    for (from, to) in cut(question) {
        let limits = [question.from, question.interval, from, to];
        for sql in [requests(question), attempts(question)] {
            read(connection, &sql, limits, question, &mut answer).await?;
        }
    }
    connection.commit().await?;
    Ok(answer)
}

async fn read<const N: usize>(
    connection: &mut Connection,
    sql: &str,
    limits: [i64; N],
    question: &Question,
    answer: &mut Answer,
) -> Result<(), Fault> {
    let only = question.only.iter().map(|(_, value)| value.as_str());
    let cells: Vec<Cell> = limits
        .into_iter()
        .map(Cell::from)
        .chain(only.map(Cell::from))
        .collect();
    for row in connection.rows(sql, &cells).await? {
        let (interval, values) = group(&row, question.by.len())?;
        let sums = Sums::from_row(&row, question.by.len() + 1)?;
        answer.entry((interval, values)).or_default().add(&sums);
    }
    Ok(())
}

fn group(row: &Row, by: usize) -> sqlx::Result<(i64, Vec<String>)> {
    let interval = row.number(0)?.unwrap_or(0);
    let values: sqlx::Result<Vec<String>> = (1..=by)
        .map(|column| Ok(row.text(column)?.unwrap_or_default()))
        .collect();
    Ok((interval, values?))
}

/// The sums of the quarters that lie whole in one interval.
fn quarters(question: &Question) -> String {
    let sums = NAMES.map(|name| format!("SUM({name})"));
    let last = QUARTER - 1;
    let range = format!(
        "quarter >= $1 AND quarter < $3 AND quarter + {last} < $3 \
         AND (quarter - $1) / $2 = (quarter + {last} - $1) / $2"
    );
    select(
        question,
        "usage_quarters",
        "quarter",
        &range,
        |group| group.column().to_owned(),
        &sums,
        4,
    )
}

fn requests(question: &Question) -> String {
    select(
        question,
        "requests r",
        "r.began",
        "r.began >= $3 AND r.began < $4",
        |group| format!("COALESCE(r.{}, '')", group.column()),
        &OF_REQUESTS.map(str::to_owned),
        5,
    )
}

/// A request's attempts belong to the moment it began.
fn attempts(question: &Question) -> String {
    select(
        question,
        "attempts a JOIN requests r ON r.began = a.began AND r.id = a.id",
        "a.began",
        "a.began >= $3 AND a.began < $4",
        |group| match group {
            Group::Model | Group::Provider => format!("a.{}", group.column()),
            Group::Key | Group::Route => format!("COALESCE(r.{}, '')", group.column()),
        },
        &OF_ATTEMPTS.map(str::to_owned),
        5,
    )
}

/// `$1` is where the intervals begin, `$2` how long they are; the values to filter by are numbered
/// from `filters` on.
fn select(
    question: &Question,
    table: &str,
    moment: &str,
    range: &str,
    column: impl Fn(Group) -> String,
    sums: &[String],
    filters: usize,
) -> String {
    let mut columns = vec![format!("({moment} - $1) / $2")];
    columns.extend(question.by.iter().map(|group| column(*group)));
    let numbers: Vec<String> = (1..=columns.len())
        .map(|number| number.to_string())
        .collect();
    // A sum of numbers is a decimal in PostgreSQL.
    columns.extend(sums.iter().map(|sum| format!("CAST({sum} AS BIGINT)")));
    let mut sql = format!("SELECT {} FROM {table} WHERE {range}", columns.join(", "));
    for ((group, _), number) in question.only.iter().zip(filters..) {
        sql.push_str(&format!(" AND {} = ${number}", column(*group)));
    }
    sql.push_str(&format!(" GROUP BY {}", numbers.join(", ")));
    sql
}

/// What lies in quarters that are cut by the limit of an interval, joined where it can be.
fn cut(question: &Question) -> Vec<(i64, i64)> {
    let Question {
        from, to, interval, ..
    } = *question;
    let mut pieces: Vec<(i64, i64)> = Vec::new();
    let mut limit = from;
    loop {
        let start = limit - limit.rem_euclid(QUARTER);
        if start != limit {
            let (start, end) = (start.max(from), (start + QUARTER).min(to));
            match pieces.last_mut() {
                Some((_, before)) if *before >= start => *before = end.max(*before),
                _ => pieces.push((start, end)),
            }
        }
        if limit >= to {
            break;
        }
        limit = limit.saturating_add(interval).min(to);
    }
    pieces.retain(|(start, end)| start < end);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn question(from: i64, to: i64, interval: i64) -> Question {
        Question {
            from,
            to,
            interval,
            by: Vec::new(),
            only: Vec::new(),
        }
    }

    #[test]
    fn only_what_is_cut_is_read_from_the_rows() {
        let cut = |from, to, interval| cut(&question(from, to, interval));
        let hour = 4 * QUARTER;
        assert_eq!(cut(0, 24 * hour, hour), []);
        assert_eq!(cut(1, 24 * hour, 24 * hour), [(1, QUARTER)]);
        assert_eq!(cut(0, hour + 1, 2 * hour), [(hour, hour + 1)]);
        // Within one quarter.
        assert_eq!(cut(5, 9, 4), [(5, 9)]);
        // All of them are cut: one piece.
        assert_eq!(cut(0, hour, QUARTER - 1), [(0, hour)]);
    }

    /// In which pieces or whole quarters a moment is counted.
    fn counted(question: &Question, moment: i64) -> usize {
        let rows = cut(question)
            .iter()
            .filter(|(from, to)| (*from..*to).contains(&moment))
            .count();
        let quarter = moment - moment.rem_euclid(QUARTER);
        let interval = |at: i64| (at - question.from) / question.interval;
        let last = quarter + QUARTER - 1;
        let is_whole =
            quarter >= question.from && last < question.to && interval(quarter) == interval(last);
        rows + usize::from(is_whole)
    }

    proptest! {
        #[test]
        fn every_moment_is_counted_once(
            from in 0..3 * QUARTER,
            length in 1..20 * QUARTER,
            interval in QUARTER / 50..8 * QUARTER,
            at in 0.0..1.0,
        ) {
            let question = question(from, from + length, interval);
            let inside = from + (length as f64 * at) as i64;
            prop_assert_eq!(counted(&question, inside.min(from + length - 1)), 1);
            prop_assert_eq!(counted(&question, from), 1);
            prop_assert_eq!(counted(&question, from + length - 1), 1);
            prop_assert_eq!(counted(&question, from - 1), 0);
            prop_assert_eq!(counted(&question, from + length), 0);
        }
    }
}
