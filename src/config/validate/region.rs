//! `region`: where a provider is reached and works.

use crate::catalog::{Known, catalog};
use crate::config::file;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::validate::facts;
use std::borrow::Cow;
use std::sync::Arc;

/// What the catalogue knows of a provider in the region that the file names, or in its usual one.
pub fn known_there(
    report: &mut Report,
    provider: &Place,
    name: &str,
    file: &file::Provider,
) -> Option<Cow<'static, Known>> {
    let known = catalog().get(name);
    let Some(region) = &file.region else {
        return known.map(Cow::Borrowed);
    };
    let place = provider.key("region");
    // As routes and keys may write it, or none of theirs could ever name it.
    if facts::region(report, &place, region).is_none() {
        return known.map(Cow::Borrowed);
    }
    let known = known?;
    let there = known.at(region);
    // With an address of one's own, or where nobody knows, the file's word holds.
    if there.is_none() && file.base_url.is_none() && !known.regions.is_empty() {
        let choice: Vec<String> = known.choice().map(|word| format!("`{word}`")).collect();
        let message = format!(
            "{} is none of the regions that the catalogue knows for `{name}`: write {}, or give \
             its `base_url` too",
            report.quote(&place),
            choice.join(" or ")
        );
        report.error(&place, message);
    }
    Some(there.unwrap_or(Cow::Borrowed(known)))
}

/// Where it works: the file's word, else the catalogue's, unless there are several to choose from.
pub fn regions(file: &file::Provider, known: Option<&Known>) -> Vec<Arc<str>> {
    if let Some(region) = &file.region {
        return vec![region.as_str().into()];
    }
    let known = known.map(|known| known.regions.as_slice());
    let regions = known.unwrap_or_default().iter();
    regions.map(|region| region.as_str().into()).collect()
}
