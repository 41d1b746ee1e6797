//! What a caller says to the gateway and not to the model: where it stands, and how it is cut out.

use super::members;
use super::scan::Scan;
use super::splice::Edit;
use super::walk::RawField;
use std::ops::Range;

/// A top-level field that is meant for the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aside {
    /// OpenRouter's `provider`: who may answer, and who should.
    Provider,
    /// OpenRouter's `models`: what else to ask for.
    Models,
    /// OpenRouter's old `route`, where it says `fallback` or `sort`, which `models` says without it.
    Route,
}

impl Aside {
    pub const ALL: [Aside; 3] = [Aside::Provider, Aside::Models, Aside::Route];

    pub fn name(self) -> &'static str {
        match self {
            Aside::Provider => "provider",
            Aside::Models => "models",
            Aside::Route => "route",
        }
    }
}

/// A field's place in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// From the name's first quote to the end of the value.
    pub span: Range<usize>,
    pub value: Range<usize>,
}

/// The asides of one body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asides {
    pub provider: Option<Member>,
    pub models: Option<Member>,
    pub route: Option<Member>,
    /// One that stands there twice: a request says which one holds, or is refused.
    pub twice: Option<Aside>,
}

impl Asides {
    pub fn is_empty(&self) -> bool {
        *self == Asides::default()
    }

    pub fn get(&self, aside: Aside) -> Option<&Member> {
        match aside {
            Aside::Provider => self.provider.as_ref(),
            Aside::Models => self.models.as_ref(),
            Aside::Route => self.route.as_ref(),
        }
    }

    /// Of an endpoint where these may be fields of the provider's own: only what has the form that
    /// is ours remains.
    pub fn in_our_form(mut self, body: &[u8]) -> Asides {
        let begins = |member: &Member, with: u8| {
            let first = body.get(member.value.start);
            first.is_some_and(|first| *first == with)
        };
        self.provider.take_if(|member| !begins(member, b'{'));
        self.models.take_if(|member| !begins(member, b'['));
        self.route = None;
        self
    }

    pub(super) fn note(&mut self, aside: Aside, field: RawField) {
        let slot = match aside {
            Aside::Provider => &mut self.provider,
            Aside::Models => &mut self.models,
            Aside::Route => &mut self.route,
        };
        let before = slot.replace(Member {
            span: field.key.start..field.value.end,
            value: field.value,
        });
        if before.is_some() {
            self.twice = Some(aside);
        }
    }
}

/// The edits that take these asides out, each with one comma. What is left stays as it was sent.
pub fn cut(body: &[u8], scan: &Scan, asides: &[Aside]) -> Vec<Edit> {
    let spans = asides
        .iter()
        .filter_map(|aside| scan.asides.get(*aside))
        .map(|member| member.span.clone());
    members::cut(body, spans.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::scan::scan;
    use crate::body::splice::{apply, set_fields};
    use bytes::Bytes;

    fn left(body: &str, asides: &[Aside]) -> String {
        let scanned = scan(body.as_bytes()).unwrap();
        let body = Bytes::copy_from_slice(body.as_bytes());
        let edits = cut(&body, &scanned, asides);
        String::from_utf8(apply(&body, edits).joined().to_vec()).unwrap()
    }

    #[test]
    fn asides_are_found_wherever_they_stand_and_however_they_are_spelled() {
        let body = r#"{"x":{"provider":1},"\u0070rovider" : {"only":["a"]} ,"models":["b"]}"#;
        let asides = scan(body.as_bytes()).unwrap().asides;
        assert_eq!(&body[asides.provider.unwrap().value], r#"{"only":["a"]}"#);
        assert_eq!(&body[asides.models.unwrap().span], r#""models":["b"]"#);
        assert_eq!((asides.route, asides.twice), (None, None));
    }

    #[test]
    fn only_the_old_words_of_route_are_ours() {
        let route = |value: &str| {
            let body = format!(r#"{{"route":{value}}}"#);
            scan(body.as_bytes()).unwrap().asides.route.is_some()
        };
        assert!(route(r#""fallback""#) && route(r#""sort""#));
        assert!(!route(r#""home""#) && !route("7") && !route(r#"{"fallback":1}"#));
    }

    #[test]
    fn a_second_one_is_seen() {
        for (body, twice) in [
            (r#"{"provider":1,"\u0070rovider":1}"#, Aside::Provider),
            (r#"{"models":null,"x":0,"models":null}"#, Aside::Models),
            (r#"{"route":"sort","route":"fallback"}"#, Aside::Route),
        ] {
            assert_eq!(scan(body.as_bytes()).unwrap().asides.twice, Some(twice));
        }
        let other = br#"{"route":"x","route":"fallback","model":"m"}"#;
        assert_eq!(scan(other).unwrap().asides.twice, None);
    }

    #[test]
    fn a_providers_own_fields_are_told_by_their_form() {
        let ours = |body: &str| {
            let asides = scan(body.as_bytes()).unwrap().asides;
            let asides = asides.in_our_form(body.as_bytes());
            (asides.provider.is_some(), asides.models.is_some())
        };
        assert_eq!(ours(r#"{"provider":{},"models":[]}"#), (true, true));
        assert_eq!(ours(r#"{"provider":"x","models":{"a":1}}"#), (false, false));
        assert_eq!(ours(r#"{"provider":null,"models":"m"}"#), (false, false));
        let route = br#"{"route":"fallback"}"#;
        assert!(scan(route).unwrap().asides.in_our_form(route).is_empty());
    }

    #[test]
    fn what_is_left_is_as_it_was_sent() {
        for (body, expected) in [
            // First, in the middle, last, alone.
            (r#"{"provider":{},"a":1}"#, r#"{"a":1}"#),
            (r#"{"a":1,"provider":{},"b":2}"#, r#"{"a":1,"b":2}"#),
            (r#"{"a":1,"provider":{}}"#, r#"{"a":1}"#),
            (r#" { "provider" : {} } "#, r#" {  } "#),
            // Several, side by side and apart.
            (r#"{"provider":{},"models":[],"a":1}"#, r#"{"a":1}"#),
            (r#"{"a":1,"models":[],"provider":{}}"#, r#"{"a":1}"#),
            (r#"{"models":[],"a":1,"provider":{}}"#, r#"{"a":1}"#),
            (r#"{"models":[],"provider":{},"route":"fallback"}"#, r#"{}"#),
            // White space and spellings.
            (
                "{\t\"a\" : 1.0 ,\r\n \"\\u0070rovider\"\n:\n{ \"order\" : [ ] }\n,\t\"b\":\"\\/\" }\n",
                "{\t\"a\" : 1.0 ,\r\n \t\"b\":\"\\/\" }\n",
            ),
            (
                "{ \"a\":1 ,  \"models\" : [ \"x\" ] , \"provider\" : null }",
                "{ \"a\":1  }",
            ),
            // A route that is no aside stays.
            (r#"{"route":"x","provider":{}}"#, r#"{"route":"x"}"#),
            (r#"{"a":1}"#, r#"{"a":1}"#),
        ] {
            assert_eq!(left(body, &Aside::ALL), expected, "{body}");
        }
        let body = r#"{"provider":{},"models":[]}"#;
        assert_eq!(left(body, &[Aside::Models]), r#"{"provider":{}}"#);
    }

    #[test]
    fn cuts_go_with_a_new_model_with_options_and_with_other_edits() {
        let changed = |body: &str, set: &[(&str, &str)]| {
            let scanned = scan(body.as_bytes()).unwrap();
            let body = Bytes::copy_from_slice(body.as_bytes());
            let set: Vec<_> = set
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect();
            let edits = cut(&body, &scanned, &Aside::ALL);
            let model = Bytes::from_static(b"\"new\"");
            let pieces = set_fields(&body, &scanned, &model, &set, edits);
            String::from_utf8(pieces.joined().to_vec()).unwrap()
        };
        assert_eq!(
            changed(r#"{"provider":{},"model":"old","models":[]}"#, &[]),
            r#"{"model":"new"}"#
        );
        // Without a model of its own, and with nothing left of the rest.
        assert_eq!(
            changed(r#"{"provider":{},"a":1}"#, &[]),
            r#"{"model":"new","a":1}"#
        );
        assert_eq!(
            changed(r#"{ "provider":{} , "models":[] }"#, &[]),
            r#"{"model":"new"  }"#
        );
        // An operator's own value of such a field is no aside.
        assert_eq!(
            changed(
                r#"{"model":"old","provider":{"only":["a"]}}"#,
                &[("provider", r#"{"sort":"price"}"#)]
            ),
            r#"{"provider":{"sort":"price"},"model":"new"}"#
        );
        assert_eq!(
            changed(r#"{"provider":{}}"#, &[("provider", "{}"), ("t", "1")]),
            r#"{"model":"new","provider":{},"t":1}"#
        );
    }
}
