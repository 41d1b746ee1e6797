//! Another target for a stream that broke after its commit.

use crate::body::splice::{self, Pieces};
use crate::config::snapshot::{Endpoint, Prefill, Resume};
use crate::dialect::usage::Usage;
use crate::error::Reason;
use crate::failover::{Happened, Kind};
use crate::health::grant::Grant;
use crate::relay::Means;
use crate::relay::attempt::{self, Opened};
use crate::relay::bill;
use crate::relay::carry::Interruption;
use crate::relay::climb::is_failing;
use crate::relay::line::Line;
use crate::relay::prepare::{self, Variant};
use crate::relay::pump::Pump;
use crate::relay::resume::delivered::Delivered;
use crate::relay::resume::graft::Graft;
use crate::relay::resume::request::continuing;
use crate::relay::resume::tokens::estimated_tokens;
use crate::relay::resume::wish::Wish;
use crate::relay::run::{
    Came, Job, abandoned, answers, first_token_came, heed_limits, is_over, note, reason_of, was_cut,
};
use crate::relay::source::Source;
use crate::routing::plan::Step;
use crate::telemetry::tale::Tale;
use pingora::protocols::http::ServerSession;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A larger body is not kept after the commit.
const LARGEST_BODY: usize = 1024 * 1024;
/// A stream has no deadline but its caller's.
const NO_DEADLINE: Duration = Duration::from_secs(86_400);

/// Where in its plan a call stands.
pub struct Position {
    pub at: usize,
    pub tries: u32,
}

/// How a target is asked to carry on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Prefill,
    Afresh,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Prefill => "prefill",
            Way::Afresh => "afresh",
        }
    }
}

/// Whether the call's stream could be carried on at all, by what is known before it breaks.
pub fn is_thinkable(job: &Job<'_>, position: &Position) -> bool {
    let model = job.steps.get(position.at).map(|step| step.model);
    let later = job.steps.iter().skip(position.at + 1);
    job.can_be_carried_on()
        && job.retry.causes.stream
        && later.filter(|step| Some(step.model) == model).any(|step| {
            match job.route.stream.resume {
                Resume::Off => false,
                Resume::Auto => true,
                Resume::Prefill => step.candidate.target.provider.prefill != Prefill::None,
            }
        })
}

impl Job<'_> {
    fn can_be_carried_on(&self) -> bool {
        self.scan.stream
            && matches!(self.endpoint, Endpoint::Chat | Endpoint::Completions)
            && self.route.stream.resume != Resume::Off
            && !self.scan.several
            && !self.body.is_empty()
            && self.body.len() <= LARGEST_BODY
    }
}

/// The search for a target that carries a broken stream on.
pub struct Search<'s, 'j> {
    pub means: Means<'s>,
    pub job: &'s Job<'j>,
    pub position: &'s mut Position,
    /// Who delivered last.
    pub origin: usize,
    pub interruption: &'s Interruption,
}

/// What came of asking one target in one way.
enum Asked {
    CarriesOn(Box<(Source, Grant)>),
    /// It does not know how the usage is asked for.
    RefusedUsage,
    /// Not in this way; perhaps in another.
    Refused,
    Failed,
    Differs,
}

impl<'j> Search<'_, 'j> {
    /// Asks the targets after this one until one carries on. None: nobody does, and the caller is
    /// to be told of the interruption.
    pub async fn run(
        &mut self,
        session: &mut ServerSession,
        line: &mut Line<'_>,
        pump: &mut Pump,
        tale: &mut Tale,
    ) -> pingora::Result<Option<(Source, Grant, &'static str)>> {
        let job = self.job;
        if !self.interruption.may_be_mended() || !is_thinkable(job, self.position) {
            return Ok(None);
        }
        let wish = Wish::read(&job.body);
        if wish.several || wish.logprobs {
            return Ok(None);
        }
        let model = job.steps.get(self.position.at).map(|step| step.model);
        'steps: for (index, step) in job.steps.iter().enumerate().skip(self.position.at + 1) {
            if Some(step.model) != model {
                continue;
            }
            for way in [Way::Prefill, Way::Afresh] {
                let allowed = way == Way::Prefill || job.route.stream.resume == Resume::Auto;
                let late = job
                    .bound
                    .is_some_and(|bound| is_over(bound, Instant::now()));
                if !allowed || late || self.position.tries >= job.retry.attempts {
                    continue;
                }
                let Some(delivered) = pump.delivered() else {
                    return Ok(None);
                };
                let before = estimated_tokens(
                    delivered.events,
                    (delivered.content.len() + delivered.reasoning.len()) as u64,
                );
                let habits = &self.means.wires.habits;
                let would_ask = prepare::asks_in_callers_stead(self.means.wires, job, step);
                // Once more without the question for the usage, where that is what was refused.
                for asks in [would_ask, false] {
                    let Some(delivered) = pump.delivered() else {
                        return Ok(None);
                    };
                    let (graft, continuing) = match way {
                        Way::Afresh => (Graft::afresh(delivered), None),
                        Way::Prefill => match prefilled(job, step, tale, delivered, asks, before) {
                            Some(body) => (Graft::prefill(delivered), Some(body)),
                            None => break,
                        },
                    };
                    pump.carry_on(graft, before);
                    self.position.at = index;
                    let variant = Variant {
                        number: tale.attempts.len(),
                        // That of the grant, once there is one.
                        key: 0,
                        continuing,
                        without_usage: !asks,
                    };
                    match self.ask(session, line, step, variant, pump, tale).await? {
                        Asked::CarriesOn(carrier) => {
                            if would_ask && !asks {
                                let provider = &step.candidate.target.provider;
                                habits.refuses_stream_options(&provider.name);
                            }
                            let (source, grant) = *carrier;
                            return Ok(Some((source, grant, way.name())));
                        }
                        Asked::Differs => return Ok(None),
                        Asked::RefusedUsage if asks => self.position.tries -= 1,
                        Asked::Failed => continue 'steps,
                        // Afresh only where there is no prefill, or where it was refused.
                        Asked::Refused | Asked::RefusedUsage => break,
                    }
                }
            }
        }
        Ok(None)
    }

    async fn ask(
        &mut self,
        session: &mut ServerSession,
        line: &mut Line<'_>,
        step: &'j Step<'j>,
        mut variant: Variant,
        pump: &mut Pump,
        tale: &mut Tale,
    ) -> pingora::Result<Asked> {
        let Means { wires, metrics, .. } = self.means;
        let job = self.job;
        let now = Instant::now();
        let target = &step.candidate.target;
        let taken = Grant::take(self.means.board, target, now, job.tokens, false);
        let mut grant = match taken {
            Ok(_)
                if is_failing(self.means.board, step, now) && !self.means.budget.try_retry(now) =>
            {
                return Ok(Asked::Failed);
            }
            Ok(grant) => grant,
            Err(bar) => {
                tale.left_out
                    .push((Arc::clone(&target.provider.name), bar.label()));
                return Ok(Asked::Failed);
            }
        };
        self.position.tries += 1;
        metrics.maybe_billed_twice.inc();
        let deadline = job.bound.unwrap_or(now + NO_DEADLINE);
        variant.key = grant.key;
        let (request, _) = prepare::request(wires, session, job, step, tale, variant, deadline);
        let opened = {
            let attempt = pin!(attempt::open(wires, request, pump));
            line.company(session, tale, attempt).await
        };
        let began = now;
        let now = Instant::now();
        let took = now.saturating_duration_since(began);
        tale.waited += took;
        let came = Came {
            key: grant.key,
            began,
            took,
            status: None,
            reason: None,
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(gone) => {
                grant.left(now);
                abandoned(metrics, job, step, tale, came, &gone);
                return Err(gone);
            }
        };
        let mut told = Usage::default();
        let (status, reason, asked) = match opened {
            Opened::Flowing(flowing) if flowing.is_stream => {
                let status = Some(flowing.head.status.as_u16());
                note(metrics, job, step, tale, Came { status, ..came });
                first_token_came(tale);
                heed_limits(&grant, &flowing.head, now);
                grant.began_to_answer(now);
                return Ok(Asked::CarriesOn(Box::new((flowing.source, grant))));
            }
            Opened::Failed(failed) => {
                if is_over(deadline, now) && was_cut(&failed.happened) {
                    grant.left(now);
                } else {
                    grant.failed(now, &failed.happened);
                }
                let status = failed.answer.as_ref().map(|answer| {
                    heed_limits(&grant, &answer.head, now);
                    told = answer.usage;
                    answer.head.status.as_u16()
                });
                let asked = if failed.is_about(b"stream_options") {
                    Asked::RefusedUsage
                } else if is_refusal(&failed.happened) {
                    Asked::Refused
                } else {
                    Asked::Failed
                };
                (status, reason_of(&failed.happened), asked)
            }
            Opened::Differs => (Some(200), Reason::ProviderBadResponse, Asked::Differs),
            unwanted @ (Opened::Flowing(_) | Opened::Whole(_)) => {
                if let Opened::Whole(whole) = unwanted {
                    told = whole.usage;
                }
                grant.failed(now, &Happened::Answered(attempt::bad_response()));
                (Some(200), Reason::ProviderBadResponse, Asked::Failed)
            }
        };
        let reason = Some(reason);
        note(
            metrics,
            job,
            step,
            tale,
            Came {
                status,
                reason,
                ..came
            },
        );
        if matches!(asked, Asked::Differs) {
            // It was well, and as dear as any.
            let usage = bill::streamed(job, step, pump, tale);
            grant.used(now, usage, job.prompt);
        } else {
            bill::failed(job, step, told, tale);
        }
        // Whoever did not carry on is not the one who answers.
        if let Some(origin) = job.steps.get(self.origin) {
            answers(origin, tale);
        }
        Ok(asked)
    }
}

/// The request itself is what the target does not want.
fn is_refusal(happened: &Happened) -> bool {
    matches!(happened, Happened::Answered(meaning)
        if matches!(meaning.kind, Kind::Rejected | Kind::ContextLength))
}

/// What asks a target to go on from the delivered text, where that can be asked.
fn prefilled(
    job: &Job<'_>,
    step: &Step<'_>,
    tale: &Tale,
    delivered: &Delivered,
    asks_usage: bool,
    before: u64,
) -> Option<Pieces> {
    // As this target would be asked: its options count like the caller's own words.
    let asked = prepare::body(job, step, asks_usage, tale).joined();
    let wish = Wish::read(&asked);
    let hindered = wish.several
        || wish.logprobs
        || wish.shaped
        || wish.forced_tools
        || wish.ends_with_assistant;
    if job.endpoint != Endpoint::Chat || hindered {
        return None;
    }
    let text = delivered.content.trim_end();
    let form = step.candidate.target.provider.prefill;
    let edits = continuing(&asked, form, text, before)?;
    Some(splice::apply(&asked, edits))
}
