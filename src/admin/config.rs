//! The configuration in force, and reading it again.

use crate::admin::{json, text};
use crate::config::problem::Problem;
use crate::jobs::reload::{Outcome, Reloader, Trigger};
use http::{Response, StatusCode};
use serde_json::{Value, json};

pub async fn show(reloader: &Reloader) -> Response<Vec<u8>> {
    let state = reloader.state().await;
    let failure = state.failure.as_ref().map(|failure| {
        json!({
            "at_ms": failure.at_ms,
            "trigger": failure.trigger,
            "problems": listed(&failure.problems),
        })
    });
    let body = json!({
        "file": reloader.file().map(|file| file.display().to_string()),
        "loaded_at_ms": state.loaded_at_ms,
        "stale": failure.is_some(),
        "config": state.shown,
        "warnings": listed(&state.warnings),
        "last_failure": failure,
    });
    json(StatusCode::OK, &body)
}

pub async fn reload(reloader: &Reloader) -> Response<Vec<u8>> {
    match reloader.reload(Trigger::Api).await {
        Outcome::Taken(warnings) => {
            let body = json!({ "result": "taken", "warnings": listed(&warnings) });
            json(StatusCode::OK, &body)
        }
        Outcome::Refused(problems) => {
            let body = json!({ "result": "refused", "problems": listed(&problems) });
            json(StatusCode::UNPROCESSABLE_ENTITY, &body)
        }
        Outcome::NoFile => text(
            StatusCode::CONFLICT,
            "this gateway was started without a file\n",
        ),
    }
}

fn listed(problems: &[Problem]) -> Value {
    problems
        .iter()
        .map(|problem| {
            json!({
                "file": problem.file,
                "line": problem.line,
                "column": problem.column,
                "path": problem.path,
                "message": problem.message,
                "suggestion": problem.suggestion,
            })
        })
        .collect()
}
