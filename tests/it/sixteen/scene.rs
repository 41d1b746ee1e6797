//! What all scenarios share: the answer, the two providers, the caller, and the clock.

use crate::harness::voice::{TWO, Voice, prefill};
use crate::harness::*;
use answers::part;
use provider::Seen;
use serde_json::json;
use std::sync::{Arc, Mutex};

const ASK_COUNTED: &str = r#"{"model":"acme/chat","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}"#;

/// One request as the scorecard shows it.
pub struct Measured {
    pub asked: String,
    pub first: Option<Duration>,
    pub total: Duration,
    /// Requests that each provider saw for it.
    pub one: usize,
    pub two: usize,
}

/// One run of a scenario, at its full times or at a twentieth of them.
pub struct Scene {
    divisor: u64,
    pub measured: Arc<Mutex<Vec<Measured>>>,
}

impl Scene {
    pub fn full() -> Scene {
        Scene::with(1)
    }

    pub fn quick() -> Scene {
        Scene::with(20)
    }

    fn with(divisor: u64) -> Scene {
        Scene {
            divisor,
            measured: Arc::default(),
        }
    }

    /// So many milliseconds at full scale.
    pub fn time(&self, full: u64) -> Duration {
        ms(full / self.divisor)
    }

    /// The same as a configuration writes it.
    pub fn written(&self, full: u64) -> String {
        format!("{}ms", full / self.divisor)
    }

    /// Between two tokens.
    pub fn pace(&self) -> Duration {
        self.time(40)
    }

    /// The fallback answers everything well.
    pub async fn stage(&self, one: Provider, timeouts: &str) -> Stage<'_> {
        let two = self.speaking(TWO).await;
        let config = self.config(&one, &two, timeouts);
        self.stage_of(one, two, &config).await
    }

    pub async fn stage_of(&self, one: Provider, two: Provider, config: &Config) -> Stage<'_> {
        Stage {
            gateway: Gateway::start(config).await,
            one,
            two,
            scene: self,
        }
    }

    /// Two tiers, and a fallback of which nobody knows whether it continues messages.
    pub fn config(&self, one: &Provider, two: &Provider, timeouts: &str) -> Config {
        let breaker = format!("{{ interval: {} }}", self.written(5000));
        Config::spill(one, two)
            .on_provider("one", "breaker", &breaker)
            .on_route("timeouts", timeouts)
            .on_route("stream", "{ resume: auto }")
            .top("log: { format: json }")
    }

    /// A provider without fault.
    pub async fn speaking(&self, voice: Voice) -> Provider {
        let pace = self.pace();
        Provider::start(move |_, seen| answer(voice, seen, pace)).await
    }
}

/// Everything that plays in one scenario.
pub struct Stage<'a> {
    pub one: Provider,
    pub two: Provider,
    pub gateway: Gateway,
    scene: &'a Scene,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    Stream,
    Whole,
}

pub const BOTH: [Way; 2] = [Way::Stream, Way::Whole];

impl Way {
    pub fn body(self) -> &'static str {
        match self {
            Way::Stream => ASK_COUNTED,
            Way::Whole => ASK,
        }
    }
}

pub struct Answer {
    pub way: Way,
    pub reply: Reply,
    /// From the request to the first content.
    pub first: Option<Duration>,
    pub total: Duration,
    pub ended: Instant,
    pub one: usize,
    pub two: usize,
}

impl Stage<'_> {
    pub async fn ask(&self, way: Way, note: &str) -> Answer {
        let before = (self.one.count(), self.two.count());
        let start = Instant::now();
        let reply = self.gateway.chat(way.body()).await;
        let ended = Instant::now();
        let speaks = |piece: &[u8]| String::from_utf8_lossy(piece).contains("wörd");
        let first = reply.pieces.iter().find(|(_, piece)| speaks(piece));
        let answer = Answer {
            way,
            first: first.map(|(at, _)| at.duration_since(start)),
            total: ended.duration_since(start),
            ended,
            one: self.one.count() - before.0,
            two: self.two.count() - before.1,
            reply,
        };
        self.scene.measured.lock().unwrap().push(Measured {
            asked: format!("{way:?} {note}").to_lowercase(),
            first: answer.first,
            total: answer.total,
            one: answer.one,
            two: answer.two,
        });
        answer
    }
}

impl Answer {
    /// The caller has all sixty tokens, once, and nothing but them.
    pub fn complete(&self) -> &Answer {
        let text = self.reply.text();
        assert_eq!(self.reply.status, 200, "{text}");
        assert_eq!(self.reply.broken, None, "{text}");
        match self.way {
            Way::Stream => Said::of(&self.reply).whole(&whole()),
            Way::Whole => {
                let body = self.reply.json();
                assert_eq!(body["choices"][0]["message"]["content"], whole());
                assert_eq!(body["model"], "acme/chat");
            }
        }
        self
    }

    /// So many requests went to the first provider and to the fallback.
    pub fn tried(&self, one: usize, two: usize) -> &Answer {
        assert_eq!(
            (self.one, self.two),
            (one, two),
            "requests at each provider"
        );
        self
    }

    pub fn by(&self, provider: &str) -> &Answer {
        assert_eq!(self.reply.get("x-overspill-provider"), Some(provider));
        self
    }

    pub fn within(&self, limit: Duration) -> &Answer {
        assert!(self.total < limit, "{:?}, not within {limit:?}", self.total);
        self
    }
}

pub const TOKENS: usize = 60;

/// Tokens end in a space, so that what was delivered of them mostly does.
pub fn token(number: usize) -> String {
    format!("wörd{number} ")
}

pub fn said_by(tokens: impl IntoIterator<Item = usize>) -> String {
    tokens.into_iter().map(token).collect()
}

pub fn whole() -> String {
    said_by(0..TOKENS)
}

/// What a provider does that is in order: the whole answer, or what is missing of it.
pub fn answer(voice: Voice, seen: &Seen, pace: Duration) -> Vec<Act> {
    let (text, begun) = (whole(), prefill(seen).unwrap_or_default());
    let rest = text.strip_prefix(&begun).expect("a prefill of this answer");
    let said = rest.split_inclusive(' ').count() as u64;
    let body = seen.json();
    if body["stream"] != true {
        return vec![json_reply(200, whole_body(voice, rest).to_string())];
    }
    let mut acts = vec![answers::sse_head(), part(voice.role())];
    for token in rest.split_inclusive(' ') {
        acts.extend([part(voice.say(token)), Act::Sleep(pace)]);
    }
    acts.push(part(voice.finish("stop")));
    if body["stream_options"]["include_usage"] == true {
        acts.push(part(voice.usage(PROMPT, said)));
    }
    acts.extend([part(answers::DONE), answers::last()]);
    acts
}

/// The tokens of the prompt, as the providers count them.
pub const PROMPT: u64 = 11;

fn whole_body(voice: Voice, text: &str) -> Value {
    json!({
        "id": voice.id, "object": "chat.completion", "created": voice.created,
        "model": voice.model,
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop"
        }],
        "usage": {
            "prompt_tokens": PROMPT,
            "completion_tokens": TOKENS,
            "total_tokens": PROMPT + TOKENS as u64
        }
    })
}

/// The beginning of a good stream: so many tokens.
pub fn beginning(voice: Voice, tokens: usize, pace: Duration) -> Vec<Act> {
    let mut acts = vec![answers::sse_head(), part(voice.role())];
    for number in 0..tokens {
        acts.extend([part(voice.say(&token(number))), Act::Sleep(pace)]);
    }
    acts
}
