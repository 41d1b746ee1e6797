//! `ai-rate-limiting`: what of it a target's `limits` can say.

use crate::import::input::{Fields, Item};
use crate::import::notes::Notes;

#[derive(Default)]
pub struct Limits {
    /// For instances that have none of their own.
    others: Option<u64>,
    named: Vec<(String, Option<u64>)>,
}

impl Limits {
    pub fn of(&self, instance: &str) -> Option<u64> {
        let named = self.named.iter().find(|(name, _)| name == instance);
        named.map_or(self.others, |(_, limit)| *limit)
    }
}

pub fn read(plugin: &Item, notes: &mut Notes) -> Limits {
    let mut limits = Limits::default();
    let Some(mut fields) = plugin.fields(notes) else {
        return limits;
    };
    let strategy = fields.take("limit_strategy");
    let total = match &strategy {
        Some(item) => item.text(notes) == Some("total_tokens"),
        None => true,
    };
    if let Some(item) = strategy.filter(|_| !total) {
        let why = "limits count input and output together; none is set for this plugin";
        notes.lost(&item.place, why);
    }
    limits.others = one(&mut fields, total, notes);
    if let Some(instances) = fields.take("instances") {
        for item in instances.list(notes) {
            let Some(mut fields) = item.fields(notes) else {
                continue;
            };
            let name = fields.take_text("name", notes);
            let limit = one(&mut fields, total, notes);
            fields.finish(notes);
            limits
                .named
                .extend(name.map(|name| (name.to_owned(), limit)));
        }
    }
    for (name, why) in [
        (
            "rejected_code",
            "a request over the limit is answered with 429",
        ),
        (
            "rejected_msg",
            "the message of a refusal is the gateway's own",
        ),
        (
            "show_limit_quota_header",
            "limits of targets are not shown to callers",
        ),
    ] {
        fields.lose(name, notes, why);
    }
    fields.finish(notes);
    limits
}

/// Tokens a minute. Other windows let through more at once, or less, and are not converted.
fn one(fields: &mut Fields, total: bool, notes: &mut Notes) -> Option<u64> {
    let limit = fields.take("limit");
    let window = fields.take("time_window");
    let limit = limit?;
    let is_number = |item: &Item| item.node.scalar().is_some_and(|scalar| scalar.plain);
    if !is_number(&limit) || !window.as_ref().is_some_and(is_number) {
        notes.lost(
            &limit.place,
            "only a number, with a window that is one, can be a limit",
        );
        return None;
    }
    let number = limit.whole(notes, 1_000_000_000_000)?;
    let seconds = window?.whole(notes, u64::MAX)?;
    if seconds != 60 {
        let why = "only a window of 60 s has a counterpart, `tpm`; set one on the target by hand";
        notes.lost(&limit.place, why);
        return None;
    }
    (total && number > 0).then_some(number)
}
