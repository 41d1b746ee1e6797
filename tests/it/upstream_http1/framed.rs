//! Answers that are right, however they are framed and wherever they are cut.

use super::*;
use crate::harness::answers::{DONE, event, finish};
use crate::harness::streaming::whole;

struct Case {
    what: &'static str,
    wire: String,
    /// How much of it is answer: what comes after that was asked for by nobody.
    length: usize,
    closes: bool,
    kept: bool,
}

/// The connection is used again, unless the case says otherwise.
fn case(what: &'static str, head: &str, body: &str) -> Case {
    let wire = format!("{head}\r\n{body}");
    Case {
        what,
        length: wire.len(),
        wire,
        closes: false,
        kept: true,
    }
}

impl Case {
    fn not_kept(mut self) -> Case {
        self.kept = false;
        self
    }

    fn closed(mut self) -> Case {
        self.closes = true;
        self.not_kept()
    }

    fn and(mut self, more: &str) -> Case {
        self.wire.push_str(more);
        self
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\n";

fn chunked(text: &str, size: usize, extension: &str, trailers: &str) -> String {
    let mut out = String::new();
    for piece in text.as_bytes().chunks(size) {
        let piece = std::str::from_utf8(piece).unwrap();
        out.push_str(&format!("{:X}{extension}\r\n{piece}\r\n", piece.len()));
    }
    out + &format!("0\r\n{trailers}\r\n")
}

fn cases() -> Vec<Case> {
    let length = format!("Content-Length: {}\r\n", SAID.len());
    let with = |lines: &str| format!("{OK}{length}{lines}");
    let te = format!("{OK}Transfer-Encoding: chunked\r\n");
    let plain = chunked(SAID, 1000, "", "");
    vec![
        case("a length", &with(""), SAID),
        case("the same length twice", &with(&length), SAID),
        case("one chunk", &te, &plain),
        case("small chunks", &te, &chunked(SAID, 7, "", "")),
        case("chunks of one byte", &te, &chunked(SAID, 1, "", "")),
        case(
            "extensions and trailers",
            &te,
            &chunked(SAID, 20, " ; a=\"b;c\";d", "X-Sum: 1\r\nX-More: 2\r\n"),
        ),
        case(
            "a chunk's length with zeros before it",
            &te,
            &format!("00000000{:x}\r\n{SAID}\r\n000\r\n\r\n", SAID.len()),
        ),
        case(
            "another spelling",
            "HTTP/1.1 200\r\ntransfer-encoding:CHUNKED\r\n",
            &plain,
        ),
        case(
            "interim answers",
            &format!(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 9\r\n\r\n{}",
                with("")
            ),
            SAID,
        ),
        case("a folded header", &with("X-A: one\r\n\ttwo\r\n"), SAID),
        case("a space before the colon", &with("X-A : one\r\n"), SAID),
        case(
            "bare line feeds",
            &with("X-A: b\r\n").replace("\r\n", "\n"),
            SAID,
        ),
        case(
            "a long time to keep",
            &with("Keep-Alive: timeout=60\r\n"),
            SAID,
        ),
        case("no time to keep", &with("Keep-Alive: timeout=1\r\n"), SAID).not_kept(),
        case("close", &with("Connection: Close\r\n"), SAID).not_kept(),
        case(
            "close, among others",
            &with("Connection: x\r\nConnection: y , close\r\n"),
            SAID,
        )
        .not_kept(),
        case(
            "a length and chunks",
            &format!("{te}Content-Length: 3\r\n"),
            &plain,
        )
        .not_kept(),
        case("HTTP/1.0", &with("").replace("1.1", "1.0"), SAID).not_kept(),
        case(
            "HTTP/1.0 that keeps",
            &with("Connection: keep-alive\r\n").replace("1.1", "1.0"),
            SAID,
        ),
        case("until it closes", OK, SAID).closed(),
        case("HTTP/1.0 until it closes", "HTTP/1.0 200 OK\r\n", SAID).closed(),
        case(
            "identity",
            &format!("{OK}Transfer-Encoding: identity\r\n"),
            SAID,
        )
        .closed(),
        case("more than its length", &with(""), SAID)
            .and(&format!("{}{{\"ghost\":1}}     {SAID}", with("\r\n")))
            .not_kept(),
        case("more than its chunks", &te, &plain)
            .and("\r\n")
            .not_kept(),
    ]
}

#[tokio::test]
async fn an_answer_is_read_however_it_is_framed_and_cut() {
    let cases = cases();
    let mut providers = Vec::new();
    for case in &cases {
        let (wire, length, closes) = (case.wire.clone(), case.length, case.closes);
        let provider = Provider::start(move |number, _| {
            let mut acts = cut(&wire, length, number);
            acts.extend(closes.then_some(Act::Close));
            acts
        });
        providers.push(Arc::new(provider.await));
    }
    let gateway = serving(&providers).await;
    let address = gateway.address;
    let asking = cases.into_iter().zip(providers).enumerate();
    all(asking.map(|(number, (case, provider))| async move {
        let mut conn = Conn::open(address).await;
        for turn in 0..case.length {
            let reply = conn.ask(&ask(number)).await;
            let what = format!("{}, cut at {turn}: {reply:?}", case.what);
            assert_eq!((reply.status, &reply.broken), (200, &None), "{what}");
            assert_eq!(reply.text(), SAID, "{what}");
        }
        let connections = if case.kept { 1 } else { case.length };
        assert_eq!(provider.count(), case.length, "{}", case.what);
        assert_eq!(provider.connections().len(), connections, "{}", case.what);
    }))
    .await;
}

#[tokio::test]
async fn a_stream_is_read_however_it_is_framed_and_cut() {
    let text = [&event("m", "hello"), &finish("m"), DONE].concat();
    let head = format!("{OK}Content-Type: text/event-stream\r\n");
    let te = format!("{head}Transfer-Encoding: chunked\r\n");
    let length = format!("{head}Content-Length: {}\r\n", text.len());
    let mut cases = vec![
        case("chunks", &te, &chunked(&text, 200, ";x", "")),
        case("trailers", &te, &chunked(&text, 1000, "", "X: y\r\n")),
        case("a length", &length, &text),
        case("until it closes", &head, &text).closed(),
    ];
    // The last bytes come with what tells their end.
    for case in &mut cases {
        case.length -= 30;
    }
    let mut providers = Vec::new();
    for case in &cases {
        let (wire, cuts, closes) = (case.wire.clone(), case.length, case.closes);
        let provider = Provider::start(move |number, _| {
            let mut acts = cut(&wire, cuts, number);
            acts.extend(closes.then_some(Act::Close));
            acts
        });
        providers.push(Arc::new(provider.await));
    }
    let gateway = serving(&providers).await;
    let address = gateway.address;
    let asking = cases.into_iter().zip(providers).enumerate();
    all(asking.map(|(number, (case, provider))| async move {
        let expected = whole("hello").replace("acme/chat", &format!("acme/{number}"));
        let mut conn = Conn::open(address).await;
        for turn in 0..case.length {
            let reply = conn.ask(&ask_stream(number)).await.expect(200);
            assert_eq!(reply.text(), expected, "{}, cut at {turn}", case.what);
        }
        let connections = if case.kept { 1 } else { case.length };
        assert_eq!(provider.connections().len(), connections, "{}", case.what);
    }))
    .await;
}

#[tokio::test]
async fn an_answer_in_many_small_packets_costs_little_memory() {
    const PIECES: usize = 6000;
    // Nothing in it but blanks, as from a provider that keeps the connection alive with them.
    let mut acts = vec![Act::Write(
        format!("{OK}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n").into(),
    )];
    for _ in 0..PIECES {
        acts.push(Act::Write(wire::chunk(b" ")));
        acts.push(Act::Sleep(Duration::from_micros(1)));
    }
    acts.push(Act::Write(wire::chunk(SAID.as_bytes())));
    acts.push(answers::last());
    let provider = Arc::new(Provider::always(acts).await);
    let gateway = serving(&[Arc::clone(&provider)]).await;
    let before = gateway.peak_memory();
    let reply = gateway.ask(ask(0)).await.expect(200);
    assert_eq!(reply.text().trim_start(), SAID);
    let grown = gateway.peak_memory() - before;
    assert!(grown < 8 << 20, "{grown} bytes");
}
