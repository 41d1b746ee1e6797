//! The way through a plan: which step is next, who of them is passed over, and when a later tier is
//! entered.

use crate::failover::Following;
use crate::health::board::Board;
use crate::health::grant::{Bar, Grant, bar};
use crate::relay::Means;
use crate::relay::bars::Bars;
use crate::relay::elsewhere::Position;
use crate::relay::run::Job;
use crate::routing::plan::Step;
use crate::telemetry::tale::Tale;
use std::sync::Arc;
use std::time::Instant;

/// From this share of recent failures on, another try at a target is a retry and no fresh start.
const FAILING: f64 = 0.5;

pub struct Climb<'m> {
    means: Means<'m>,
    pub position: Position,
    pub bars: Bars,
    /// Why a later tier would be entered now.
    pub because: &'static str,
    /// The tier the call is in.
    rank: u32,
    /// Only breakers stood in the way: they do not count any more.
    regardless: bool,
    least_bad: Option<(f64, usize)>,
    /// The step whose context was too small: only wider ones may follow.
    too_small: Option<usize>,
}

impl<'m> Climb<'m> {
    pub fn new(means: Means<'m>, job: &Job<'_>) -> Climb<'m> {
        Climb {
            means,
            position: Position { at: 0, tries: 0 },
            bars: Bars::default(),
            because: "",
            rank: job.steps.first().map_or(0, |step| step.rank),
            regardless: false,
            least_bad: None,
            too_small: None,
        }
    }

    /// The next step that may be asked, and leave to do so.
    pub fn next<'j>(
        &mut self,
        job: &Job<'j>,
        now: Instant,
        tale: &mut Tale,
    ) -> Option<(&'j Step<'j>, Grant)> {
        loop {
            let Some(step) = job.steps.get(self.position.at) else {
                if self.position.tries > 0 || self.regardless {
                    return None;
                }
                // Nobody may be asked. Whoever has only failed too often is asked all the same.
                let (_, at) = self.least_bad?;
                self.regardless = true;
                self.position.at = at;
                continue;
            };
            let target = &step.candidate.target;
            let taken = Grant::take(self.means.board, target, now, job.tokens, self.regardless);
            match taken {
                Ok(grant) => {
                    self.enter(job, step);
                    self.position.tries += 1;
                    return Some((step, grant));
                }
                Err(bar) => {
                    self.pass_over(step, bar, now, tale);
                    self.position.at = self.after(job).unwrap_or(job.steps.len());
                }
            }
        }
    }

    fn pass_over(&mut self, step: &Step<'_>, bar: Bar, now: Instant, tale: &mut Tale) {
        let target = &step.candidate.target;
        if !self.regardless {
            tale.left_out
                .push((Arc::clone(&target.provider.name), bar.label()));
            self.bars.add(bar);
            self.because = bar.label();
        }
        let failures = match bar {
            Bar::Unhealthy => 1.0,
            Bar::Open(_) => {
                let state = self.means.board.target(target);
                let breaker = state.and_then(|state| state.breaker.as_ref());
                breaker.map_or(1.0, |breaker| breaker.state(now).failures)
            }
            _ => return,
        };
        if self.least_bad.is_none_or(|(least, _)| failures < least) {
            self.least_bad = Some((failures, self.position.at));
        }
    }

    /// Crossing into a later tier is spilling.
    fn enter(&mut self, job: &Job<'_>, step: &Step<'_>) {
        if step.rank > self.rank {
            self.means
                .metrics
                .spills
                .with_label_values(&[&*job.route.name, self.because])
                .inc();
            // The plan only looked whose turn it was.
            step.tier.schedule.next();
        }
        self.rank = step.rank;
    }

    /// What the plan holds after this step, without those who may not be asked.
    pub fn following(&self, job: &Job<'_>, now: Instant) -> Following {
        let Some(here) = job.steps.get(self.position.at) else {
            return Following::None;
        };
        let mut later = job.steps.iter().skip(self.position.at + 1);
        let next = later.find(|step| {
            let target = &step.candidate.target;
            bar(self.means.board, target, now, job.tokens, self.regardless).is_none()
        });
        match next {
            None => Following::None,
            Some(next) if next.rank > here.rank => Following::LaterTier,
            Some(_) => Following::SameTier,
        }
    }

    /// On to the step after this one; `wider`: to the next whose context is larger than the one
    /// that was too small. False where there is none.
    pub fn advance(&mut self, job: &Job<'_>, wider: bool) -> bool {
        if wider {
            self.too_small = Some(self.position.at);
        }
        match self.after(job) {
            Some(next) => {
                self.position.at = next;
                true
            }
            None => false,
        }
    }

    /// The step after this one that may follow.
    fn after(&self, job: &Job<'_>) -> Option<usize> {
        match self.too_small {
            Some(small) => wider_step(job.steps, small, self.position.at),
            None => Some(self.position.at + 1),
        }
    }

    /// A first move to a target that is well is free; all else comes out of the retry budget.
    pub fn can_afford(&self, job: &Job<'_>, again: bool, now: Instant) -> bool {
        let next_is_failing = || {
            let later = job.steps.iter().skip(self.position.at);
            let mut allowed = later.filter(|step| {
                let target = &step.candidate.target;
                bar(self.means.board, target, now, job.tokens, self.regardless).is_none()
            });
            allowed
                .next()
                .is_some_and(|next| is_failing(self.means.board, next, now))
        };
        !(again || next_is_failing()) || self.means.budget.try_retry(now)
    }
}

/// Another try there is a retry, though not of the same request.
pub fn is_failing(board: &Board, step: &Step<'_>, now: Instant) -> bool {
    let state = board.target(&step.candidate.target);
    state.is_some_and(|state| state.score.failures(now) >= FAILING)
}

/// Another provider of the same model has the same context, unless the configuration says that it
/// has more.
fn wider_step(steps: &[Step<'_>], small: usize, at: usize) -> Option<usize> {
    let here = steps.get(small)?;
    let failed = here.candidate.context;
    let later = steps.iter().enumerate().skip(at + 1);
    later
        .filter(|(_, step)| match (step.candidate.context, failed) {
            (Some(context), Some(failed)) => context > failed,
            (Some(_), None) | (None, _) => step.model != here.model,
        })
        .map(|(index, _)| index)
        .next()
}
