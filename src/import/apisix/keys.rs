//! `key-auth` and consumers as `keys`.

use super::Context;
use crate::import::draft::{Key, name};
use crate::import::input::Item;

pub fn read(context: &mut Context, consumers: Vec<Item>) {
    let mut keys: Vec<Key> = Vec::new();
    let guarded = !context.guarded.is_empty();
    for consumer in consumers {
        let notes = &mut *context.notes;
        if !guarded {
            notes.lost(&consumer.place, "no route asks for a key, so none is made");
            continue;
        }
        let Some(mut fields) = consumer.fields(notes) else {
            continue;
        };
        let username = fields.take_text("username", notes).unwrap_or("consumer");
        let plugins = fields.take_fields("plugins", notes);
        for field in ["desc", "create_time", "update_time"] {
            fields.take(field);
        }
        fields.finish(notes);
        let Some(mut plugins) = plugins else { continue };
        let auth = plugins.take_fields("key-auth", notes);
        plugins.finish(notes);
        let Some(mut auth) = auth else {
            notes.lost(
                &consumer.place,
                "has no `key-auth`, and keys are known in no other way",
            );
            continue;
        };
        let key = auth.take("key");
        auth.finish(notes);
        let Some(key) = key else { continue };
        let Some(value) = key.text(notes) else {
            continue;
        };
        let wanted = format!("{username}_KEY");
        let secret = context.draft.secrets.reference(value, &wanted, &key.place);
        if keys.iter().any(|known| known.secret == secret) {
            notes.lost(&key.place, "is the key of a consumer before it");
            continue;
        }
        let mut own = name(username);
        while keys.iter().any(|known| known.name == own) {
            own.push_str("-2");
        }
        keys.push(Key {
            why: vec![],
            name: own,
            secret,
        });
    }
    if let Some(first) = keys.first_mut() {
        first
            .why
            .push("Callers send `authorization: Bearer KEY`.".to_owned());
        context.notes.warn(
            "keys: a key is sent as `authorization: Bearer KEY`, not in the header of `key-auth`"
                .to_owned(),
        );
        if context.unguarded > 0 {
            let warning = "keys: routes without `key-auth` ask for a key as well: keys hold for \
                           the whole gateway";
            context.notes.warn(warning.to_owned());
        }
    } else {
        for place in &context.guarded {
            let why = "asks for a key, and the file has no consumer with one; give `keys`";
            context.notes.lost(place, why);
        }
    }
    context.draft.keys = keys;
}
