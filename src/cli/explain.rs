//! `overspill explain`: the plan for a request, and why, without a running gateway. What only
//! traffic can tell (health, measures) is as at a start.

use crate::config::load::load;
use crate::explain::{Question, answer};
use crate::health::board::Board;
use crate::measure::{Measures, configured};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

pub fn run(file: &Path, question: &Question, json: bool) -> ExitCode {
    let env = |name: &str| std::env::var(name).ok();
    let snapshot = match load(file, &env) {
        Ok(loaded) => loaded.snapshot,
        Err(problems) => {
            problems.iter().for_each(|problem| eprintln!("{problem}"));
            return ExitCode::FAILURE;
        }
    };
    let now = Instant::now();
    let board = Board::new(&snapshot, &Board::default(), now);
    let measures = Measures::new(now);
    measures.follow(configured::pairs(&snapshot));
    match answer(
        question,
        &snapshot,
        &board,
        &measures.exact(now),
        |_| None,
        now,
    ) {
        Ok(answer) => {
            let text = if json {
                answer.json + "\n"
            } else {
                answer.text
            };
            // Whoever stops reading it has read enough.
            match io::stdout().write_all(text.as_bytes()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            }
        }
        Err(failure) => {
            eprintln!("{}", failure.message);
            ExitCode::FAILURE
        }
    }
}
