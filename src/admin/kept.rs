//! Questions that the store answers.

use crate::admin::params::refusal;
use crate::admin::{query_metric, requests, usage};
use crate::store::Store;
use crate::store::fault::Fault;
use http::{Response, StatusCode};
use std::time::{SystemTime, UNIX_EPOCH};

/// `path` is one of those that stand here.
pub async fn answer(store: Option<&Store>, path: &str, query: Option<&str>) -> Response<Vec<u8>> {
    let Some(store) = store else {
        let message = "no record of requests is kept here; write \
                       `store: { url: \"sqlite:overspill.db\" }` into the configuration";
        return refusal(StatusCode::NOT_FOUND, message, None);
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| i64::try_from(now.as_micros()).unwrap_or(i64::MAX));
    let answered = match path {
        "/api/requests" => match requests::question(query, now) {
            Ok(question) => requests::show(store, &question).await,
            Err(wrong) => return wrong.answer(),
        },
        "/api/query_metric" => match query_metric::question(query, now) {
            Ok(question) => query_metric::show(store, &question).await,
            Err(wrong) => return wrong.answer(),
        },
        _ => match usage::question(query, now) {
            Ok(question) => usage::show(store, &question).await,
            Err(wrong) => return wrong.answer(),
        },
    };
    answered.unwrap_or_else(|fault| unanswered(&fault))
}

fn unanswered(fault: &Fault) -> Response<Vec<u8>> {
    tracing::debug!("the store did not answer: {fault}");
    let message = format!("the store cannot be read now: {fault}");
    refusal(StatusCode::SERVICE_UNAVAILABLE, &message, None)
}
