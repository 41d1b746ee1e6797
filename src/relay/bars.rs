//! What stands in the way of a call, and what its caller is told when nothing is left.

use crate::error::{Failure, Reason};
use crate::health::grant::Bar;
use crate::telemetry::tale::Tale;
use std::time::Duration;

/// Of the targets that were not asked.
#[derive(Debug, Default)]
pub struct Bars {
    count: usize,
    /// Those that are only full or resting.
    busy: usize,
    /// Those whose keys are all refused.
    refused: usize,
    soonest: Option<Duration>,
}

impl Bars {
    pub fn add(&mut self, bar: Bar) {
        self.count += 1;
        match bar {
            Bar::Cooling(_) | Bar::Full { .. } | Bar::KeysLimited(_) => self.busy += 1,
            Bar::KeysBad(_) => self.refused += 1,
            Bar::Disabled | Bar::Unhealthy | Bar::Open(_) => {}
        }
        if let Some(left) = bar.left() {
            self.soonest = Some(self.soonest.map_or(left, |soonest| soonest.min(left)));
        }
    }

    /// When the first of them may be asked again.
    pub fn soonest(&self) -> Option<Duration> {
        self.soonest
    }

    /// Nobody was asked: why.
    pub fn failure(&self, tale: &Tale) -> Failure {
        let mut list = String::new();
        for (provider, why) in &tale.left_out {
            if !list.is_empty() {
                list.push_str(", ");
            }
            list.push_str(provider);
            list.push_str(": ");
            list.push_str(why);
        }
        if self.refused == self.count {
            return Failure::new(
                Reason::ProviderAuth,
                "the gateway's own account was refused everywhere: its operator has to mend that",
            )
            .cause(list);
        }
        let reason = if self.busy + self.refused == self.count {
            Reason::ProviderRateLimited
        } else {
            Reason::GatewayNoTarget
        };
        Failure::new(
            reason,
            format!("no target can take this request now ({list}): try again after `retry-after`"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(bars: &[Bar]) -> (Reason, Option<Duration>) {
        let mut all = Bars::default();
        bars.iter().for_each(|bar| all.add(*bar));
        (all.failure(&Tale::default()).reason, all.soonest())
    }

    #[test]
    fn the_reason_is_what_they_have_in_common() {
        let seconds = Duration::from_secs;
        let cooling = Bar::Cooling(seconds(9));
        let bad = Bar::KeysBad(seconds(60));
        let open = Bar::Open(seconds(5));
        for (bars, reason, soonest) in [
            (
                &[cooling, Bar::KeysLimited(seconds(3))][..],
                Reason::ProviderRateLimited,
                Some(3),
            ),
            (&[cooling, bad], Reason::ProviderRateLimited, Some(9)),
            (&[bad, bad], Reason::ProviderAuth, Some(60)),
            (&[cooling, open], Reason::GatewayNoTarget, Some(5)),
            (&[Bar::Disabled], Reason::GatewayNoTarget, None),
        ] {
            assert_eq!(failure(bars), (reason, soonest.map(seconds)), "{bars:?}");
        }
    }
}
