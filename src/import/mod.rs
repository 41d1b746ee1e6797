//! Other gateways' configurations, written anew as ours: text in, text out.
//!
//! `input` hands the file out part by part, and `notes` has what nobody took; `apisix` and `litellm`
//! say what each part means here; `draft` collects that, and `write` turns it into YAML.

pub mod apisix;
mod draft;
mod input;
pub mod litellm;
mod notes;
mod secrets;
mod syntax;
mod write;

#[cfg(test)]
mod tests;

use crate::config::load::load_str;
use crate::config::problem::Problem;

pub use apisix::Priority;

/// What came of an import.
#[derive(Debug)]
pub struct Imported {
    /// A whole `overspill.yaml`, with a comment for every decision.
    pub yaml: String,
    /// Environment variables that the result needs, with the place in the input each stands for.
    pub variables: Vec<(String, String)>,
    /// What works otherwise than it did.
    pub warnings: Vec<String>,
    /// What has no counterpart, by its path in the input.
    pub lost: Vec<Lost>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    pub path: String,
    pub why: String,
}

/// A route object or list of an Admin API, `apisix.yaml`, or the services of API7's tools.
pub fn apisix(
    text: &str,
    file: &str,
    priority: Option<Priority>,
) -> Result<Imported, Vec<Problem>> {
    let text = syntax::without_shell(text);
    let (root, mut notes) = notes::read(&text, file)?;
    let draft = apisix::draft(&root, &mut notes, &text, priority);
    finish(draft, notes)
}

/// A `config.yaml`.
pub fn litellm(text: &str, file: &str) -> Result<Imported, Vec<Problem>> {
    let (root, mut notes) = notes::read(text, file)?;
    let draft = litellm::draft(&root, &mut notes, text);
    finish(draft, notes)
}

fn finish(draft: draft::Draft, notes: notes::Notes) -> Result<Imported, Vec<Problem>> {
    let notes::Findings { warnings, lost } = notes.finish()?;
    let variables = draft.secrets.variables();
    let yaml = write::yaml(&draft, &variables, &warnings, &lost);
    // Nothing goes out that `check` would refuse.
    let any_value = |name: &str| Some(format!("value-of-{name}"));
    load_str(&yaml, "the result", &any_value)?;
    Ok(Imported {
        yaml,
        variables,
        warnings,
        lost,
    })
}
