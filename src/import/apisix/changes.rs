//! `override.llm_options` and `override.request_body`: as far as `options` can say the same.

use super::endpoint::Driver;
use super::instance::value;
use crate::import::draft::Value;
use crate::import::input::Fields;
use crate::import::notes::Notes;

/// The protocol that what comes out is in.
const OURS: &str = "openai-chat";

pub fn read(driver: &Driver, mut changes: Fields, notes: &mut Notes) -> Vec<(String, Value)> {
    let mut set = Vec::new();
    if let Some(mut options) = changes.take_fields("llm_options", notes) {
        if let Some(most) = options.take("max_tokens")
            && let Some(number) = most.whole(notes, u64::from(u32::MAX))
        {
            set.push((driver.max_tokens.to_owned(), Value::word(number)));
        }
        options.finish(notes);
    }
    let forced = changes.take("request_body_force_override");
    let forced = forced.is_some_and(|item| item.flag(notes).unwrap_or_default());
    if let Some(mut bodies) = changes.take_fields("request_body", notes) {
        if let Some(mut body) = bodies.take_fields(OURS, notes) {
            for (name, item) in body.drain() {
                if !forced {
                    let why = "fills in what a caller leaves out; `options` would overwrite it";
                    notes.lost(&item.place, why);
                } else if item.is_mapping() {
                    let why =
                        "is merged into the caller's object; `options` would replace it whole";
                    notes.lost(&item.place, why);
                } else if name == "model" || name == "stream" {
                    notes.lost(&item.place, "cannot be forced upon callers");
                } else if let Some(value) = value(&item, notes) {
                    set.retain(|(known, _): &(String, Value)| known != name);
                    set.push((name.to_owned(), value));
                }
            }
        }
        for (_, item) in bodies.drain() {
            notes.lost(&item.place, "requests of this protocol are not changed");
        }
    }
    changes.finish(notes);
    set
}
