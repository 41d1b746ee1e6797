//! Streams: a role, the content piece by piece, a finish, the usage, `[DONE]`.

use std::io::{self, Write};
use std::time::Duration;

use super::answer::{Answer, Endpoint};
use super::connection::Next;
use super::fault::Fault;
use super::flow::Flow;
use super::plan::Usage;
use super::usage::{self, Tokens};
use super::whole::{self, ERROR, reset_after_delivery};
use super::wire::Wire;
use super::words::{self, REASONING, TOOLS};

pub async fn play(wire: &mut Wire, answer: &Answer<'_>) -> io::Result<Next> {
    let plan = answer.plan;
    let flow = Flow::begin(
        wire,
        "text/event-stream; charset=utf-8",
        plan.gzip,
        plan.crlf,
    )
    .await?;
    let mut play = Play::new(flow, answer);
    let broken = match plan.fault {
        Fault::ResetAfterHeaders => Some(reset_after_delivery(play.flow.wire).await?),
        Fault::Nothing => None,
        Fault::EndlessComments => return Err(play.comment_for_ever().await),
        Fault::BaseResp => {
            play.flow.data(&whole::base_resp(answer)).await?;
            None
        }
        Fault::Error200 => {
            play.flow.data(ERROR.as_bytes()).await?;
            play.done().await?;
            None
        }
        _ => play.events().await?,
    };
    match broken {
        Some(next) => Ok(next),
        None => {
            play.flow.finish().await?;
            Ok(Next::Another)
        }
    }
}

struct Play<'a, 'w> {
    flow: Flow<'w>,
    answer: &'a Answer<'a>,
    /// Every event begins with it, up to and with `"choices":[`.
    prefix: Vec<u8>,
    /// What was said so far, for usage that grows.
    said: Tokens,
    event: Vec<u8>,
}

impl<'a, 'w> Play<'a, 'w> {
    fn new(flow: Flow<'w>, answer: &'a Answer<'a>) -> Self {
        let Answer {
            id,
            created,
            model,
            name,
            ..
        } = answer;
        let (kind, object) = match answer.endpoint {
            Endpoint::Completions => ("cmpl", "text_completion"),
            _ => ("chatcmpl", "chat.completion.chunk"),
        };
        let prefix = format!(
            r#"{{"id":"{kind}-{id:016x}","object":"{object}","created":{created},"model":{model},"system_fingerprint":"fp_{name}","choices":["#
        );
        let said = Tokens {
            prompt: answer.prompt_tokens,
            content: 0,
            reasoning: 0,
        };
        Play {
            flow,
            answer,
            prefix: prefix.into(),
            said,
            event: Vec::with_capacity(512),
        }
    }

    fn chat(&self) -> bool {
        self.answer.endpoint == Endpoint::Chat
    }

    /// The whole sequence; how the connection ends, if it was broken off.
    async fn events(&mut self) -> io::Result<Option<Next>> {
        let plan = self.answer.plan;
        if plan.comments {
            for _ in 0..3 {
                self.flow.comment("keep-alive").await?;
            }
        }
        if self.chat() {
            self.delta(br#""role":"assistant","content":"""#, b"")
                .await?;
        }
        self.first_token().await?;
        if plan.fault != Fault::Empty {
            let broken = self.said_something().await?;
            if broken.is_some() || plan.fault == Fault::ErrorMid {
                return Ok(broken);
            }
        }
        self.end().await?;
        Ok(None)
    }

    /// The silence before it, broken only by comments where there are any.
    async fn first_token(&mut self) -> io::Result<()> {
        const KEEP_ALIVE: Duration = Duration::from_millis(100);
        let plan = self.answer.plan;
        let mut left = plan.first_token;
        while plan.comments && left > KEEP_ALIVE {
            self.flow.wire.wait(KEEP_ALIVE).await?;
            self.flow.comment("keep-alive").await?;
            left -= KEEP_ALIVE;
        }
        self.flow.wire.wait(left).await
    }

    /// Reasoning, then tool calls or content, with the fault in its place.
    async fn said_something(&mut self) -> io::Result<Option<Next>> {
        let plan = self.answer.plan;
        if self.chat() && plan.reasoning {
            for piece in REASONING {
                self.said.reasoning += 1;
                self.delta(br#""reasoning_content":""#, format!("{piece}\"").as_bytes())
                    .await?;
                self.flow.wire.wait(plan.pace).await?;
            }
        }
        if self.chat() && plan.tools {
            self.tools().await?;
            return self.fault().await;
        }
        let at = plan.chunks_before_fault();
        let mut text = Vec::new();
        for index in 0..plan.chunks {
            if index == at {
                let broken = self.fault().await?;
                if broken.is_some() || plan.fault == Fault::ErrorMid {
                    return Ok(broken);
                }
            }
            if index > 0 {
                self.flow.wire.wait(plan.pace).await?;
            }
            text.clear();
            words::chunk(&mut text, plan, index);
            text.push(b'"');
            self.said.content += 1;
            let key: &[u8] = if self.chat() {
                br#""content":""#
            } else {
                br#""text":""#
            };
            self.delta(key, &text).await?;
        }
        if at == plan.chunks {
            self.fault().await
        } else {
            Ok(None)
        }
    }

    /// What goes wrong in mid-stream, if anything does.
    async fn fault(&mut self) -> io::Result<Option<Next>> {
        match self.answer.plan.fault {
            Fault::Cut { reset, inside } => {
                if inside {
                    let half = [b"data: ".as_slice(), &self.prefix, br#"{"index":0,"del"#].concat();
                    self.flow.raw(&half).await?;
                }
                let wire = &mut *self.flow.wire;
                return Ok(Some(if reset {
                    reset_after_delivery(wire).await?
                } else {
                    Next::Close
                }));
            }
            Fault::Stall(None) => return Err(self.flow.wire.wait_for_client_to_leave().await),
            Fault::Stall(Some(time)) => self.flow.wire.wait(time).await?,
            Fault::Malformed => {
                self.flow
                    .data(br#"{"id":"chatcmpl-broken","choices":[{"delta":{"cont"#)
                    .await?;
            }
            Fault::ErrorMid => {
                self.flow.data(ERROR.as_bytes()).await?;
                self.done().await?;
            }
            _ => {}
        }
        Ok(None)
    }

    async fn tools(&mut self) -> io::Result<()> {
        for (index, (name, arguments)) in TOOLS.iter().enumerate() {
            let first = format!(
                r#"{{"index":{index},"id":"call_mock{index}","type":"function","function":{{"name":"{name}","arguments":""}}}}]"#
            );
            self.delta(br#""tool_calls":["#, first.as_bytes()).await?;
            for piece in arguments {
                self.flow.wire.wait(self.answer.plan.pace).await?;
                let more = format!(r#"{{"index":{index},"function":{{"arguments":"{piece}"}}}}]"#);
                self.said.content += 1;
                self.delta(br#""tool_calls":["#, more.as_bytes()).await?;
            }
        }
        Ok(())
    }

    async fn end(&mut self) -> io::Result<()> {
        let plan = self.answer.plan;
        let finish = whole::finish(self.answer);
        self.begin_event();
        let empty = if self.chat() {
            r#""delta":{}"#
        } else {
            r#""text":"""#
        };
        write!(
            self.event,
            r#"{{"index":0,{empty},"logprobs":null,"finish_reason":"{finish}""#
        )?;
        if plan.usage == Usage::Twice {
            self.usage(r#","usage":"#)?;
        }
        self.event.extend_from_slice(b"}]");
        match plan.usage {
            Usage::Finish | Usage::Every => self.usage(r#","usage":"#)?,
            Usage::Groq => {
                self.usage(r#","x_groq":{"usage":"#)?;
                self.event.push(b'}');
            }
            _ => self.no_usage_yet(),
        }
        self.event.push(b'}');
        self.flow.data(&self.event).await?;
        if self.last_chunk_has_usage() {
            self.begin_event();
            self.event.push(b']');
            self.usage(r#","usage":"#)?;
            self.event.push(b'}');
            self.flow.data(&self.event).await?;
        }
        self.done().await
    }

    async fn done(&mut self) -> io::Result<()> {
        match self.answer.plan.fault {
            Fault::NoDone => Ok(()),
            _ => self.flow.data(b"[DONE]").await,
        }
    }

    /// One event whose delta is `field` and `value`, both pieces of JSON.
    async fn delta(&mut self, field: &[u8], value: &[u8]) -> io::Result<()> {
        self.begin_event();
        let (open, close): (&[u8], &[u8]) = match self.chat() {
            true => (br#"{"index":0,"delta":{"#, b"}"),
            false => (br#"{"index":0,"#, b""),
        };
        let parts = [
            open,
            field,
            value,
            close,
            br#","logprobs":null,"finish_reason":null}]"#,
        ];
        parts
            .iter()
            .for_each(|part| self.event.extend_from_slice(part));
        if self.answer.plan.usage == Usage::Every {
            self.usage(r#","usage":"#)?;
        } else {
            self.no_usage_yet();
        }
        self.event.push(b'}');
        self.flow.data(&self.event).await
    }

    fn begin_event(&mut self) {
        self.event.clear();
        self.event.extend_from_slice(&self.prefix);
    }

    fn usage(&mut self, before: &str) -> io::Result<()> {
        self.event.extend_from_slice(before.as_bytes());
        usage::write(&mut self.event, &self.said)
    }

    /// OpenAI's mark on every chunk but the last, once usage was asked for.
    fn no_usage_yet(&mut self) {
        if self.last_chunk_has_usage() {
            self.event.extend_from_slice(br#","usage":null"#);
        }
    }

    fn last_chunk_has_usage(&self) -> bool {
        match self.answer.plan.usage {
            Usage::Asked => self.answer.wants_usage,
            Usage::Always | Usage::Twice => true,
            Usage::Never | Usage::Every | Usage::Finish | Usage::Groq => false,
        }
    }

    async fn comment_for_ever(&mut self) -> io::Error {
        let pause = self.answer.plan.pace.max(Duration::from_millis(1));
        loop {
            if let Err(error) = self.flow.comment("keep-alive").await {
                return error;
            }
            if let Err(error) = self.flow.wire.wait(pause).await {
                return error;
            }
        }
    }
}
