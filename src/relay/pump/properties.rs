//! Streams of every kind, cut anywhere, beside what a caller is to see of them.

mod carried_on;
mod piece;
mod provider;
mod telling;

use super::*;
use crate::relay::commit::{self, Decision};
use piece::{Chunk, Means, Piece, Stream, THEIRS};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use provider::stream;
use serde_json::Value;

const OURS: &str = "\"ours/m\"";
/// Streams no longer than this are cut in two at every place.
const SHORT: usize = 400;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_caller_sees_the_same_however_a_stream_is_cut(
        stream in stream(),
        renamed: bool,
        strip_usage: bool,
        keep: bool,
        cuts in vec(any::<Index>(), 0..6),
    ) {
        let form = Form {
            endpoint: Endpoint::Chat,
            model: renamed.then(|| Bytes::from(OURS)),
            strip_usage,
            several: false,
            keep,
        };
        let bytes = stream.bytes();
        let expected = Expected::of(&stream, &form);
        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.sort_unstable();
        expected.is_seen(&form, chunks(&bytes, &places));
        expected.is_seen(&form, vec![&bytes[..]]);
        expected.is_seen(&form, bytes.chunks(1).collect());
        if bytes.len() <= SHORT {
            for at in 0..bytes.len() {
                expected.is_seen(&form, chunks(&bytes, &[at]));
            }
        }
    }
}

fn chunks<'a>(bytes: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let starts = std::iter::once(0).chain(places.iter().copied());
    let ends = places.iter().copied().chain([bytes.len()]);
    starts
        .zip(ends)
        .map(|(start, end)| &bytes[start..end])
        .collect()
}

#[derive(Debug, Default, PartialEq, Eq)]
enum End {
    Done,
    Error,
    #[default]
    Truncated,
}

/// What becomes of a stream, told piece by piece.
#[derive(Debug, Default)]
struct Expected {
    out: Vec<u8>,
    /// After how many bytes there is content.
    begun: Option<usize>,
    /// The blank line after it never comes.
    is_half: bool,
    end: End,
    gaps: u64,
    usage: Option<(u64, u64)>,
    seen: u64,
    finished: u64,
    known: bool,
    marked: bool,
    /// Text of one choice alone went out.
    single: bool,
}

impl Expected {
    fn of(stream: &Stream, form: &Form) -> Expected {
        let mut expected = Expected {
            single: true,
            ..Expected::default()
        };
        let model = form.model.as_ref().map_or(THEIRS, |_| OURS);
        let mut at = 0;
        let mut end = None;
        for piece in &stream.pieces {
            let bytes = piece.bytes(THEIRS);
            let came = stream.length.saturating_sub(at).min(bytes.len());
            at += came;
            let missing = bytes.len() - came;
            // Its data has come whole, and the blank line after it perhaps not.
            let is_readable =
                missing == 0 || (piece.has_data() && came >= piece.text(THEIRS).len());
            if !is_readable {
                break;
            }
            let mut shown = piece.bytes(model);
            shown.truncate(shown.len() - missing);
            if missing > 0 {
                shown.extend_from_slice(b"\n\n");
            }
            let gaps = expected.gaps;
            end = expected.take(piece, &shown, form.strip_usage);
            if expected.begun == Some(0) {
                expected.begun = Some(at);
                expected.is_half = missing > 0;
            }
            if missing > 0 {
                expected.gaps = gaps;
                break;
            }
            if end.is_some() {
                break;
            }
        }
        expected.end = match end {
            Some(end) => end,
            None if expected.has_finished() || !expected.known => End::Done,
            None => End::Truncated,
        };
        if expected.end == End::Done && !expected.marked {
            expected.out.extend_from_slice(b"data: [DONE]\n\n");
        }
        expected
    }

    fn has_finished(&self) -> bool {
        self.finished != 0 && self.seen == self.finished
    }

    fn take(&mut self, piece: &Piece, shown: &[u8], strip_usage: bool) -> Option<End> {
        let passes = match piece.means {
            Means::Comment => self.begun.is_some(),
            Means::Field => true,
            Means::Blank => false,
            Means::Malformed => {
                self.gaps += 1;
                false
            }
            Means::Error if self.has_finished() => return Some(End::Done),
            Means::Error => return Some(End::Error),
            Means::Done => {
                self.marked = true;
                self.out.extend_from_slice(shown);
                return Some(End::Done);
            }
            Means::Chunk(chunk) => {
                self.note(chunk);
                chunk.choice != 0 || !strip_usage
            }
        };
        if passes {
            self.out.extend_from_slice(shown);
        }
        None
    }

    fn note(&mut self, chunk: Chunk) {
        self.known = true;
        self.seen |= chunk.choice;
        self.finished |= if chunk.ends { chunk.choice } else { 0 };
        self.single &= chunk.choice <= 1;
        self.usage = chunk.usage.or(self.usage);
        if chunk.says {
            self.begun.get_or_insert(0);
        }
    }

    /// Drives the machines as the relay does, and compares.
    fn is_seen(&self, form: &Form, chunks: Vec<&[u8]>) {
        let mut pump = Pump::new(form.clone());
        let mut fed = 0;
        let mut came = chunks.into_iter();
        let mut decision = Decision::Hold;
        for chunk in came.by_ref() {
            decision = commit::feed(&mut pump, chunk);
            let content = self
                .begun
                .filter(|at| (fed + 1..=fed + chunk.len()).contains(at));
            fed += chunk.len();
            if decision != Decision::Hold {
                assert_eq!(decision == Decision::Go, content.is_some(), "after {fed}");
                break;
            }
            assert!(content.is_none() || self.is_half, "after {fed}");
        }
        if decision == Decision::Hold {
            decision = commit::end(&mut pump);
        }
        if decision != Decision::Go {
            assert_eq!(self.begun, None);
            assert_eq!(
                matches!(decision, Decision::Error(_)),
                self.end == End::Error
            );
            return;
        }
        assert!(self.begun.is_some());
        let mut out = pump.take().to_vec();
        for chunk in came {
            pump.feed(chunk);
            out.extend_from_slice(&pump.take());
        }
        pump.end();
        assert_eq!(pump.is_whole(), pump.stop() == Some(&Stop::Done));
        let end = match pump.stop() {
            Some(Stop::Done) => End::Done,
            Some(Stop::Error(_)) => End::Error,
            _ => End::Truncated,
        };
        if end == End::Done {
            pump.complete();
        }
        out.extend_from_slice(&pump.take());
        assert_eq!(
            String::from_utf8_lossy(&out),
            String::from_utf8_lossy(&self.out)
        );
        assert_eq!((&end, pump.take_gaps()), (&self.end, self.gaps));
        let usage = pump.usage();
        assert_eq!(usage.input.zip(usage.output), self.usage);
        self.is_honest(&pump, &out);
    }

    /// What went out, read by itself.
    fn is_honest(&self, pump: &Pump, out: &[u8]) {
        let events = datas(std::str::from_utf8(out).unwrap());
        let whole = self.end == End::Done;
        let marks = events.iter().filter(|data| data.trim() == "[DONE]").count();
        assert_eq!(marks, usize::from(whole));
        assert_eq!(
            events.last().is_some_and(|data| data.trim() == "[DONE]"),
            whole
        );
        let events = values(&events);
        for event in &events {
            if let (Some(model), Some(_)) = (event["model"].as_str(), &pump.form.model) {
                assert_eq!(model, "ours/m");
            }
        }
        if let Some(delivered) = pump.delivered().filter(|_| self.single) {
            assert_eq!(delivered.content, said(&events, &["content"]));
            assert_eq!(
                delivered.reasoning,
                said(&events, &["reasoning_content", "reasoning"])
            );
        }
    }
}

/// The data of each event, read plainly.
fn datas(stream: &str) -> Vec<String> {
    let stream = stream.replace("\r\n", "\n").replace('\r', "\n");
    let datas = stream.split("\n\n").map(|event| {
        let lines = event.lines().filter_map(|line| line.strip_prefix("data:"));
        lines.collect::<Vec<_>>().join("\n")
    });
    datas.filter(|data| !data.is_empty()).collect()
}

/// All that are no end marker; none is malformed.
fn values(datas: &[String]) -> Vec<Value> {
    let values = datas.iter().filter(|data| data.trim() != "[DONE]");
    values
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn said(events: &[Value], fields: &[&str]) -> String {
    let deltas = events.iter().map(|event| &event["choices"][0]["delta"]);
    let said = deltas.flat_map(|delta| fields.iter().filter_map(|field| delta[*field].as_str()));
    said.collect()
}
