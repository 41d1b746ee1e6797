//! Answers that are not streams.

use std::io::{self, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::answer::{self, Answer, Endpoint};
use super::connection::Next;
use super::fault::{Cut, Fault, Form, Malformed};
use super::flow::Flow;
use super::refusal::JSON;
use super::usage::{self, Tokens};
use super::wire::Wire;
use super::words::{REASONING, TOOLS};

pub const ERROR: &str = r#"{"error":{"message":"The upstream model failed while generating.","type":"server_error","param":null,"code":502}}"#;

/// The fields that OpenRouter puts beside the choices.
pub const OPENROUTER: &str =
    r#""provider":"Mock","error":{"code":502,"message":"The provider stopped in mid-answer."}"#;

pub async fn play(wire: &mut Wire, answer: &Answer<'_>) -> io::Result<Next> {
    let plan = answer.plan;
    let mut body = match plan.fault {
        Fault::Error(error) => told(answer, error.form),
        Fault::Nothing | Fault::OnlyDone => Vec::new(),
        Fault::Malformed(kind @ (Malformed::Text | Malformed::Hole)) => malformed(kind).into(),
        _ => good(answer)?,
    };
    if let Fault::Malformed(Malformed::Truncated) | Fault::Cut(Cut::Clean) = plan.fault {
        body.truncate(body.len() / 2);
    }
    if plan.comments || matches!(plan.fault, Fault::Comments(_)) {
        return after_blank_lines(wire, answer, &body).await;
    }
    let mut extra = "";
    if plan.gzip {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&body)?;
        body = encoder.finish()?;
        extra = "Content-Encoding: gzip\r\n";
    }
    let mut out = Vec::with_capacity(256 + body.len());
    answer::head(&mut out, 200, JSON, extra, body.len());
    let headers_alone = matches!(
        plan.fault,
        Fault::ResetAfterHeaders | Fault::HangAfterHeaders
    );
    if headers_alone || !plan.first_token.is_zero() {
        wire.send(&out).await?;
        out.clear();
    }
    wire.wait(plan.first_token).await?;
    match plan.fault {
        Fault::ResetAfterHeaders => return reset_after_delivery(wire).await,
        Fault::HangAfterHeaders => return Err(wire.wait_for_client_to_leave().await),
        Fault::Cut(cut @ (Cut::Fin | Cut::Inside | Cut::Reset)) => {
            out.extend_from_slice(half(&body));
            wire.send(&out).await?;
            return if cut == Cut::Reset {
                reset_after_delivery(wire).await
            } else {
                Ok(Next::Close)
            };
        }
        Fault::Stall(time) => {
            out.extend_from_slice(half(&body));
            wire.send(&out).await?;
            let Some(time) = time else {
                return Err(wire.wait_for_client_to_leave().await);
            };
            wire.wait(time).await?;
            wire.send(body.get(half(&body).len()..).unwrap_or_default())
                .await?;
        }
        _ => {
            out.extend_from_slice(&body);
            wire.send(&out).await?;
        }
    }
    Ok(Next::Another)
}

/// Lets what was sent arrive, because a RST may overtake it.
pub async fn reset_after_delivery(wire: &mut Wire) -> io::Result<Next> {
    wire.wait(Duration::from_millis(10)).await?;
    Ok(Next::Reset)
}

/// What stands where JSON should.
pub fn malformed(kind: Malformed) -> &'static [u8] {
    match kind {
        Malformed::Truncated => br#"{"id":"chatcmpl-broken","choices":[{"delta":{"cont"#,
        Malformed::Text => b"upstream went away",
        Malformed::Hole => br#"{"id":"chatcmpl-broken","choices":[{"delta":{"content":}}]}"#,
    }
}

fn told(answer: &Answer<'_>, form: Form) -> Vec<u8> {
    match form {
        Form::OpenAi => ERROR.into(),
        Form::BaseResp => base_resp(answer),
        Form::OpenRouter => format!(
            r#"{{"id":"gen-{:016x}","object":"chat.completion","model":{},"choices":[{{"index":0,"message":{{"role":"assistant","content":""}},"finish_reason":"error"}}],{OPENROUTER}}}"#,
            answer.id, answer.model
        )
        .into(),
    }
}

/// MiniMax tells its errors under 200.
pub fn base_resp(answer: &Answer<'_>) -> Vec<u8> {
    let code = answer.plan.code.unwrap_or(1002);
    let model = answer.model;
    format!(
        r#"{{"id":"{:016x}","choices":null,"created":0,"model":{model},"object":"","usage":{{"total_tokens":0}},"base_resp":{{"status_code":{code},"status_msg":"rate limit exceeded"}}}}"#,
        answer.id
    )
    .into()
}

fn half(body: &[u8]) -> &[u8] {
    body.get(..body.len() / 2).unwrap_or_default()
}

/// Blank lines keep a connection alive while the model thinks.
async fn after_blank_lines(wire: &mut Wire, answer: &Answer<'_>, body: &[u8]) -> io::Result<Next> {
    let plan = answer.plan;
    let mut flow = Flow::begin(wire, JSON, plan).await?;
    let endless = matches!(plan.fault, Fault::Comments(_));
    let pause = if endless { plan.beat } else { plan.pace };
    let mut lines = 0;
    while lines < 3 || endless {
        flow.raw(b"\n").await?;
        flow.wire.wait(pause.max(Duration::from_millis(1))).await?;
        lines += 1;
    }
    flow.wire.wait(plan.first_token).await?;
    flow.raw(body).await?;
    flow.finish().await?;
    Ok(Next::Another)
}

fn good(answer: &Answer<'_>) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(1024 + answer.plan.size);
    let Answer {
        id,
        created,
        model,
        name,
        ..
    } = answer;
    if answer.endpoint == Endpoint::Embeddings {
        embeddings(&mut out, answer)?;
        return Ok(out);
    }
    let tokens = Tokens::of(answer);
    let finish = finish(answer);
    if answer.endpoint == Endpoint::Chat {
        write!(
            out,
            r#"{{"id":"chatcmpl-{id:016x}","object":"chat.completion","created":{created},"model":{model},"choices":[{{"index":0,"message":{{"role":"assistant""#
        )?;
        message(&mut out, answer)?;
        write!(
            out,
            r#"}},"logprobs":null,"finish_reason":"{finish}"}}],"usage":"#
        )?;
    } else {
        write!(
            out,
            r#"{{"id":"cmpl-{id:016x}","object":"text_completion","created":{created},"model":{model},"choices":[{{"index":0,"text":""#
        )?;
        if answer.plan.fault != Fault::Empty {
            answer.text.whole(&mut out);
        }
        write!(
            out,
            r#"","logprobs":null,"finish_reason":"{finish}"}}],"usage":"#
        )?;
    }
    usage::write(&mut out, &tokens)?;
    write!(out, r#","system_fingerprint":"fp_{name}"}}"#)?;
    Ok(out)
}

pub fn finish(answer: &Answer<'_>) -> &'static str {
    let tools = answer.plan.tools && answer.endpoint == Endpoint::Chat;
    let usual = match tools {
        true => "tool_calls",
        false if answer.text.cut_short => "length",
        false => "stop",
    };
    answer.plan.finish.unwrap_or(usual)
}

/// The rest of a message object, from after its role.
fn message(out: &mut Vec<u8>, answer: &Answer<'_>) -> io::Result<()> {
    let plan = answer.plan;
    if plan.fault == Fault::Empty {
        return out.write_all(br#","content":"""#);
    }
    if plan.reasoning {
        write!(out, r#","reasoning_content":"{}""#, REASONING.concat())?;
    }
    if plan.tools {
        out.write_all(br#","content":null,"tool_calls":["#)?;
        for (index, (name, arguments)) in TOOLS.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(
                out,
                r#"{comma}{{"id":"call_mock{index}","type":"function","function":{{"name":"{name}","arguments":"{}"}}}}"#,
                arguments.concat()
            )?;
        }
        return out.write_all(b"]");
    }
    out.write_all(br#","content":""#)?;
    answer.text.whole(out);
    out.write_all(br#"","refusal":null"#)
}

fn embeddings(out: &mut Vec<u8>, answer: &Answer<'_>) -> io::Result<()> {
    const VECTOR: &str = "[0.0125,-0.25,0.5,0.0625,-0.125,0.75,-0.0625,0.25]";
    out.write_all(br#"{"object":"list","data":["#)?;
    for index in 0..answer.inputs {
        let comma = if index > 0 { "," } else { "" };
        write!(
            out,
            r#"{comma}{{"object":"embedding","index":{index},"embedding":{VECTOR}}}"#
        )?;
    }
    let (model, tokens) = (answer.model, answer.prompt_tokens);
    write!(
        out,
        r#"],"model":{model},"usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}}}"#
    )
}
