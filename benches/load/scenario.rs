//! What is asked, and how.

use std::time::Duration;

/// One kind of load.
pub struct Scenario {
    pub name: &'static str,
    pub title: &'static str,
    pub load: Load,
    /// The size of the chat body.
    pub body: usize,
    pub stream: Option<Stream>,
}

#[derive(Clone, Copy)]
pub enum Load {
    /// So many connections, each asking again as soon as it is answered.
    Closed { connections: usize },
    /// So many requests a second, whatever becomes of them.
    Open { per_second: u32 },
    /// So many connections, each for one answer, their beginnings spread over this time: what
    /// counts is the memory that they cost while all of them are open.
    Crowd {
        connections: usize,
        within: Duration,
    },
}

#[derive(Clone, Copy)]
pub struct Stream {
    pub chunks: u32,
    pub pace: Duration,
    /// Each chunk says when the provider wrote it.
    pub stamped: bool,
}

impl Stream {
    /// What a stream carries: role, chunks, finish and end.
    pub fn events(self) -> u32 {
        self.chunks + 3
    }

    /// How long the provider takes for it.
    pub fn time(self) -> Duration {
        self.pace * self.chunks
    }
}

pub fn all() -> [Scenario; 7] {
    let closed = |name, title, body, connections| Scenario {
        name,
        title,
        load: Load::Closed { connections },
        body,
        stream: None,
    };
    [
        closed("1k", "1 KB chat requests, 16 connections", 1 << 10, 16),
        closed("32k", "32 KB chat requests, 16 connections", 32 << 10, 16),
        closed("512k", "512 KB chat requests, 8 connections", 512 << 10, 8),
        Scenario {
            stream: Some(Stream {
                chunks: 100,
                pace: Duration::ZERO,
                stamped: false,
            }),
            ..closed(
                "stream",
                "streams of 100 chunks at once, 16 connections",
                1 << 10,
                16,
            )
        },
        Scenario {
            stream: Some(Stream {
                chunks: 100,
                pace: Duration::from_millis(10),
                stamped: true,
            }),
            ..closed(
                "steady",
                "200 streams of 100 events/s; from the provider's write to the caller's read",
                1 << 10,
                200,
            )
        },
        Scenario {
            load: Load::Open { per_second: 500 },
            ..closed(
                "open",
                "500 requests/s of 1 KB, from the time each was due",
                1 << 10,
                0,
            )
        },
        Scenario {
            load: Load::Crowd {
                connections: 2000,
                within: Duration::from_secs(2),
            },
            stream: Some(Stream {
                chunks: 6,
                pace: Duration::from_secs(1),
                stamped: false,
            }),
            ..closed(
                "crowd",
                "2,000 streams at once, an event a second each",
                1 << 10,
                0,
            )
        },
    ]
}

impl Scenario {
    /// The model that is asked for; for a stream the mock reads its shape in it.
    pub fn model(&self) -> String {
        let name = self.name;
        match self.stream {
            None => format!("load/{name}"),
            Some(stream) => {
                let (chunks, pace) = (stream.chunks, stream.pace.as_millis());
                let stamp = if stream.stamped { "+stamp" } else { "" };
                format!("load/{name}+chunks={chunks}+pace={pace}ms{stamp}")
            }
        }
    }

    /// The whole request: the bytes a client sends.
    pub fn request(&self) -> Vec<u8> {
        let body = self.chat();
        let length = body.len();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nUser-Agent: load\r\n\
             Accept: application/json\r\nAuthorization: Bearer sk-load\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        [head, body].concat().into_bytes()
    }

    /// A conversation of turns like real ones, up to the size.
    fn chat(&self) -> String {
        const TURN: &str = "Explain, step by step, how the \\\"overflow\\\" of a reservoir is \
            computed when rain, seepage and demand all vary.\\nGive the numbers in a table: \
            columns are hour, inflow (m\u{b3}/s), outflow (m\u{b3}/s), level (m). ";
        let model = self.model();
        let options = if self.stream.is_some() {
            "\"stream\":true,"
        } else {
            ""
        };
        let mut body = format!(
            r#"{{"model":"{model}",{options}"temperature":0.7,"messages":[{{"role":"system","content":"You are a careful assistant."}}"#
        );
        let room = self.body.saturating_sub(body.len() + 64);
        let mut turns = 0;
        let mut left = room;
        while left > 0 {
            let role = if turns % 2 == 0 { "user" } else { "assistant" };
            // A turn is a paragraph or two, as people write them.
            let text: String = TURN
                .repeat(4)
                .chars()
                .take(left.min(TURN.len() * 4))
                .collect();
            let text = text.trim_end_matches('\\');
            body.push_str(&format!(r#",{{"role":"{role}","content":"{text}"}}"#));
            left = left.saturating_sub(text.len() + 64);
            turns += 1;
        }
        // Whoever asks has the last word.
        body.push_str(r#",{"role":"user","content":"Go on."}]}"#);
        body
    }
}
