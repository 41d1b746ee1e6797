//! One address: the checks it passed and failed, and what follows from them.

use crate::config::snapshot::Health;
use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No check has ended yet: taken for well.
    Unchecked,
    Healthy,
    Unhealthy,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Unchecked => "unchecked",
            State::Healthy => "healthy",
            State::Unhealthy => "unhealthy",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Pulse {
    pub state: State,
    pub since: Instant,
    /// What the last check found amiss. None: nothing.
    pub why: Option<String>,
    /// Checks in a row that speak against the state.
    against: u32,
}

impl Pulse {
    pub fn new(now: Instant) -> Pulse {
        Pulse {
            state: State::Unchecked,
            since: now,
            why: None,
            against: 0,
        }
    }

    pub fn is_well(&self) -> bool {
        self.state != State::Unhealthy
    }

    /// What one check found: nothing, or what is wrong. True when it decided that the address is
    /// to be used, or no longer.
    pub fn checked(&mut self, wrong: Option<String>, rules: &Health, now: Instant) -> bool {
        let passed = wrong.is_none();
        self.why = wrong;
        if passed && self.state == State::Unchecked {
            self.become_now(State::Healthy, now);
            return false;
        }
        if passed == self.is_well() {
            self.against = 0;
            return false;
        }
        self.against = self.against.saturating_add(1);
        let (enough, next) = if passed {
            (rules.healthy_after, State::Healthy)
        } else {
            (rules.unhealthy_after, State::Unhealthy)
        };
        let decided = self.against >= enough;
        if decided {
            self.become_now(next, now);
        }
        decided
    }

    fn become_now(&mut self, state: State, now: Instant) {
        self.state = state;
        self.since = now;
        self.against = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::snapshot::Probe;
    use std::time::Duration;

    fn rules(unhealthy_after: u32, healthy_after: u32) -> Health {
        Health {
            probe: Probe::Tcp,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            unhealthy_after,
            healthy_after,
        }
    }

    /// The states after checks at one second each: `x` fails, anything else passes.
    fn states(rules: &Health, checks: &str) -> String {
        let began = Instant::now();
        let mut pulse = Pulse::new(began);
        let after = |(second, check): (u64, char)| {
            let wrong = (check == 'x').then(|| "no".to_owned());
            let was_well = pulse.is_well();
            let now = began + Duration::from_secs(second);
            let decided = pulse.checked(wrong, rules, now);
            assert_eq!(decided, was_well != pulse.is_well());
            match pulse.state {
                State::Unchecked => '?',
                State::Healthy => '+',
                State::Unhealthy => '-',
            }
        };
        (0..).zip(checks.chars()).map(after).collect()
    }

    #[test]
    fn so_many_in_a_row_decide() {
        assert_eq!(states(&rules(3, 2), ".xx.xxx.x..x"), "++++++----++");
        assert_eq!(states(&rules(1, 1), ".x.x"), "+-+-");
        assert_eq!(states(&rules(3, 2), "xxxx"), "??--");
        assert_eq!(states(&rules(3, 2), "xx.xx."), "??++++");
    }

    #[test]
    fn it_is_told_since_when_and_why() {
        let rules = rules(2, 2);
        let began = Instant::now();
        let at = |second| began + Duration::from_secs(second);
        let mut pulse = Pulse::new(began);
        pulse.checked(None, &rules, at(1));
        pulse.checked(Some("status 503".to_owned()), &rules, at(2));
        assert_eq!((pulse.state, pulse.since), (State::Healthy, at(1)));
        assert_eq!(pulse.why.as_deref(), Some("status 503"));
        pulse.checked(Some("status 500".to_owned()), &rules, at(3));
        pulse.checked(Some("silent".to_owned()), &rules, at(4));
        assert_eq!((pulse.state, pulse.since), (State::Unhealthy, at(3)));
        assert_eq!(pulse.why.as_deref(), Some("silent"));
        pulse.checked(None, &rules, at(5));
        pulse.checked(None, &rules, at(6));
        assert_eq!((pulse.state, pulse.since), (State::Healthy, at(6)));
        assert_eq!(pulse.why, None);
    }
}
