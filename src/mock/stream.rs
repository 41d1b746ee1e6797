//! Streams: a role, the content piece by piece, a finish, the usage, `[DONE]`.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use super::answer::Answer;
use super::connection::Next;
use super::event::Event;
use super::fault::{End, Error, Fault, Place};
use super::flow::Flow;
use super::strike::Stop;
use super::whole::reset_after_delivery;
use super::wire::Wire;
use super::words::{REASONING, TOOLS};

pub async fn play(wire: &mut Wire, answer: &Answer<'_>) -> io::Result<Next> {
    let content_type = "text/event-stream; charset=utf-8";
    let mut play = Play {
        flow: Flow::begin(wire, content_type, answer.plan).await?,
        event: Event::new(answer),
        answer,
    };
    match play.run().await {
        Ok(()) | Err(Stop::Clean) => {
            play.flow.finish().await?;
            Ok(Next::Another)
        }
        Err(Stop::Broken(next)) => Ok(next),
        Err(Stop::Gone(error)) => Err(error),
    }
}

pub(super) struct Play<'a, 'w> {
    pub flow: Flow<'w>,
    pub event: Event<'a>,
    pub answer: &'a Answer<'a>,
}

/// How many pieces the tool calls come in, openings included.
fn tool_pieces() -> u32 {
    TOOLS
        .iter()
        .fold(0, |sum, (_, arguments)| sum + 1 + arguments.len() as u32)
}

/// What time it is, for whoever measures how long a chunk was on its way.
fn stamp(text: &mut Vec<u8>) -> io::Result<()> {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    write!(text, "{}", since.as_nanos())
}

impl Play<'_, '_> {
    async fn run(&mut self) -> Result<(), Stop> {
        match self.answer.plan.fault {
            Fault::ResetAfterHeaders => {
                let next = reset_after_delivery(self.flow.wire).await?;
                Err(Stop::Broken(next))
            }
            Fault::HangAfterHeaders => Err(self.silence().await),
            Fault::Nothing => Err(Stop::Clean),
            Fault::OnlyDone => self.done().await,
            Fault::Comments(Place::First) => Err(self.comment_for_ever().await),
            Fault::Error(error) if error.place == Place::First => self.error(error).await,
            _ => self.events().await,
        }
    }

    async fn events(&mut self) -> Result<(), Stop> {
        let plan = self.answer.plan;
        if plan.comments {
            for _ in 0..3 {
                self.flow.comment("keep-alive").await?;
            }
        }
        if self.event.chat() {
            self.delta(br#""role":"assistant","content":"""#, b"")
                .await?;
        }
        self.first_token().await?;
        if plan.fault != Fault::Empty {
            self.reasoning().await?;
            if plan.tools && self.event.chat() {
                self.tools().await?;
            } else {
                self.content().await?;
            }
        }
        self.flow.data(self.event.finish()?).await?;
        if let Some(last) = self.event.last()? {
            self.flow.data(last).await?;
        }
        self.end().await
    }

    /// The silence before it, broken only by comments where there are any.
    async fn first_token(&mut self) -> io::Result<()> {
        let plan = self.answer.plan;
        let beat = self.beat();
        let mut left = plan.first_token;
        while plan.comments && left > beat {
            self.flow.wire.wait(beat).await?;
            self.flow.comment("keep-alive").await?;
            left -= beat;
        }
        self.flow.wire.wait(left).await
    }

    async fn reasoning(&mut self) -> Result<(), Stop> {
        let plan = self.answer.plan;
        if !plan.reasoning || !self.event.chat() {
            return Ok(());
        }
        let at = plan.pieces_before_fault(REASONING.len() as u32);
        for (index, piece) in (0..).zip(REASONING) {
            if plan.in_reasoning && index == at {
                self.strike().await?;
            }
            self.event.said.reasoning += 1;
            let value = format!("{piece}\"");
            self.delta(br#""reasoning_content":""#, value.as_bytes())
                .await?;
            self.flow.wire.wait(plan.pace).await?;
        }
        if plan.in_reasoning && at == REASONING.len() as u32 {
            self.strike().await?;
        }
        Ok(())
    }

    async fn content(&mut self) -> Result<(), Stop> {
        let answer = self.answer;
        let pieces = answer.text.pieces();
        let at = answer.plan.pieces_before_fault(pieces);
        let mut text = Vec::new();
        for index in 0..pieces {
            if index == at {
                self.strike_here().await?;
            }
            if index > 0 {
                self.flow.wire.wait(answer.plan.pace).await?;
            }
            text.clear();
            if answer.plan.stamp {
                stamp(&mut text)?;
            } else {
                answer.text.piece(&mut text, index);
            }
            text.push(b'"');
            self.event.said.content += 1;
            self.flow.data(self.event.content(&text)?).await?;
        }
        if at == pieces {
            self.strike_here().await?;
        }
        Ok(())
    }

    async fn tools(&mut self) -> Result<(), Stop> {
        let plan = self.answer.plan;
        // Half of them would end one call and not break any.
        let at = plan.at.unwrap_or(tool_pieces() / 2 + 2);
        let mut sent = 0;
        for (index, (name, arguments)) in TOOLS.iter().enumerate() {
            let opening = format!(
                r#"{{"index":{index},"id":"call_mock{index}","type":"function","function":{{"name":"{name}","arguments":""}}}}]"#
            );
            let more = arguments.iter().map(|piece| {
                format!(r#"{{"index":{index},"function":{{"arguments":"{piece}"}}}}]"#)
            });
            for (number, piece) in std::iter::once(opening).chain(more).enumerate() {
                if sent == at {
                    self.strike_here().await?;
                }
                if number > 0 {
                    self.flow.wire.wait(plan.pace).await?;
                    self.event.said.content += 1;
                }
                self.delta(br#""tool_calls":["#, piece.as_bytes()).await?;
                sent += 1;
            }
        }
        if at >= sent {
            self.strike_here().await?;
        }
        Ok(())
    }

    /// The fault, unless the reasoning had it.
    async fn strike_here(&mut self) -> Result<(), Stop> {
        let plan = self.answer.plan;
        let had = plan.in_reasoning && self.event.chat();
        if had { Ok(()) } else { self.strike().await }
    }

    /// What comes after the finish.
    async fn end(&mut self) -> Result<(), Stop> {
        let Fault::End(end) = self.answer.plan.fault else {
            return self.done().await;
        };
        match end {
            End::NoDone => Ok(()),
            End::NoDoneCut => Err(Stop::Broken(Next::Close)),
            End::NoDoneOpen => Err(self.silence().await),
            End::DoneOpen => {
                self.done().await?;
                Err(self.silence().await)
            }
            End::DoneTwice => {
                self.done().await?;
                self.done().await
            }
            End::AfterDone => {
                self.done().await?;
                let late = self.event.content(br#" Too late.""#)?;
                Ok(self.flow.data(late).await?)
            }
        }
    }

    pub async fn error(&mut self, error: Error) -> Result<(), Stop> {
        self.tell(error.form).await?;
        if error.done {
            self.done().await?;
        }
        Err(Stop::Clean)
    }

    async fn done(&mut self) -> Result<(), Stop> {
        Ok(self.flow.data(b"[DONE]").await?)
    }

    async fn delta(&mut self, field: &[u8], value: &[u8]) -> io::Result<()> {
        self.flow.data(self.event.delta(field, value)?).await
    }

    pub fn beat(&self) -> Duration {
        self.answer.plan.beat.max(Duration::from_millis(1))
    }
}
