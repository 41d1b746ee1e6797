//! Chat streams as providers write them, each with at most one fault, and what each piece means.

use super::piece::{BAD, Chunk, Look, MODEL, Means, Piece, Stream, THEIRS, look};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;

/// What a piece says, before it has a look.
#[derive(Clone, Debug)]
enum Saying {
    Bare(&'static str, Means),
    Data(String, Means),
    Chunk { fields: Vec<String>, chunk: Chunk },
}

impl Saying {
    fn looking(self, look: &Look) -> Piece {
        match self {
            Saying::Bare(line, means) => look.bare(line, means),
            Saying::Data(data, means) => look.dress(&data, means),
            Saying::Chunk { fields, chunk } => {
                let gap = look.gap;
                let json = format!("{{{gap}{}{gap}}}", fields.join(&format!(",{gap}")));
                look.dress(&json, Means::Chunk(chunk))
            }
        }
    }
}

pub fn text() -> impl Strategy<Value = String> {
    let part = select(vec![
        "a",
        "bc",
        " ",
        " ",
        "é",
        "中",
        "😀",
        "\n",
        "\"",
        "\\",
        "\u{3000}",
        "[DONE]",
        "data: {}\n\n",
        "\"error\":{",
        "\u{2028}",
    ]);
    vec(part, 1..4).prop_map(|parts| parts.concat())
}

/// As a JSON string, with each character escaped where that is asked.
pub fn spelled(text: &str, escaped: bool) -> String {
    if !escaped {
        return json!(text).to_string();
    }
    let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
    format!("\"{}\"", units.collect::<String>())
}

/// A chunk of one choice, its fields in any order.
fn chunk(delta: String, why: &'static str, choice: u64, chunk: Chunk) -> BoxedStrategy<Saying> {
    let choices =
        format!(r#""choices":[{{"index":{choice},"delta":{delta},"finish_reason":{why}}}]"#);
    let chunk = Chunk {
        choice: 1 << choice,
        ..chunk
    };
    with_others(choices, chunk)
}

fn with_others(choices: String, chunk: Chunk) -> BoxedStrategy<Saying> {
    let model = format!(r#""model":{MODEL}"#);
    let model = select(vec![
        model.clone(),
        model.clone(),
        model,
        r#""model":null"#.to_owned(),
        r#""x":{"model":"theirs"}"#.to_owned(),
    ]);
    let usage = option::weighted(0.1, (1..99u64, 1..99u64));
    (model, usage)
        .prop_flat_map(move |(model, usage)| {
            let told = usage.or(chunk.usage);
            let mut fields = vec![
                r#""id":"c1""#.to_owned(),
                r#""created":7"#.to_owned(),
                model,
                choices.clone(),
            ];
            fields.extend(told.map(|(input, output)| {
                format!(r#""usage":{{"prompt_tokens":{input},"completion_tokens":{output}}}"#)
            }));
            let chunk = Chunk {
                usage: told,
                ..chunk
            };
            Just(fields)
                .prop_shuffle()
                .prop_map(move |fields| Saying::Chunk { fields, chunk })
        })
        .boxed()
}

const SILENT: Chunk = Chunk {
    choice: 0,
    says: false,
    ends: false,
    usage: None,
};
const SAYS: Chunk = Chunk {
    says: true,
    ..SILENT
};

fn content(choice: u64) -> impl Strategy<Value = Saying> {
    let field = select(vec![
        "content",
        "content",
        "content",
        "reasoning_content",
        "reasoning",
    ]);
    let said = (field, text(), any::<bool>()).prop_flat_map(move |(field, text, escaped)| {
        let delta = format!(r#"{{"{field}":{}}}"#, spelled(&text, escaped));
        chunk(delta, "null", choice, SAYS)
    });
    let call = r#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{\"model\":"}}]}"#;
    prop_oneof![
        8 => said,
        1 => chunk(call.to_owned(), "null", choice, SAYS),
        1 => chunk(r#"{"content":""}"#.to_owned(), "null", choice, SILENT),
    ]
}

fn between() -> impl Strategy<Value = Saying> {
    select(vec![
        Saying::Bare(": ping", Means::Comment),
        Saying::Bare(":", Means::Comment),
        Saying::Bare("retry: 3000", Means::Field),
        Saying::Bare("event: heartbeat", Means::Field),
        Saying::Bare("data:", Means::Blank),
        Saying::Bare("data: ", Means::Blank),
    ])
}

fn finish(choice: u64) -> impl Strategy<Value = Saying> {
    let ends = |says| Chunk {
        says,
        ends: true,
        ..SILENT
    };
    let bare = "{}".to_owned();
    prop_oneof![
        3 => chunk(bare.clone(), "\"stop\"", choice, ends(false)),
        1 => chunk(bare, "\"length\"", choice, ends(true)),
        1 => chunk(r#"{"content":"!"}"#.to_owned(), "\"stop\"", choice, ends(true)),
    ]
}

fn done() -> impl Strategy<Value = Saying> {
    select(vec!["[DONE]", "[DONE]", "  [DONE]"])
        .prop_map(|marker| Saying::Data(marker.to_owned(), Means::Done))
}

fn malformed() -> impl Strategy<Value = Saying> {
    select(vec![
        "hello".to_owned(),
        "{".to_owned(),
        "7".to_owned(),
        "[DONE".to_owned(),
        "[DONE]]".to_owned(),
        r#"{"choices":[{"index":0,"delta":{"content":"cut"#.to_owned(),
        r#"{"choices":[{"index":0,"delta":{"content":"cut"}}]"#.to_owned(),
        r#"{"choices":[{"index":0,"delta":{"content":"\x"}}]}"#.to_owned(),
        format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{BAD}"}}}}]}}"#),
    ])
    .prop_map(|data| Saying::Data(data, Means::Malformed))
}

fn error() -> impl Strategy<Value = Saying> {
    select(vec![
        r#"{"error":{"message":"no"}}"#,
        "{\"error\":\n{\"message\":\"no\",\n\"code\":500},\"choices\":[]}",
        r#"{"code":50505,"message":"busy"}"#,
        r#"{"base_resp":{"status_code":1002}}"#,
        r#"{"id":"c1","choices":[{"index":0,"delta":{"content":"half"},"finish_reason":"error"}]}"#,
    ])
    .prop_map(|data| Saying::Data(data.to_owned(), Means::Error))
}

/// A whole answer without fault, `[DONE]` being its last piece.
fn answer() -> impl Strategy<Value = Vec<Saying>> {
    let role = r#"{"role":"assistant","content":""}"#.to_owned();
    let alone = Chunk {
        usage: Some((9, 2)),
        ..SILENT
    };
    let usage = with_others(r#""choices":[]"#.to_owned(), alone);
    let body = |choice| vec(prop_oneof![4 => content(choice), 1 => between()], 0..4);
    (
        vec(between(), 0..2),
        option::weighted(0.8, chunk(role, "null", 0, SILENT)),
        body(0),
        option::weighted(0.1, (body(1), finish(1))),
        finish(0),
        vec(between(), 0..2),
        option::of(usage),
        done(),
    )
        .prop_map(
            |(first, role, mut body, second, finish, late, usage, done)| {
                let mut all = first;
                all.extend(role);
                all.append(&mut body);
                if let Some((mut body, finish)) = second {
                    all.append(&mut body);
                    all.push(finish);
                }
                all.push(finish);
                all.extend(late);
                all.extend(usage);
                all.push(done);
                all
            },
        )
}

#[derive(Clone, Debug)]
enum Fault {
    None,
    Cut,
    Ends,
    NoMarker,
    TwoMarkers,
    GoesOn,
    Insert(Saying),
}

pub fn stream() -> impl Strategy<Value = Stream> {
    let fault = prop_oneof![
        2 => Just(Fault::None),
        4 => Just(Fault::Cut),
        2 => Just(Fault::Ends),
        1 => Just(Fault::NoMarker),
        1 => Just(Fault::TwoMarkers),
        1 => Just(Fault::GoesOn),
        2 => malformed().prop_map(Fault::Insert),
        2 => error().prop_map(Fault::Insert),
    ];
    let looks = option::of(select(vec!["\n", "\r\n", "\r"]))
        .prop_flat_map(|line_end| vec(look(line_end), 1..6));
    (answer(), fault, any::<Index>(), looks).prop_map(|(mut answer, fault, at, looks)| {
        match &fault {
            Fault::None | Fault::Cut => {}
            Fault::Ends => answer.truncate(at.index(answer.len())),
            Fault::NoMarker => answer.truncate(answer.len() - 1),
            Fault::TwoMarkers => answer.extend(answer.last().cloned()),
            Fault::GoesOn => answer.extend(answer.get(at.index(answer.len())).cloned()),
            Fault::Insert(saying) => answer.insert(at.index(answer.len() + 1), saying.clone()),
        }
        let pieces: Vec<_> = answer
            .into_iter()
            .zip(looks.iter().cycle())
            .map(|(saying, look)| saying.looking(look))
            .collect();
        let whole = pieces.iter().map(|piece| piece.bytes(THEIRS).len()).sum();
        let length = match fault {
            Fault::Cut => at.index(whole + 1),
            _ => whole,
        };
        Stream { pieces, length }
    })
}
