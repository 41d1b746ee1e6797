//! `overspill import apisix|litellm FILE`: our YAML on stdout, what to know about it on stderr.

use crate::config::parse::MAX_BYTES;
use crate::config::problem::Problem;
use crate::import::{self, Imported, Priority};
use clap::{Subcommand, ValueEnum};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum From {
    /// Routes of Apache APISIX or API7 with `ai-proxy` or `ai-proxy-multi`
    Apisix {
        /// A route object, a list of routes, or apisix.yaml
        file: PathBuf,
        /// Which `priority` of instances is tried first, where the file does not say
        #[arg(long)]
        priority: Option<Direction>,
    },
    /// A config.yaml of LiteLLM's proxy
    Litellm {
        /// The configuration file
        file: PathBuf,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Direction {
    LargerFirst,
    SmallerFirst,
}

/// 0: the result can be served. 1: there is none.
pub fn run(from: &From) -> ExitCode {
    let imported = match from {
        From::Apisix { file, priority } => {
            let priority = priority.map(|direction| match direction {
                Direction::LargerFirst => Priority::LargerFirst,
                Direction::SmallerFirst => Priority::SmallerFirst,
            });
            read(file).and_then(|text| import::apisix(&text, &shown(file), priority))
        }
        From::Litellm { file } => read(file).and_then(|text| import::litellm(&text, &shown(file))),
    };
    match tell(imported, &mut io::stdout(), &mut io::stderr()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

fn tell(
    imported: Result<Imported, Vec<Problem>>,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<bool> {
    let imported = match imported {
        Ok(imported) => imported,
        Err(problems) => {
            for problem in &problems {
                writeln!(errors, "{problem}")?;
            }
            return Ok(false);
        }
    };
    out.write_all(imported.yaml.as_bytes())?;
    out.flush()?;
    for (name, place) in &imported.variables {
        writeln!(errors, "set: {name}: {place}")?;
    }
    for warning in &imported.warnings {
        writeln!(errors, "warning: {warning}")?;
    }
    for lost in &imported.lost {
        writeln!(errors, "no counterpart: {}: {}", lost.path, lost.why)?;
    }
    Ok(true)
}

fn read(path: &Path) -> Result<String, Vec<Problem>> {
    let mut bytes = Vec::new();
    let read = File::open(path)
        .map(|file| file.take(MAX_BYTES as u64 + 1))
        .and_then(|mut file| file.read_to_end(&mut bytes));
    let problem = |message: String| {
        vec![Problem {
            file: shown(path),
            line: 1,
            column: 1,
            path: String::new(),
            message,
            suggestion: None,
        }]
    };
    read.map_err(|error| problem(format!("cannot be read: {error}")))?;
    String::from_utf8(bytes).map_err(|_| problem("not valid UTF-8".to_owned()))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
