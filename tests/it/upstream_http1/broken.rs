//! Answers that break off, lie about their end, or are none.

use super::*;
use crate::harness::answers::{event, part, sse_head};
use crate::harness::streaming::ended_for;

const OK: &str = "HTTP/1.1 200 OK\r\n";
const TE: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// What comes, whether the provider closes after it, and the reason that the caller is told.
fn cases() -> Vec<(String, bool, &'static str)> {
    let head = |lines: &str| format!("{OK}{lines}\r\n{SAID}");
    let bad = "provider_bad_response";
    let mut cases: Vec<(String, bool, &str)> = [
        // Two ends, or none that can be known.
        head("Content-Length: 45\r\nContent-Length: 44\r\n"),
        head("Content-Length: 45, 44\r\n"),
        head("Content-Length: -1\r\n"),
        head("Content-Length: +45\r\n"),
        head("Content-Length: 0x2d\r\n"),
        head("Content-Length: 45 45\r\n"),
        head("Content-Length:\r\n"),
        head("Content-Length: 4\r\n 5\r\n"),
        head("Content-Length: 18446744073709551616\r\n"),
        head("Transfer-Encoding: gzip, chunked\r\n"),
        head("Transfer-Encoding: chunked, chunked\r\n"),
        head("Transfer-Encoding: chunked, identity\r\n"),
        head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        head("Transfer-Encoding: xchunked\r\nContent-Length: 45\r\n"),
        // No answer at all.
        "SSH-2.0-OpenSSH_9.9\r\n".to_owned(),
        "HTTP/2 200\r\n\r\n".to_owned(),
        "HTTP/1.1 20x OK\r\n\r\n".to_owned(),
        "HTTP/1.1 099 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n".to_owned(),
        "{\"choices\":[]}".to_owned(),
        format!("x{OK}Content-Length: 45\r\n\r\n{SAID}"),
        head("no colon here\r\n"),
        head("X-A: b\0c\r\n"),
        head("X(A): b\r\n"),
        head(&"X: y\r\n".repeat(257)),
        format!("{OK}X: {}", "y".repeat(300 << 10)),
    ]
    .into_iter()
    .map(|wire| (wire, false, bad))
    .collect();
    // Closed where the answer has not ended, or goes on as it may not.
    for wire in ["", "HTTP/1.1", "HTTP/1.1 200 OK\r\nContent-Length: 45\r\n"] {
        cases.push((wire.to_owned(), true, "provider_reset"));
    }
    cases.push((
        "HTTP/1.1 100 Continue\r\n\r\n".to_owned(),
        true,
        "provider_reset",
    ));
    let cut = head("Content-Length: 46\r\n");
    cases.push((cut, true, "provider_truncated"));
    for body in [
        "",
        "2",
        "2d\r",
        "2d\r\n",
        "2d\r\n{\"choices\"",
        "2d\r\nSAID",
        "2d\r\nSAID\r",
        "2d\r\nSAID\r\n",
        "2d\r\nSAID\r\n0",
        "2d\r\nSAID\r\n0\r\n",
        "2d\r\nSAID\r\n0\r\nX: y\r\n",
    ] {
        let wire = format!("{TE}{}", body.replace("SAID", SAID));
        cases.push((wire, true, "provider_truncated"));
    }
    for body in [
        "\r\n",
        "zz\r\n",
        "-2d\r\nSAID\r\n0\r\n\r\n",
        "0x2d\r\nSAID\r\n0\r\n\r\n",
        "2d 2d\r\nSAID\r\n0\r\n\r\n",
        "2d\nSAID\r\n0\r\n\r\n",
        "2d;x\nSAID\r\n0\r\n\r\n",
        "2d\rSAID\r\n0\r\n\r\n",
        "2c\r\nSAID\r\n0\r\n\r\n",
        "2d\r\nSAID\n0\r\n\r\n",
        "2d\r\nSAID0\r\n\r\n",
        "2d\r\nSAID\r\n\r\n0\r\n\r\n",
        "2d\r\nSAID\r\n0\n\n",
        "2d\r\nSAID\r\n0\r\n\n",
        "2d\r\nSAID\r\n0\r\nX: y\n\n",
        "10000000000000001\r\nSAID\r\n0\r\n\r\n",
    ] {
        let wire = format!("{TE}{}", body.replace("SAID", SAID));
        cases.push((wire, false, "provider_truncated"));
    }
    let endless = "x".repeat(80 << 10);
    for body in [
        format!("2d;{endless}"),
        format!("2d\r\n{SAID}\r\n0\r\n{endless}"),
    ] {
        cases.push((format!("{TE}{body}"), false, "provider_truncated"));
    }
    cases
}

#[tokio::test]
async fn what_is_no_answer_is_named_and_its_connection_not_used_again() {
    let cases = cases();
    let mut providers = Vec::new();
    for (wire, closes, _) in &cases {
        let end = if *closes { Act::Close } else { Act::Hang };
        let acts = vec![Act::Write(wire.clone().into()), end];
        providers.push(Arc::new(Provider::always(acts).await));
    }
    let gateway = serving(&providers).await;
    let address = gateway.address;
    let asking = cases.into_iter().zip(providers).enumerate();
    all(
        asking.map(|(number, ((wire, _, reason), provider))| async move {
            let shown: String = wire.chars().take(200).collect();
            for turn in 1..=2 {
                let reply = within(&shown, ms(8000), ask(number).to(address)).await;
                assert_eq!(reply.status, 502, "{shown:?}: {}", reply.text());
                let error = &reply.json()["error"]["metadata"];
                assert_eq!(error["reason"], reason, "{shown:?}: {error}");
                assert_eq!(provider.connections().len(), turn, "{shown:?}");
            }
            until(&shown, ms(2000), || provider.all_closed()).await;
        }),
    )
    .await;
}

#[tokio::test]
async fn a_stream_with_such_an_end_is_no_whole_stream() {
    let ends = [
        "zz\r\n",
        "5\r\nabcdef\r\n",
        "5\r\nab",
        "3\nabc\r\n",
        "0\r\n\n",
        "fffffffffffffffff\r\n",
    ];
    let mut providers = Vec::new();
    for end in ends {
        let acts = vec![
            sse_head(),
            part(event("m", "hello")),
            Act::Write(end.into()),
            Act::Sleep(ms(50)),
            Act::Close,
        ];
        providers.push(Arc::new(Provider::always(acts).await));
    }
    let gateway = serving(&providers).await;
    for (number, provider) in providers.iter().enumerate() {
        let reply = gateway.ask(ask_stream(number)).await.expect(200);
        ended_for(&reply, "provider_truncated");
        assert!(reply.text().contains("hello"));
        assert_eq!(provider.connections().len(), 1, "{:?}", ends[number]);
    }
}

#[tokio::test]
async fn a_stream_cut_anywhere_is_never_called_whole() {
    let text = [event("m", "one"), event("m", "two")].concat();
    let wire = format!(
        "{OK}Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{text}\r\n",
        text.len()
    );
    let cuts = wire.len();
    let provider = Provider::start({
        let wire = wire.clone();
        move |number, _| {
            let start = wire.as_bytes()[..number % cuts].to_vec();
            vec![Act::Write(start), Act::Close]
        }
    });
    let provider = Arc::new(provider.await);
    let gateway = serving(&[Arc::clone(&provider)]).await;
    let mut conn = Conn::open(gateway.address).await;
    for turn in 0..cuts {
        let reply = conn.ask(&ask_stream(0)).await;
        match reply.status {
            200 => {
                let said = Said::of(&reply);
                let error = said.error.unwrap_or_default();
                let reason = &error["metadata"]["reason"];
                assert_eq!(reason, "provider_truncated", "{turn}: {}", reply.text());
                assert_eq!((said.done, said.finishes.len()), (0, 0));
            }
            502 => assert!(!reply.text().contains("[DONE]"), "{turn}: {}", reply.text()),
            other => panic!("{other} at {turn}: {}", reply.text()),
        }
    }
    assert_eq!(provider.count(), cuts, "each was asked once");
}
