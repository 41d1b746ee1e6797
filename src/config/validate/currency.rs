//! `currencies`: what prices may be in, and what that is in dollars.

use crate::config::file;
use crate::config::money::Rate;
use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::shape::Ordered;
use crate::config::snapshot::{Currencies, Exchange};
use std::collections::BTreeMap;

pub const USD: &str = "USD";
const CNY: &str = "CNY";
/// Yuan for a dollar, and dollars for a yuan.
const YUAN: (&str, &str) = ("7.3", "0.137");

pub fn currencies(report: &mut Report, file: &Ordered<file::Currency>) -> Currencies {
    let mut known = BTreeMap::new();
    let usd = Exchange {
        from_usd: Rate::ONE,
        to_usd: Rate::ONE,
    };
    known.insert(USD.into(), usd);
    if let (Ok(from_usd), Ok(to_usd)) = (Rate::parse(YUAN.0), Rate::parse(YUAN.1)) {
        known.insert(CNY.into(), Exchange { from_usd, to_usd });
    }
    let root = Place::root().key("currencies");
    for (code, currency) in &file.0 {
        let place = root.key(code.as_str());
        if code == USD {
            report.error(&place, "is what all others are measured in; remove it");
            continue;
        }
        if !is_code(code) {
            report.error(&place, "a currency is three capital letters, such as `CNY`");
            continue;
        }
        let exchange = match (currency.from_usd, currency.to_usd) {
            (Some(from_usd), Some(to_usd)) => Exchange { from_usd, to_usd },
            (Some(from_usd), None) => Exchange {
                from_usd,
                to_usd: from_usd.inverse(),
            },
            (None, Some(to_usd)) => Exchange {
                from_usd: to_usd.inverse(),
                to_usd,
            },
            (None, None) => {
                report.missing(&place, "from_usd", "missing: how much of it a dollar is");
                continue;
            }
        };
        known.insert(code.as_str().into(), exchange);
    }
    Currencies(known)
}

fn is_code(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|letter| letter.is_ascii_uppercase())
}
