//! When series of what has left the configuration are to go.

use crate::config::snapshot::Snapshot;
use std::sync::{Arc, Weak};

/// A request ends on the configuration it began with, and may count for a name long after a reload
/// has taken it away.
#[derive(Debug, Default)]
pub struct Tidy {
    current: Weak<Snapshot>,
    /// Requests may still hold these.
    earlier: Vec<Weak<Snapshot>>,
}

impl Tidy {
    pub fn is_due(&mut self, snapshot: &Arc<Snapshot>) -> bool {
        if self.current.as_ptr() != Arc::as_ptr(snapshot) {
            let before = std::mem::replace(&mut self.current, Arc::downgrade(snapshot));
            self.earlier.push(before);
        }
        let is_due = !self.earlier.is_empty();
        // The last of its requests has settled by now, so that this sweep is the last for it.
        self.earlier.retain(|earlier| earlier.strong_count() > 0);
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::load_str;

    fn snapshot() -> Arc<Snapshot> {
        let text = "
providers: { one: { base_url: 'http://one.test/v1', auth: none, models: { a: { name: a } } } }
routes: [{ name: all, targets: [{ provider: one }] }]
";
        Arc::new(load_str(text, "o.yaml", &|_| None).unwrap().snapshot)
    }

    #[test]
    fn as_long_as_a_request_may_count_for_what_is_gone() {
        let mut tidy = Tidy::default();
        let first = snapshot();
        tidy.is_due(&first);
        assert!(!tidy.is_due(&first), "nothing has changed");
        let second = snapshot();
        assert!(tidy.is_due(&second));
        assert!(tidy.is_due(&second), "the first is still held");
        drop(first);
        assert!(tidy.is_due(&second), "once after its last request");
        assert!(!tidy.is_due(&second));
    }
}
