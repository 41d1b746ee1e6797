//! A requirement file: what must be known of a provider, and what makes one better than another.
//! DeepSeekRouter's form, and in the words of our routes.

use crate::config::file::{Bound as WrittenBound, By as WrittenBy};
use crate::config::load::decode_all;
use crate::config::metric::Metric;
use crate::config::parse::parse_foreign;
use crate::config::place::Place;
use crate::config::problem::{Problem, Report};
use crate::config::shape::List;
use crate::config::snapshot::{Bound, By};
use crate::config::validate::rules;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    filters: Option<List<WrittenBound>>,
    require: Option<List<WrittenBound>>,
    order: Option<List<WrittenBy>>,
}

/// As routes have them: nothing in it is of one currency yet.
#[derive(Debug, PartialEq)]
pub struct Requirement {
    pub require: Vec<Bound>,
    pub order: Vec<By>,
}

/// YAML or JSON; every error at once.
pub fn read(text: &str, file_name: &str) -> Result<Requirement, Vec<Problem>> {
    let (root, problems) = parse_foreign(text, file_name).map_err(|problem| vec![*problem])?;
    let mut report = Report::new(file_name, root, problems);
    let Some(written) = decode_all::<Written>(&mut report) else {
        return Err(report.finish().err().unwrap_or_default());
    };
    let root = Place::root();
    if written.filters.is_some() && written.require.is_some() {
        let message = "says the same as `filters`; remove one of the two";
        report.error(&root.key("require"), message);
    }
    let (field, bounds) = match written.require {
        Some(bounds) if !report.was_written(&root.key("filters")) => ("require", Some(bounds)),
        _ => ("filters", written.filters),
    };
    if bounds.is_none() && !report.was_written(&root.key("require")) {
        let message = "missing: what must hold, such as `[{metric: success, min: 0.95}]`; \
                       `[]` where nothing must";
        report.missing(&root, "filters", message);
    }
    let place = root.key("order");
    let order = match written.order {
        Some(list) if list.is_empty() => {
            report.error(
                &place,
                "is empty; name what makes one better than another, such as \
                 `[{metric: output_price}]`",
            );
            vec![]
        }
        Some(list) => rules::order(&mut report, &place, &list),
        None => {
            let message = "missing: what makes one better than another, such as \
                           `[{metric: output_price}]`";
            report.missing(&root, "order", message);
            vec![]
        }
    };
    let require = rules::require(&mut report, &root.key(field), &bounds.unwrap_or_default());
    report.finish().map(|_| Requirement { require, order })
}

impl Requirement {
    /// What of it only measures can tell, each once.
    pub fn measured(&self) -> impl Iterator<Item = Metric> {
        let asked = |metric: &Metric| {
            let required = self.require.iter().map(|bound| bound.metric);
            let mut all = required.chain(self.order.iter().map(|by| by.metric));
            all.any(|one| one == *metric) && !metric.is_price() && !metric.is_score()
        };
        Metric::ALL.into_iter().filter(asked)
    }
}
