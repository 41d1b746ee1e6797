//! Routes with `mode: stream` where something is wrong: with the request, the body, the answer.

use crate::harness::answers::{failure_body, http};
use crate::harness::provider::Refusing;
use crate::harness::tls::Identity;
use crate::harness::wire::chunk;
use crate::harness::*;
use crate::passthrough::through;
use crate::refusals::refused;

fn audio(base: &str) -> Config {
    Config::new()
        .provider("one", base)
        .route("audio", "{ provider: one }")
        .on_route("match", "{ path: \"/v1/audio/*\" }")
        .on_route("mode", "stream")
}

fn ask() -> Request {
    Request::post("/v1/audio/x", "y")
}

/// Waits until the metrics have this line: a client may see its answer before it is counted.
async fn counted(gateway: &Gateway, line: &str) {
    let start = Instant::now();
    loop {
        let metrics = gateway.metrics().await;
        if metrics.lines().any(|counted| counted == line) {
            return;
        }
        assert!(start.elapsed() < ms(3000), "no {line}:\n{metrics}");
        tokio::time::sleep(ms(10)).await;
    }
}

async fn ended(gateway: &Gateway, reason: &str, times: u32) {
    let labels = format!("model=\"\",provider=\"one\",reason=\"{reason}\",route=\"audio\"");
    counted(
        gateway,
        &format!("overspill_requests_total{{{labels}}} {times}"),
    )
    .await;
}

async fn attempted(gateway: &Gateway, reason: &str, times: u32) {
    let labels = format!("provider=\"one\",reason=\"{reason}\",route=\"audio\"");
    counted(
        gateway,
        &format!("overspill_attempts_total{{{labels}}} {times}"),
    )
    .await;
}

#[tokio::test]
async fn a_path_that_climbs_out_of_its_route_goes_nowhere() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&through(&provider)).await;
    for below in [
        "../files/x",
        "..",
        "./x",
        "x/../../files",
        "%2e%2e/files",
        ".%2E/files",
        "x%2f..%2ffiles",
        "x%5c..%5cfiles",
        "..;v=1/files",
        "../files?a=b",
    ] {
        let target = format!("/v1/audio/{below}");
        let reply = gateway.ask(Request::post(&target, "y")).await;
        refused(reply, 400, "caller_bad_request");
    }
    assert_eq!(provider.connections().len(), 0);
    let odd = "/v1/audio/...a/b..c/%2fd%2e?e=../f";
    gateway.ask(Request::post(odd, "y")).await.expect(200);
    assert_eq!(provider.only().target, odd);
}

#[tokio::test]
async fn a_callers_credential_in_the_query_does_not_stand_before_ours() {
    let provider = Provider::well().await;
    let config = through(&provider)
        .without("api_key")
        .with("auth", "{ query: { key: \"sk-of-ours\" } }");
    let gateway = Gateway::start(&config).await;
    for (asked, sent) in [
        ("", "?key=sk-of-ours"),
        ("?", "?key=sk-of-ours"),
        ("?key=theirs", "?key=sk-of-ours"),
        ("?a=1&key=theirs&&b=%20", "?a=1&&b=%20&key=sk-of-ours"),
        ("?%6Bey=theirs&k%65y&KEY=", "?key=sk-of-ours"),
        ("?keys=1&a=key", "?keys=1&a=key&key=sk-of-ours"),
    ] {
        let target = |query| format!("/v1/audio/x{query}");
        let request = Request::post(&target(asked), "y");
        gateway.ask(request).await.expect(200);
        assert_eq!(provider.seen().pop().unwrap().target, target(sent));
    }
}

#[tokio::test]
async fn who_waits_to_be_told_to_continue_is_told() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&through(&provider)).await;
    let mut conn = Conn::open(gateway.address).await;
    for request in [ask(), ask().chunked(1)] {
        let request = request.header("expect", "100-continue");
        conn.send(&request.head_bytes()).await;
        assert_eq!(conn.try_head().await.expect("to go on").status, 100);
        conn.send(&request.body_bytes()).await;
        let last = conn.try_head().await.expect("the answer");
        conn.rest(last, "POST").await.expect(200);
    }
    for seen in provider.seen() {
        assert_eq!((seen.get("expect"), seen.text().as_str()), (None, "y"));
    }
    assert_eq!(provider.count(), 2);

    // Nobody is asked for a body that has nowhere to go.
    let gateway = Gateway::start(&audio(&Refusing::new().base())).await;
    let mut conn = Conn::open(gateway.address).await;
    let request = ask().header("expect", "100-continue");
    conn.send(&request.head_bytes()).await;
    assert_eq!(conn.try_head().await.expect("an answer").status, 502);
}

#[tokio::test]
async fn a_body_that_is_not_what_it_says_is_the_callers_fault() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&through(&provider).server("body_timeout: 500ms")).await;
    let head = ask().chunked(1).head_bytes();
    for (n, rest) in ["zz\r\n", "1\r\nyy\r\n", "1\r\ny\r\n-1\r\n"]
        .iter()
        .enumerate()
    {
        let mut conn = Conn::open(gateway.address).await;
        conn.send(&[&head[..], rest.as_bytes()].concat()).await;
        refused(conn.reply("POST").await, 400, "caller_bad_request");
        conn.closed(ms(5000)).await;
        ended(&gateway, "caller_bad_request", n as u32 + 1).await;
    }
    let long = Request::post("/v1/audio/x", vec![b'y'; 100]);
    for (n, bytes) in [
        long.bytes()[..].split_last_chunk::<1>().unwrap().0.to_vec(),
        head,
    ]
    .iter()
    .enumerate()
    {
        let mut conn = Conn::open(gateway.address).await;
        conn.send(bytes).await;
        refused(conn.reply("POST").await, 408, "caller_timeout");
        conn.closed(ms(5000)).await;
        ended(&gateway, "caller_timeout", n as u32 + 1).await;
    }
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&long.head_bytes()).await;
    until("the provider is called", ms(5000), || {
        provider.connections().len() == 6
    })
    .await;
    drop(conn);
    ended(&gateway, "caller_cancelled", 1).await;
    assert_eq!(provider.count(), 0);
}

#[tokio::test]
async fn our_own_account_refused_is_not_the_callers_matter() {
    for status in [401, 402] {
        let quoting = failure_body("wrong key: sk-one-upstream");
        let headers = [
            ("content-type", "application/json"),
            ("www-authenticate", "Bearer"),
        ];
        let provider = Provider::always(vec![Act::Write(http(status, &headers, quoting))]).await;
        let gateway = Gateway::start(&through(&provider)).await;
        let reply = gateway.ask(ask()).await;
        assert_eq!(reply.get("www-authenticate"), None);
        let trace = reply.get("x-overspill-trace").expect("a trace").to_string();
        assert!(trace.starts_with(&format!("one;{status};")), "{trace}");
        let body = refused(reply, 502, "provider_auth");
        assert!(!body.to_string().contains("wrong key"), "{body}");
        let attempt = &body["error"]["metadata"]["attempts"][0];
        assert_eq!(attempt["status"], status);
        ended(&gateway, "provider_auth", 1).await;
        attempted(&gateway, "provider_auth", 1).await;
    }
}

#[tokio::test]
async fn a_credential_quoted_in_an_error_is_struck_out() {
    let page = "<p>sk-one-upstream</p>".to_string();
    let long: String = (0..10_000)
        .map(|n| format!("{n} sk-one-upstream or sk-two-upstream "))
        .collect();
    for (text, chunks) in [
        (failure_body("not with sk-two-upstream"), None),
        (failure_body("not at all"), Some(7)),
        (page.clone(), None),
        (page, Some(7)),
        (long.clone(), None),
        (long, Some(1000)),
    ] {
        let chunked = [("transfer-encoding", "chunked"), ("content-type", "a/b")];
        let answer = match chunks {
            None => http(404, &chunked[1..], &text),
            Some(size) => {
                let mut answer = answers::head(404, &chunked);
                answer.extend(text.as_bytes().chunks(size).flat_map(chunk));
                answer.extend(chunk(b""));
                answer
            }
        };
        let provider = Provider::always(vec![Act::Write(answer)]).await;
        let config = through(&provider).provider("two", &provider.base());
        let gateway = Gateway::start(&config).await;
        let clean = text
            .replace("sk-one-upstream", "***")
            .replace("sk-two-upstream", "***");
        let mut conn = Conn::open(gateway.address).await;
        for _ in 0..2 {
            let reply = conn.ask(&ask()).await.expect(404);
            assert!(reply.text() == clean, "{}", reply.text());
            assert_eq!(reply.get("content-type"), Some("a/b"));
        }
        let head = conn.ask(&Request::new("HEAD", "/v1/audio/x")).await;
        assert_eq!((head.status, head.body.len()), (404, 0));
    }
}

#[tokio::test]
async fn every_end_has_its_reason() {
    for (status, reason) in [
        (200, "ok"),
        (404, "provider_rejected"),
        (429, "provider_rate_limited"),
        (503, "provider_error"),
    ] {
        let provider = Provider::always(vec![json_reply(status, "{}")]).await;
        let gateway = Gateway::start(&through(&provider)).await;
        let reply = gateway.ask(ask()).await.expect(status);
        let overhead = reply.get("x-overspill-overhead-us").expect("an overhead");
        let overhead: u64 = overhead.parse().unwrap();
        assert!((1..1_000_000).contains(&overhead), "{overhead}");
        ended(&gateway, reason, 1).await;
        attempted(&gateway, reason, 1).await;
        counted(&gateway, "overspill_overhead_seconds_count 1").await;
    }

    let gateway = Gateway::start(&audio(&Refusing::new().base())).await;
    let reply = gateway.ask(ask()).await;
    assert_eq!(reply.get("x-overspill-attempts"), Some("1"));
    let body = refused(reply, 502, "provider_unreachable");
    let attempt = &body["error"]["metadata"]["attempts"][0];
    assert_eq!(attempt["reason"], "provider_unreachable");
    attempted(&gateway, "provider_unreachable", 1).await;

    let gateway = Gateway::start(&audio("http://nowhere.invalid/v1")).await;
    refused(gateway.ask(ask()).await, 502, "provider_unreachable");
    attempted(&gateway, "provider_unreachable", 1).await;

    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_vec();
    let provider = Provider::always(vec![Act::Write(half), Act::Close]).await;
    let gateway = Gateway::start(&through(&provider)).await;
    assert!(gateway.ask(ask()).await.broken.is_some());
    ended(&gateway, "provider_truncated", 1).await;
}

#[tokio::test]
async fn a_word_in_between_is_no_answer() {
    let early = "HTTP/1.1 103 Early Hints\r\nset-cookie: a=b\r\nlink: </x>\r\n\r\n";
    let provider = Provider::always(vec![
        Act::Write(early.into()),
        Act::Sleep(ms(50)),
        json_reply(200, "{}"),
    ])
    .await;
    let gateway = Gateway::start(&through(&provider)).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&ask().bytes()).await;
    let mut head = conn.try_head().await.unwrap();
    while head.status < 200 {
        assert_eq!((head.get("set-cookie"), head.get("link")), (None, None));
        head = conn.try_head().await.unwrap();
    }
    let reply = conn.rest(head, "POST").await.expect(200);
    assert_eq!(reply.get("x-overspill-attempts"), Some("1"));
    attempted(&gateway, "ok", 1).await;
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_no_chunks() {
    let mut answer = answers::head(200, &[("transfer-encoding", "chunked")]);
    answer.extend([chunk(b"one "), chunk(b"two"), chunk(b"")].concat());
    let provider = Provider::always(vec![Act::Write(answer)]).await;
    let gateway = Gateway::start(&through(&provider)).await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(b"GET /v1/audio/x HTTP/1.0\r\nhost: x\r\n\r\n")
        .await;
    let said = String::from_utf8(conn.closed(ms(5000)).await).unwrap();
    let (head, body) = said.split_once("\r\n\r\n").expect("a head");
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    assert_eq!(body, "one two");
}

#[tokio::test]
async fn a_body_over_http_2_ends_once_however_it_says_so() {
    for pieces in [&["abc", ""][..], &["", "abc", "", ""], &["abc"], &[""]] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/v1", listener.local_addr().unwrap());
        let config = Config::new()
            .provider("one", &base)
            .route("audio", "{ provider: one }")
            .on_route("match", "{ path: \"/v1/audio/*\" }")
            .on_route("mode", "stream");
        let gateway = Gateway::start(&config).await;
        let stream = tokio::net::TcpStream::connect(gateway.address).await;
        let (sender, connection) = h2::client::handshake(stream.unwrap()).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::post("https://localhost/v1/audio/x").body(());
        let (_answer, mut body) = sender
            .ready()
            .await
            .unwrap()
            .send_request(request.unwrap(), false)
            .unwrap();
        for (at, piece) in pieces.iter().enumerate() {
            body.send_data((*piece).into(), at + 1 == pieces.len())
                .unwrap();
            tokio::time::sleep(ms(20)).await;
        }
        let (mut upstream, _) = listener.accept().await.unwrap();
        let mut all = Vec::new();
        let reading = tokio::io::AsyncReadExt::read_to_end(&mut upstream, &mut all);
        let _ = tokio::time::timeout(ms(300), reading).await;
        let all = String::from_utf8(all).unwrap();
        let (_, body) = all.split_once("\r\n\r\n").unwrap();
        let whole = pieces.concat();
        let expected = match whole.len() {
            0 => "0\r\n\r\n".to_owned(),
            size => format!("{size:X}\r\n{whole}\r\n0\r\n\r\n"),
        };
        assert_eq!(body, expected, "{pieces:?}");
    }
}

/// A provider of HTTP/2 whose every answer is an error, ended by trailers.
async fn failing_over_http_2() -> std::net::SocketAddr {
    let acceptor = Identity::new().acceptor(&["h2"]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut h2 = h2::server::handshake(acceptor.accept(tcp).await.unwrap())
            .await
            .unwrap();
        while let Some(Ok((_, mut respond))) = h2.accept().await {
            let head = http::Response::builder().status(500).body(()).unwrap();
            let mut out = respond.send_response(head, false).unwrap();
            out.send_data("not with sk-one-upstream".into(), false)
                .unwrap();
            out.send_trailers(http::HeaderMap::new()).unwrap();
        }
    });
    address
}

#[tokio::test]
async fn nothing_of_an_error_is_lost_when_trailers_end_it() {
    let port = failing_over_http_2().await.port();
    let config = audio(&format!("https://localhost:{port}/v1")).with("tls", "{ verify: false }");
    let gateway = Gateway::start(&config).await;
    for _ in 0..2 {
        let reply = gateway.ask(ask()).await.expect(500);
        assert_eq!(reply.text(), "not with ***");
    }
}
