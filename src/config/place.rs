//! Where something stands in the configuration: `routes[0].targets[2].provider`.

use std::fmt;
use std::sync::Arc;

/// A way from the root to a node. Cheap to clone and to extend.
#[derive(Clone, Debug, Default)]
pub struct Place(Option<Arc<Step>>);

#[derive(Debug)]
struct Step {
    before: Place,
    segment: Segment,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    Key(Arc<str>),
    Index(usize),
}

impl Place {
    pub fn root() -> Place {
        Place::default()
    }

    pub fn key(&self, key: impl Into<Arc<str>>) -> Place {
        self.then(Segment::Key(key.into()))
    }

    pub fn index(&self, index: usize) -> Place {
        self.then(Segment::Index(index))
    }

    /// From the root on.
    pub fn segments(&self) -> Vec<&Segment> {
        let mut segments = Vec::new();
        let mut here = self;
        while let Some(step) = &here.0 {
            segments.push(&step.segment);
            here = &step.before;
        }
        segments.reverse();
        segments
    }

    fn then(&self, segment: Segment) -> Place {
        Place(Some(Arc::new(Step {
            before: self.clone(),
            segment,
        })))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.segments().into_iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if is_word(key) => {
                    let dot = if position == 0 { "" } else { "." };
                    write!(f, "{dot}{key}")?;
                }
                // A model id has dots and slashes of its own.
                Segment::Key(key) => write!(f, "[\"{}\"]", key.escape_debug())?,
            }
        }
        Ok(())
    }
}

fn is_word(key: &str) -> bool {
    !key.is_empty()
        && key
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_a_path() {
        let target = Place::root().key("routes").index(0).key("targets").index(2);
        assert_eq!(
            target.key("provider").to_string(),
            "routes[0].targets[2].provider"
        );
        let model = Place::root()
            .key("providers")
            .key("vllm")
            .key("models")
            .key("a/b-1.5");
        assert_eq!(
            model.key("price").to_string(),
            "providers.vllm.models[\"a/b-1.5\"].price"
        );
        assert_eq!(Place::root().to_string(), "");
    }
}
