//! What a caller has been given of an answer so far.

use crate::body::cursor::say;
use crate::dialect::stream::Glance;

/// Longer answers are not kept: they cannot be carried on.
const LONGEST: usize = 1024 * 1024;

#[derive(Debug, Default)]
pub struct Delivered {
    /// Of the first answer, as JSON: what comes after it wears the same.
    pub id: Option<Box<[u8]>>,
    pub created: Option<Box<[u8]>>,
    pub model: Option<Box<[u8]>>,
    pub content: String,
    pub reasoning: String,
    /// With content or reasoning in them.
    pub events: u64,
    /// Something was delivered that is neither, or that cannot be kept.
    lost: bool,
}

impl Delivered {
    /// Takes what one event delivers; `data` is its data, `glance` where it holds what.
    pub fn take(&mut self, data: &[u8], glance: &Glance) {
        if self.lost {
            return;
        }
        let part = |span: &Option<_>| span.clone().and_then(|span| data.get(span));
        if self.id.is_none() {
            self.id = part(&glance.id).map(Box::from);
            self.created = part(&glance.created).map(Box::from);
            self.model = part(&glance.model).map(Box::from);
        }
        let text = part(&glance.text);
        let reasoning = part(&glance.reasoning);
        self.events += u64::from(text.is_some() || reasoning.is_some());
        let kept = text.is_none_or(|text| say(text, &mut self.content))
            && reasoning.is_none_or(|reasoning| say(reasoning, &mut self.reasoning));
        // Of several answers none can be told from the others later.
        let several = glance.seen > 1;
        if !kept || several || glance.beyond || self.content.len() + self.reasoning.len() > LONGEST
        {
            self.lose();
        }
    }

    /// Takes what is left of an event of which a part had been delivered before.
    pub fn add(&mut self, text: &str, reasoning: &str) {
        self.content.push_str(text);
        self.reasoning.push_str(reasoning);
        self.events += 1;
    }

    /// What follows cannot be joined to another answer any more.
    pub fn lose(&mut self) {
        *self = Delivered {
            lost: true,
            ..Delivered::default()
        };
    }

    pub fn can_be_carried_on(&self) -> bool {
        !self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::snapshot::Endpoint;
    use crate::dialect::stream::glance;

    fn take(delivered: &mut Delivered, delta: &str) {
        let data = format!(r#"{{"id":"c1","created":7,"choices":[{{"delta":{delta}}}]}}"#);
        let glance = glance(Endpoint::Chat, data.as_bytes()).unwrap();
        delivered.take(data.as_bytes(), &glance);
    }

    #[test]
    fn texts_grow_and_the_first_name_stays() {
        let mut delivered = Delivered::default();
        take(&mut delivered, r#"{"role":"assistant","content":""}"#);
        take(&mut delivered, r#"{"reasoning_content":"hm"}"#);
        take(&mut delivered, r#"{"content":"\u4e2d\n"}"#);
        take(&mut delivered, r#"{"content":"x"}"#);
        assert_eq!(delivered.id.as_deref(), Some(&b"\"c1\""[..]));
        assert_eq!(delivered.created.as_deref(), Some(&b"7"[..]));
        assert_eq!(
            (&*delivered.content, &*delivered.reasoning, delivered.events),
            ("中\nx", "hm", 3)
        );
        assert!(delivered.can_be_carried_on());
    }

    #[test]
    fn what_cannot_be_told_again_cannot_be_carried_on() {
        for delta in [
            r#"{"tool_calls":[{"index":0}]}"#,
            r#"{"content":"\ud83d"}"#,
            &format!(r#"{{"content":"{}"}}"#, "x".repeat(LONGEST + 1)),
        ] {
            let mut delivered = Delivered::default();
            take(&mut delivered, delta);
            take(&mut delivered, r#"{"content":"x"}"#);
            assert!(!delivered.can_be_carried_on());
            assert_eq!(delivered.content, "");
        }
    }
}
