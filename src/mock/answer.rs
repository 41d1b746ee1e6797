//! Which endpoint was asked, what its plan is, and the parts all its answers share.

use std::io;
use std::time::SystemTime;

use serde_json::json;

use super::behaviour::Shared;
use super::connection::Next;
use super::fault::Fault;
use super::plan::{self, Plan};
use super::prefill::{Form, Prefill};
use super::refusal;
use super::request::{Body, Head};
use super::text::Text;
use super::wire::Wire;
use super::{echo, stream, whole};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Endpoint {
    Chat,
    Completions,
    Embeddings,
    Models,
    Health,
    Stats,
    Seen,
    Echo,
}

/// What one good answer is made of.
pub struct Answer<'a> {
    pub endpoint: Endpoint,
    pub plan: &'a Plan,
    pub id: u64,
    pub created: u64,
    /// As it stood in the request, quotes included.
    pub model: &'a str,
    /// The provider's own name.
    pub name: &'a str,
    pub text: Text<'a>,
    /// With an assistant message that the answer goes on from.
    pub prompt_tokens: u64,
    pub inputs: usize,
    pub wants_usage: bool,
}

pub fn endpoint(head: &Head) -> Endpoint {
    let path = head.path();
    match path {
        _ if head.post && path.ends_with("/chat/completions") => Endpoint::Chat,
        _ if head.post && path.ends_with("/completions") => Endpoint::Completions,
        _ if head.post && path.ends_with("/embeddings") => Endpoint::Embeddings,
        "/__mock/stats" => Endpoint::Stats,
        "/__mock/requests" => Endpoint::Seen,
        _ if !head.post && path.ends_with("/models") => Endpoint::Models,
        _ if !head.post && path.ends_with("/health") => Endpoint::Health,
        _ => Endpoint::Echo,
    }
}

/// The name a model token stands for.
pub fn model_name(token: &str) -> String {
    serde_json::from_str(token).unwrap_or_default()
}

pub async fn answer(
    wire: &mut Wire,
    shared: &Shared,
    endpoint: Endpoint,
    head: &Head,
    body: &mut Body,
) -> io::Result<Next> {
    let name = &shared.behaviour.name;
    match endpoint {
        Endpoint::Chat | Endpoint::Completions | Endpoint::Embeddings => {
            model(wire, shared, endpoint, head, body).await
        }
        Endpoint::Models => send_json(wire, &models(name)).await,
        Endpoint::Health => send_json(wire, &json!({"status": "ok", "name": name})).await,
        Endpoint::Stats => send_json(wire, &shared.stats().json(name)).await,
        Endpoint::Seen => send_json(wire, &json!(shared.stats().seen())).await,
        Endpoint::Echo => echo::request(wire, head, body).await,
    }
}

/// A header block for a body of known length; `extra` are whole lines.
pub fn head(out: &mut Vec<u8>, status: u16, content_type: &str, extra: &str, length: usize) {
    let reason = refusal::reason_phrase(status);
    let lines = [
        "HTTP/1.1 ",
        &status.to_string(),
        " ",
        reason,
        "\r\nContent-Type: ",
        content_type,
        "\r\nContent-Length: ",
        &length.to_string(),
        "\r\n",
        extra,
        "\r\n",
    ];
    for line in lines {
        out.extend_from_slice(line.as_bytes());
    }
}

/// A header block and its body in one write.
pub async fn send(
    wire: &mut Wire,
    status: u16,
    content_type: &str,
    extra: &str,
    body: &[u8],
) -> io::Result<Next> {
    let mut out = Vec::with_capacity(256 + body.len());
    head(&mut out, status, content_type, extra, body.len());
    out.extend_from_slice(body);
    wire.send(&out).await?;
    Ok(Next::Another)
}

pub async fn send_json(wire: &mut Wire, value: &serde_json::Value) -> io::Result<Next> {
    send(wire, 200, refusal::JSON, "", value.to_string().as_bytes()).await
}

async fn model(
    wire: &mut Wire,
    shared: &Shared,
    endpoint: Endpoint,
    head: &Head,
    body: &Body,
) -> io::Result<Next> {
    let token = body.scan.model_token();
    let plain = token.trim_matches('"');
    let decoded;
    let model = if plain.contains('\\') {
        decoded = model_name(token);
        &decoded
    } else {
        plain
    };
    shared.stats().asked(model);
    let plan = match shared.plan(model) {
        Ok(plan) => plan,
        Err(message) => return send_mistake(wire, &message).await,
    };
    wire.split = plan.split;
    wire.wait(plan.delay).await?;
    if let Some(next) = instead_of_an_answer(wire, &plan, head).await? {
        return Ok(next);
    }
    let prefill = Prefill::of(&body.scan).filter(|_| endpoint == Endpoint::Chat);
    if plan.refuse_prefill && prefill.is_some() {
        return send_refusal(wire, &refusal::PREFILL).await;
    }
    if plan.no_stream_options && body.scan.has_stream_options() {
        return send_refusal(wire, &refusal::STREAM_OPTIONS).await;
    }
    let form = plan.form.unwrap_or(Form::Plain);
    let prefix = prefill.as_ref().filter(|prefill| prefill.has(form));
    let prefix = prefix.map(|prefill| prefill.text.as_str());
    let answer = Answer {
        endpoint,
        plan: &plan,
        id: shared.next_id(),
        created: seconds_since_epoch(),
        model: token,
        name: &shared.behaviour.name,
        text: Text::new(&plan, prefix, body.scan.most_tokens()),
        prompt_tokens: (body.length / 4).max(1),
        inputs: body.scan.inputs(),
        wants_usage: body.scan.wants_usage(),
    };
    let next = if body.scan.streams() && endpoint != Endpoint::Embeddings {
        stream::play(wire, &answer).await?
    } else {
        whole::play(wire, &answer).await?
    };
    let stale = plan.fault == Fault::Stale && next == Next::Another;
    Ok(if stale { Next::ResetLater } else { next })
}

/// The faults that are the same for streams and whole answers.
async fn instead_of_an_answer(
    wire: &mut Wire,
    plan: &Plan,
    head: &Head,
) -> io::Result<Option<Next>> {
    let next = match plan.fault {
        Fault::Reset => Next::Reset,
        Fault::Close => Next::Close,
        Fault::Hang => return Err(wire.wait_for_client_to_leave().await),
        Fault::Refuse(refusal) => {
            let extra = retry_after(plan).unwrap_or_else(|| refusal.wait.header());
            let status = plan.status.unwrap_or(refusal.status);
            send(
                wire,
                status,
                refusal.content_type,
                &extra,
                refusal.body.as_bytes(),
            )
            .await?
        }
        Fault::Status(status) => {
            let extra = retry_after(plan).unwrap_or_default();
            let body = refusal::plain_body(status);
            send(wire, status, refusal::JSON, &extra, body.as_bytes()).await?
        }
        Fault::Leak => leak(wire, plan, head).await?,
        _ => return Ok(None),
    };
    Ok(Some(next))
}

fn retry_after(plan: &Plan) -> Option<String> {
    plan.retry_after
        .as_ref()
        .map(|after| format!("Retry-After: {after}\r\n"))
}

async fn leak(wire: &mut Wire, plan: &Plan, head: &Head) -> io::Result<Next> {
    let secret = ["authorization", "api-key", "x-api-key", "x-goog-api-key"]
        .into_iter()
        .find_map(|name| head.header(name))
        .unwrap_or_else(|| head.target.clone());
    let message = format!("The credential {secret} may not use this parameter.");
    let body = json!({"error": {
        "message": message, "type": "invalid_request_error", "param": null, "code": "not_allowed",
    }});
    let status = plan.status.unwrap_or(400);
    send(wire, status, refusal::JSON, "", body.to_string().as_bytes()).await
}

async fn send_refusal(wire: &mut Wire, refusal: &refusal::Refusal) -> io::Result<Next> {
    let extra = refusal.wait.header();
    let (status, content_type) = (refusal.status, refusal.content_type);
    send(wire, status, content_type, &extra, refusal.body.as_bytes()).await
}

/// The test asked for something the mock does not know.
async fn send_mistake(wire: &mut Wire, message: &str) -> io::Result<Next> {
    let body = json!({"error": {
        "message": format!("The mock cannot do this: {message}."),
        "type": "invalid_request_error", "param": "model", "code": "mock_unknown_word",
    }});
    send(wire, 400, refusal::JSON, "", body.to_string().as_bytes()).await
}

/// A model for each word.
fn models(name: &str) -> serde_json::Value {
    let data: Vec<_> = plan::words()
        .map(|word| json!({"id": word, "object": "model", "created": 0, "owned_by": name}))
        .collect();
    json!({"object": "list", "data": data})
}

fn seconds_since_epoch() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}
