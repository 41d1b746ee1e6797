//! `/api/explain`: what would become of a request now.

use crate::admin::answer;
use crate::error::Failure;
use crate::explain::{Answer, Question};
use crate::routing::table::unescaped;
use http::{Response, StatusCode};
use serde_json::json;

const KNOWN: &str = "write model, key, tags, route, host or path";

pub fn show(
    query: Option<&str>,
    explain: impl FnOnce(&Question) -> Result<Answer, Failure>,
) -> Response<Vec<u8>> {
    let explained = read(query.unwrap_or_default())
        .and_then(|question| explain(&question).map_err(|failure| failure.message));
    let (status, body) = match explained {
        Ok(explained) => (StatusCode::OK, explained.json),
        Err(message) => (
            StatusCode::BAD_REQUEST,
            json!({ "error": { "message": message } }).to_string(),
        ),
    };
    answer(status, "application/json", (body + "\n").into_bytes())
}

fn read(query: &str) -> Result<Question, String> {
    let mut question = Question::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = unescaped(value);
        match name {
            "model" => question.model = value,
            "host" => question.host = value,
            "key" => question.key = Some(value),
            "tags" => question.tags = Some(value),
            "route" => question.route = Some(value),
            "path" => question.path = Some(value),
            _ => return Err(format!("unknown parameter {name:?}: {KNOWN}")),
        }
    }
    if question.model.is_empty() && question.path.is_none() {
        return Err(format!("`model` is missing: {KNOWN}"));
    }
    Ok(question)
}
