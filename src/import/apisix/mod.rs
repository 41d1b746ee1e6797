//! Apache APISIX and API7: routes with `ai-proxy` or `ai-proxy-multi`, in every form their documents
//! show them in.

mod changes;
mod checks;
mod endpoint;
mod instance;
mod keys;
mod limits;
mod order;

mod policy;
mod route;
mod targets;

use crate::config::document::Node;
use crate::config::place::Place;
use crate::import::draft::{Draft, Field, Route, Value};
use crate::import::input::{Fields, Item};
use crate::import::notes::Notes;
use std::cmp::Reverse;

/// Which `priority` is tried first. The systems and their documents disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    LargerFirst,
    SmallerFirst,
}

/// Whose words a route is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Apisix,
    /// `paths`, and routes inside of services.
    Api7,
}

/// One route of the input.
struct Found<'a> {
    fields: Fields<'a>,
    form: Form,
    /// Those of its service.
    hosts: Vec<&'a str>,
}

struct Context<'c, 'f> {
    draft: &'c mut Draft,
    notes: &'c mut Notes<'f>,
    priority: Option<Priority>,
    /// The largest body any route takes.
    max_body: Option<u64>,
    /// `key-auth` of the routes that ask for a key.
    guarded: Vec<Place>,
    unguarded: usize,
}

/// A route of ours, and what decides when APISIX would look at it.
struct Placed {
    place: Place,
    rank: (u8, bool, Reverse<usize>, Reverse<i64>),
    route: Route,
}

pub fn draft(root: &Node, notes: &mut Notes, text: &str, priority: Option<Priority>) -> Draft {
    let mut draft = Draft::new("Made from an APISIX configuration.".to_owned(), text);
    let root = Item::root(root);
    let mut gathered = Gathered::default();
    gathered.gather(&root, notes);
    let mut context = Context {
        draft: &mut draft,
        notes,
        priority,
        max_body: None,
        guarded: vec![],
        unguarded: 0,
    };
    let mut placed = Vec::new();
    for (index, found) in gathered.routes.into_iter().enumerate() {
        placed.extend(route::read(&mut context, found, index));
    }
    place(&mut context, placed);
    keys::read(&mut context, gathered.consumers);
    if let Some(bytes) = context.max_body {
        let most = crate::config::units::show_size(bytes);
        let field = Field::new("max_body", Value::word(most));
        let why = "`max_req_body_size`; of several the largest, for one limit holds for all routes";
        context.draft.server.push(field.because(why));
    }
    if draft.routes.is_empty() && !notes.failed() {
        let message = "has no route that can be imported: one with `plugins.ai-proxy` or \
                       `plugins.ai-proxy-multi`, a path, and a model";
        let lost = notes.first_lost();
        let message = lost.map_or(message.to_owned(), |lost| format!("{message}; {lost}"));
        notes.error(&root.place, message);
    }
    draft
}

/// In the order of APISIX's own search, which is not that of the file.
fn place(context: &mut Context, mut placed: Vec<Placed>) {
    let in_order = placed.is_sorted_by_key(|placed| placed.rank);
    placed.sort_by_key(|placed| placed.rank);
    for Placed {
        place, mut route, ..
    } in placed
    {
        let earlier = context.draft.routes.iter();
        let mut same = earlier.filter(|earlier| earlier.matches == route.matches);
        if let Some(earlier) = same.next() {
            let why = format!(
                "left out: `{}` takes the same requests before it",
                earlier.name
            );
            context.notes.lost(&place, why);
            continue;
        }
        route.name = context.draft.route_name(&route.name);
        context.draft.routes.push(route);
    }
    if let Some(first) = context.draft.routes.first_mut()
        && !in_order
    {
        let why = "The first route that matches serves, so they stand in APISIX's order: \
                   hosts, exact paths, longer prefixes, and its `priority` of routes, larger first.";
        first.why.insert(0, why.to_owned());
    }
}

#[derive(Default)]
struct Gathered<'a> {
    routes: Vec<Found<'a>>,
    consumers: Vec<Item<'a>>,
}

impl<'a> Gathered<'a> {
    fn gather(&mut self, root: &Item<'a>, notes: &mut Notes) {
        if root.is_list() {
            for item in root.list(notes) {
                self.one(&item, notes);
            }
            return;
        }
        let Some(mut fields) = root.fields(notes) else {
            return;
        };
        if let Some(list) = fields.take("list") {
            for item in list.list(notes) {
                self.one(&item, notes);
            }
            fields.take("total");
            return fields.finish(notes);
        }
        if !["routes", "services", "consumers"]
            .iter()
            .any(|name| fields.has(name))
        {
            return self.one(root, notes);
        }
        if let Some(routes) = fields.take("routes") {
            for item in routes.list(notes) {
                self.one(&item, notes);
            }
        }
        if let Some(services) = fields.take("services") {
            for item in services.list(notes) {
                self.service(&item, notes);
            }
        }
        if let Some(consumers) = fields.take("consumers") {
            self.consumers = consumers.list(notes);
        }
        fields.finish(notes);
    }

    /// A route, or an answer of the Admin API about one.
    fn one(&mut self, item: &Item<'a>, notes: &mut Notes) {
        let Some(mut fields) = item.fields(notes) else {
            return;
        };
        if let Some(value) = fields.take("value") {
            // Where and when it was stored.
            for name in ["key", "createdIndex", "modifiedIndex"] {
                fields.take(name);
            }
            fields.finish(notes);
            return self.one(&value, notes);
        }
        let form = match fields.has("paths") {
            true => Form::Api7,
            false => Form::Apisix,
        };
        self.routes.push(Found {
            fields,
            form,
            hosts: vec![],
        });
    }

    fn service(&mut self, item: &Item<'a>, notes: &mut Notes) {
        let Some(mut fields) = item.fields(notes) else {
            return;
        };
        let hosts = fields.take("hosts");
        let hosts = hosts.map_or(vec![], |hosts| hosts.texts(notes));
        for name in ["name", "id", "description", "desc"] {
            fields.take(name);
        }
        match fields.take("routes") {
            Some(routes) => {
                for item in routes.list(notes) {
                    if let Some(fields) = item.fields(notes) {
                        self.routes.push(Found {
                            fields,
                            form: Form::Api7,
                            hosts: hosts.clone(),
                        });
                    }
                }
                fields.finish(notes);
            }
            None => notes.lost(&item.place, "a service without routes of its own"),
        }
    }
}
