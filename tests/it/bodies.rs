//! Bodies of every size and framing.

use crate::harness::answers::failure;
use crate::harness::*;
use std::io::Write;

fn body_of(size: usize) -> Vec<u8> {
    let head = r#"{"model":"acme/chat","messages":[{"role":"user","content":""#;
    let tail = r#""}]}"#;
    let mut body = head.as_bytes().to_vec();
    // Not one letter over and over, so that a lost or a doubled piece shows.
    let filler = (0u64..).flat_map(|n| format!("{:x}.", n.wrapping_mul(0x9e37_79b9)).into_bytes());
    body.extend(filler.take(size - head.len() - tail.len()));
    body.extend_from_slice(tail.as_bytes());
    body
}

fn under(body: &[u8], model: &str) -> Vec<u8> {
    let head = br#"{"model":""#;
    let mut out = head.to_vec();
    out.extend_from_slice(model.as_bytes());
    out.extend_from_slice(&body[head.len() + "acme/chat".len()..]);
    out
}

/// Sends it where the first provider is down; every attempt must get the whole of it.
async fn survives_a_failover(size: usize, chunks: Option<usize>) {
    let one = Provider::always(vec![failure(503, "down")]).await;
    let two = Provider::well().await;
    let gateway = Gateway::start(&Config::spill(&one, &two)).await;
    let mut request = Request::chat(body_of(size));
    request.chunks = chunks;
    let reply = gateway.ask(request).await.expect(200);
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "hello");

    let attempts = one.seen();
    assert_eq!(
        attempts.len(),
        2,
        "once, and once more before the next tier"
    );
    for (seen, model) in attempts
        .iter()
        .map(|s| (s, "one-chat"))
        .chain([(&two.only(), "two-chat")])
    {
        let expected = under(&body_of(size), model);
        assert_eq!(seen.length, expected.len() as u64);
        assert!(
            seen.body == expected,
            "{size}: the body at {model} is not the client's"
        );
        assert_eq!(
            seen.get("content-length"),
            Some(expected.len().to_string().as_str())
        );
        assert_eq!(seen.all("transfer-encoding"), Vec::<&str>::new());
    }
}

#[tokio::test]
async fn sizes_around_64_kib_survive_a_failover() {
    for size in [1000, 65_535, 65_536, 65_537] {
        survives_a_failover(size, None).await;
        survives_a_failover(size, Some(4096)).await;
    }
}

#[tokio::test]
async fn twenty_mebibytes_survive_a_failover() {
    survives_a_failover(20 << 20, None).await;
}

#[tokio::test]
async fn twenty_mebibytes_in_chunks_survive_a_failover() {
    survives_a_failover(20 << 20, Some(100_000)).await;
}

#[tokio::test]
async fn a_provider_that_answers_before_it_reads_is_left_for_the_next() {
    let hasty = Provider::hasty(vec![failure(503, "busy"), Act::Reset]).await;
    let two = Provider::well().await;
    let gateway = Gateway::start(&Config::spill(&hasty, &two)).await;
    let reply = gateway.chat(body_of(20 << 20)).await.expect(200);
    assert_eq!(reply.get("x-overspill-provider"), Some("two"));
    assert!(two.only().body == under(&body_of(20 << 20), "two-chat"));
}

#[tokio::test]
async fn chunks_of_one_byte_extensions_and_trailers_are_understood() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let expected = ASK.replace("acme/chat", "one-chat");
    gateway.ask(Request::chat(ASK).chunked(1)).await.expect(200);
    assert_eq!(provider.seen()[0].text(), expected);

    let request = Request::chat(ASK).chunked(7);
    let mut raw = request.head_bytes();
    for piece in ASK.as_bytes().chunks(7) {
        raw.extend(format!("{:04X};name=\"v\"\r\n", piece.len()).bytes());
        raw.extend(piece);
        raw.extend(b"\r\n");
    }
    raw.extend(b"0\r\nx-trailer: 1\r\n\r\n");
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&raw).await;
    conn.reply("POST").await.expect(200);
    let seen = provider.seen().remove(1);
    assert_eq!(seen.text(), expected);
    assert_eq!(seen.get("x-trailer"), None);
}

#[tokio::test]
async fn a_body_that_comes_in_small_packets_is_waited_for() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let mut conn = Conn::open(gateway.address).await;
    for byte in Request::chat(ASK).bytes().chunks(3) {
        conn.send(byte).await;
        tokio::task::yield_now().await;
    }
    conn.reply("POST").await.expect(200);
    assert_eq!(provider.only().text(), ASK.replace("acme/chat", "one-chat"));
}

#[tokio::test]
async fn a_client_that_expects_100_is_told_to_continue() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    for request in [Request::chat(ASK), Request::chat(ASK).chunked(10)] {
        let request = request.header("Expect", "100-continue");
        let mut conn = Conn::open(gateway.address).await;
        conn.send(&request.head_bytes()).await;
        let interim = conn.try_head().await.expect("an interim answer");
        assert_eq!(interim.status, 100);
        conn.send(&request.body_bytes()).await;
        let last = conn.try_head().await.expect("the answer");
        assert_eq!(last.status, 200);
        conn.rest(last, "POST").await.expect(200);
    }
    for seen in provider.seen() {
        assert_eq!(seen.get("expect"), None);
        assert_eq!(seen.text(), ASK.replace("acme/chat", "one-chat"));
    }
}

#[tokio::test]
async fn a_refusal_comes_instead_of_100() {
    let provider = Provider::well().await;
    let config = Config::one(&provider)
        .server("max_body: 1KiB")
        .top("keys: [{ name: a, secret: sk-client-a }]");
    let gateway = Gateway::start(&config).await;
    let asked = Request::chat(vec![b' '; 1025]).header("expect", "100-continue");
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&asked.head_bytes()).await;
    assert_eq!(conn.try_head().await.unwrap().status, 401);

    let mut conn = Conn::open(gateway.address).await;
    conn.send(&asked.key("sk-client-a").head_bytes()).await;
    assert_eq!(conn.try_head().await.unwrap().status, 413);
    assert_eq!(provider.connections().len(), 0);
}

#[tokio::test]
async fn compressed_bodies_are_inflated() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let plain = body_of(300_000);
    for (coding, bytes) in [
        ("gzip", gzip(&plain)),
        ("GZIP", gzip(&plain)),
        ("x-gzip", gzip(&plain)),
        ("zstd", zstd::encode_all(&plain[..], 1).unwrap()),
        ("br", brotli_of(&plain)),
        ("identity", plain.clone()),
    ] {
        for chunks in [None, Some(1000)] {
            let mut request = Request::chat(bytes.clone()).header("content-encoding", coding);
            request.chunks = chunks;
            let before = provider.count();
            gateway.ask(request).await.expect(200);
            let seen = provider.seen().remove(before);
            assert!(
                seen.body == under(&plain, "one-chat"),
                "{coding} {chunks:?}"
            );
            assert_eq!(seen.get("content-encoding"), None);
            assert_eq!(
                seen.get("content-length"),
                Some(seen.body.len().to_string().as_str())
            );
        }
    }
    // Two gzip members after each other are one body.
    let (first, second) = plain.split_at(100);
    let members = [gzip(first), gzip(second)].concat();
    let before = provider.count();
    gateway
        .ask(Request::chat(members).header("content-encoding", "gzip"))
        .await
        .expect(200);
    assert!(provider.seen()[before].body == under(&plain, "one-chat"));
}

pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

pub fn brotli_of(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    brotli::CompressorWriter::new(&mut out, 4096, 3, 20)
        .write_all(plain)
        .unwrap();
    out
}
