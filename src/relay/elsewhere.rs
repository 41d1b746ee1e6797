//! Another target for a stream that broke after its commit.

use crate::config::snapshot::{Endpoint, Prefill, Resume};
use crate::error::Reason;
use crate::failover::{Happened, Kind};
use crate::relay::Wires;
use crate::relay::attempt::{self, Opened};
use crate::relay::carry::Interruption;
use crate::relay::line::Line;
use crate::relay::prepare::{self, Variant};
use crate::relay::pump::Pump;
use crate::relay::resume::delivered::Delivered;
use crate::relay::resume::graft::Graft;
use crate::relay::resume::request::continuing;
use crate::relay::resume::tokens::estimated_tokens;
use crate::relay::resume::wish::Wish;
use crate::relay::run::{Job, answers, note, reason_of};
use crate::relay::source::Source;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::tale::Tale;
use pingora_proxy::Session;
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
        && later.filter(|step| Some(step.model) == model).any(|step| {
            match job.route.stream.resume {
                Resume::Off => false,
                Resume::Auto => true,
                Resume::Prefill => step.candidate.target.provider.prefill != Prefill::None,
            }
        })
}

impl Job<'_> {
    pub fn can_be_carried_on(&self) -> bool {
        self.scan.stream
            && matches!(self.endpoint, Endpoint::Chat | Endpoint::Completions)
            && self.route.stream.resume != Resume::Off
            && !self.scan.several
            && !self.body.is_empty()
            && self.body.len() <= LARGEST_BODY
    }
}

/// Asks the targets after this one until one carries on. None: nobody does, and the caller is to
/// be told of the interruption.
#[expect(
    clippy::too_many_arguments,
    reason = "the call's parts, each borrowed by itself"
)]
pub async fn search(
    wires: &Wires,
    metrics: &Metrics,
    session: &mut Session,
    line: &mut Line,
    job: &Job<'_>,
    position: &mut Position,
    interruption: &Interruption,
    pump: &mut Pump,
    tale: &mut Tale,
) -> pingora::Result<Option<Source>> {
    if !interruption.may_be_mended() || !is_thinkable(job, position) || pump.delivered().is_none() {
        return Ok(None);
    }
    let wish = Wish::read(&job.body);
    if wish.several || wish.logprobs {
        return Ok(None);
    }
    let model = job.steps.get(position.at).map(|step| step.model);
    for (index, step) in job.steps.iter().enumerate().skip(position.at + 1) {
        if Some(step.model) != model {
            continue;
        }
        let mut refused = false;
        for way in [Way::Prefill, Way::Afresh] {
            let allowed = way == Way::Prefill || job.route.stream.resume == Resume::Auto;
            // Afresh only where there is no prefill, or where it was refused.
            if !allowed || position.tries >= job.route.retry.attempts {
                continue;
            }
            let Some(delivered) = pump.delivered() else {
                return Ok(None);
            };
            let before = estimated_tokens(
                delivered.events,
                (delivered.content.len() + delivered.reasoning.len()) as u64,
            );
            let form = step.candidate.target.provider.prefill;
            let (graft, variant) = match way {
                Way::Afresh => (Graft::afresh(delivered), Variant::default()),
                Way::Prefill => match prefilled(job, form, delivered, &wish, before) {
                    Some(prefilled) => prefilled,
                    None => continue,
                },
            };
            pump.carry_on(graft, before);
            let now = Instant::now();
            let deadline = job.bound.unwrap_or(now + NO_DEADLINE);
            let (request, _) = prepare::request(wires, session, job, step, variant, deadline);
            position.tries += 1;
            position.at = index;
            metrics.maybe_billed_twice.inc();
            let opened = line
                .company(session, tale, attempt::open(wires, request, pump))
                .await;
            let took = now.elapsed();
            tale.waited += took;
            let opened = match opened {
                Ok(opened) => opened,
                Err(gone) => {
                    let reason = Some(Reason::CallerCancelled);
                    note(metrics, job, step, tale, None, reason, took);
                    tale.end(Reason::CallerCancelled);
                    return Err(gone);
                }
            };
            let (status, reason) = match opened {
                Opened::Flowing(flowing) if flowing.is_stream => {
                    let status = flowing.head.status.as_u16();
                    note(metrics, job, step, tale, Some(status), None, took);
                    metrics
                        .resumed
                        .with_label_values(&[&*job.route.name, step.provider(), way.name()])
                        .inc();
                    return Ok(Some(flowing.source));
                }
                Opened::Failed(failed) => {
                    refused = is_refusal(&failed.happened);
                    let answer = failed.answer.as_ref();
                    let status = answer.map(|whole| whole.head.status.as_u16());
                    (status, reason_of(&failed.happened))
                }
                Opened::Differs => {
                    note(
                        metrics,
                        job,
                        step,
                        tale,
                        Some(200),
                        Some(Reason::ProviderBadResponse),
                        took,
                    );
                    return Ok(None);
                }
                Opened::Flowing(_) | Opened::Whole(_) => (Some(200), Reason::ProviderBadResponse),
            };
            note(metrics, job, step, tale, status, Some(reason), took);
            if !refused {
                break;
            }
        }
        // Whoever left the request aside is not the one who answers.
        if let Some(first) = job.steps.first() {
            answers(first, tale);
        }
    }
    Ok(None)
}

/// The request itself is what the target does not want.
fn is_refusal(happened: &Happened) -> bool {
    matches!(happened, Happened::Answered(meaning)
        if matches!(meaning.kind, Kind::Rejected | Kind::ContextLength))
}

/// What asks a target to go on from the delivered text, where that can be asked.
fn prefilled(
    job: &Job<'_>,
    form: Prefill,
    delivered: &Delivered,
    wish: &Wish,
    before: u64,
) -> Option<(Graft, Variant)> {
    if job.endpoint != Endpoint::Chat
        || wish.shaped
        || wish.forced_tools
        || wish.ends_with_assistant
    {
        return None;
    }
    let text = delivered.content.trim_end();
    let edits = continuing(&job.body, form, text, before)?;
    let variant = Variant {
        edits,
        continues: true,
    };
    Some((Graft::prefill(delivered), variant))
}
