//! What the command line and the environment say.

use std::time::Duration;

use crate::Outcome;
use crate::scenario::{self, Load};

/// The argument by which the benchmark starts itself as a bare pass-through.
pub const BARE: &str = "--serve-bare";

pub struct Options {
    pub quick: bool,
    only: Vec<String>,
}

impl Options {
    /// `--quick`, `--only 1k,stream`; or `LOAD_QUICK=1`, `LOAD_ONLY=1k,stream`.
    pub fn read(arguments: &[String]) -> Outcome<Options> {
        let mut only = std::env::var("LOAD_ONLY").unwrap_or_default();
        let mut quick = std::env::var("LOAD_QUICK").is_ok_and(|value| value != "0");
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => quick = true,
                "--only" => only = arguments.next().ok_or("--only takes a list")?.clone(),
                // Cargo says it to every benchmark.
                "--bench" => {}
                other => return Err(format!("unknown argument {other:?}; {}", usage()).into()),
            }
        }
        let only: Vec<String> = only
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        let known = scenario::all();
        match only
            .iter()
            .find(|name| known.iter().all(|scenario| scenario.name != **name))
        {
            Some(name) => Err(format!("unknown scenario {name:?}; {}", usage()).into()),
            None => Ok(Options { quick, only }),
        }
    }

    pub fn wants(&self, scenario: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == scenario)
    }

    pub fn rounds(&self, load: Load) -> usize {
        match load {
            // Memory is not as noisy as time.
            Load::Crowd { .. } if self.quick => 1,
            Load::Crowd { .. } => 2,
            _ => 3,
        }
    }

    /// How long one measurement takes, after a warm-up of a tenth of it and 200 ms.
    pub fn time(&self) -> Duration {
        if self.quick {
            Duration::from_secs(1)
        } else {
            Duration::from_secs(4)
        }
    }

    pub fn warm_up(&self) -> Duration {
        self.time() / 10 + Duration::from_millis(200)
    }
}

fn usage() -> String {
    let names: Vec<&str> = scenario::all()
        .iter()
        .map(|scenario| scenario.name)
        .collect();
    format!("write --quick, --only {}", names.join(","))
}
