//! What goes wrong in mid-stream.

use std::io;

use super::connection::Next;
use super::fault::{Cut, Fault, Form, Place};
use super::stream::Play;
use super::whole::{self, reset_after_delivery};

/// Why a stream says no more.
pub enum Stop {
    /// The client left, or the wire broke.
    Gone(io::Error),
    /// The body ends as it should.
    Clean,
    /// The body stays without its end.
    Broken(Next),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Gone(error)
    }
}

impl Play<'_, '_> {
    /// The plan's fault, if it is one for this place.
    pub async fn strike(&mut self) -> Result<(), Stop> {
        match self.answer.plan.fault {
            Fault::Cut(cut) => Err(self.cut(cut).await?),
            Fault::Stall(None) => Err(self.silence().await),
            Fault::Stall(Some(time)) => Ok(self.flow.wire.wait(time).await?),
            Fault::Malformed(kind) => Ok(self.flow.data(whole::malformed(kind)).await?),
            Fault::Error(error) => self.error(error).await,
            Fault::Comments(Place::Middle) => Err(self.comment_for_ever().await),
            _ => Ok(()),
        }
    }

    async fn cut(&mut self, cut: Cut) -> io::Result<Stop> {
        Ok(match cut {
            Cut::Clean => Stop::Clean,
            Cut::Fin => Stop::Broken(Next::Close),
            Cut::Reset => Stop::Broken(reset_after_delivery(self.flow.wire).await?),
            Cut::Inside => {
                self.flow.half(self.event.half()).await?;
                Stop::Broken(Next::Close)
            }
        })
    }

    pub async fn tell(&mut self, form: Form) -> io::Result<()> {
        match form {
            Form::OpenAi => self.flow.data(whole::ERROR.as_bytes()).await,
            Form::OpenRouter => self.flow.data(self.event.openrouter_error()?).await,
            Form::BaseResp => self.flow.data(&whole::base_resp(self.answer)).await,
        }
    }

    pub async fn silence(&mut self) -> Stop {
        Stop::Gone(self.flow.wire.wait_for_client_to_leave().await)
    }

    pub async fn comment_for_ever(&mut self) -> Stop {
        let beat = self.beat();
        loop {
            if let Err(error) = self.flow.comment("keep-alive").await {
                return Stop::Gone(error);
            }
            if let Err(error) = self.flow.wire.wait(beat).await {
                return Stop::Gone(error);
            }
        }
    }
}
