//! Bodies that are too large, whatever they claim to be.

use crate::bodies::{brotli_of, gzip};
use crate::harness::*;
use crate::refusals::refused;
use std::io::{Read, Write};

const LIMIT: usize = 64 * 1024;

fn sized(size: usize) -> Vec<u8> {
    let head = r#"{"model":"acme/chat","user":""#;
    let fill = "a".repeat(size - head.len() - 2);
    format!("{head}{fill}\"}}").into_bytes()
}

async fn limited() -> (Provider, Gateway) {
    let provider = Provider::well().await;
    let config = Config::one(&provider).server("max_body: 64KiB");
    let gateway = Gateway::start(&config).await;
    (provider, gateway)
}

#[tokio::test]
async fn exactly_the_limit_passes_and_one_byte_more_does_not() {
    let (provider, gateway) = limited().await;
    for chunks in [None, Some(1000), Some(LIMIT + 1)] {
        let mut exact = Request::chat(sized(LIMIT));
        exact.chunks = chunks;
        gateway.ask(exact).await.expect(200);
        let mut over = Request::chat(sized(LIMIT + 1));
        over.chunks = chunks;
        refused(gateway.ask(over).await, 413, "caller_too_large");
    }
    for coding in ["gzip", "zstd", "br"] {
        let exact = Request::chat(packed(coding, &sized(LIMIT))).header("content-encoding", coding);
        gateway.ask(exact).await.expect(200);
        let over = packed(coding, &sized(LIMIT + 1));
        let over = Request::chat(over).header("content-encoding", coding);
        refused(gateway.ask(over).await, 413, "caller_too_large");
    }
    assert_eq!(provider.count(), 6);
}

fn packed(coding: &str, plain: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => gzip(plain),
        "zstd" => zstd::encode_all(plain, 1).unwrap(),
        _ => brotli_of(plain),
    }
}

#[tokio::test]
async fn a_length_over_the_limit_is_refused_before_the_body_comes() {
    let (provider, gateway) = limited().await;
    for length in ["65537", "4294967296", "18446744073709551615"] {
        let mut conn = Conn::open(gateway.address).await;
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n"
        );
        conn.send(head.as_bytes()).await;
        refused(conn.reply("POST").await, 413, "caller_too_large");
    }
    assert_eq!(provider.connections().len(), 0);
}

/// A client that sends everything before it reads gets the answer, not a reset.
#[tokio::test]
async fn a_client_that_sends_it_all_first_still_reads_the_413() {
    let (provider, gateway) = limited().await;
    let body = sized(20 << 20);
    refused(gateway.chat(body.clone()).await, 413, "caller_too_large");
    let chunked = Request::chat(body).chunked(50_000);
    refused(gateway.ask(chunked).await, 413, "caller_too_large");
    assert_eq!(provider.connections().len(), 0);
}

/// A body that never ends is not drained for ever.
#[tokio::test]
async fn an_endless_body_is_cut_off() {
    let (provider, gateway) = limited().await;
    let mut conn = Conn::open(gateway.address).await;
    conn.send(&Request::chat("").chunked(1).head_bytes()).await;
    let piece = crate::harness::wire::chunk(&vec![b' '; 1 << 20]);
    let start = Instant::now();
    // 4 GiB at most; a gateway that gives up ends this early by its close.
    for _ in 0..4096 {
        let sent = tokio::time::timeout(ms(20_000), conn.wire.send(&piece)).await;
        if !matches!(sent, Ok(Ok(()))) || start.elapsed() > ms(40_000) {
            break;
        }
    }
    assert!(
        start.elapsed() < ms(40_000),
        "still reading after {:?}",
        start.elapsed()
    );
    conn.closed(ms(10_000)).await;
    assert!(
        gateway.peak_memory() < 64 << 20,
        "{} bytes",
        gateway.peak_memory()
    );
    assert_eq!(provider.connections().len(), 0);
}

#[tokio::test]
async fn bombs_are_refused_in_bounded_memory() {
    let provider = Provider::well().await;
    let config = Config::one(&provider).server("max_body: 4MiB");
    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK).await.expect(200);
    let before = gateway.peak_memory();
    for coding in ["gzip", "zstd", "br"] {
        let bomb = bomb(coding, 300 << 20);
        assert!(bomb.len() < 4 << 20, "{coding}: {} bytes", bomb.len());
        let request = Request::chat(bomb).header("content-encoding", coding);
        let start = Instant::now();
        refused(gateway.ask(request).await, 413, "caller_too_large");
        assert!(
            start.elapsed() < ms(10_000),
            "{coding}: {:?}",
            start.elapsed()
        );
        let grown = gateway.peak_memory() - before;
        assert!(grown < 40 << 20, "{coding}: {grown} bytes more");
    }
    assert_eq!(provider.count(), 1);
}

/// A good request of `size` bytes, most of it one letter, packed.
fn bomb(coding: &str, size: u64) -> Vec<u8> {
    let head = &br#"{"model":"acme/chat","user":""#[..];
    let mut plain = head
        .chain(std::io::repeat(b'a').take(size))
        .chain(&b"\"}"[..]);
    let mut out = Vec::new();
    match coding {
        "gzip" => {
            let level = flate2::Compression::fast();
            let mut encoder = flate2::write::GzEncoder::new(&mut out, level);
            std::io::copy(&mut plain, &mut encoder).unwrap();
            encoder.finish().unwrap();
        }
        "zstd" => zstd::stream::copy_encode(plain, &mut out, 1).unwrap(),
        _ => {
            let mut encoder = brotli::CompressorWriter::new(&mut out, 65_536, 1, 22);
            std::io::copy(&mut plain, &mut encoder).unwrap();
            encoder.flush().unwrap();
        }
    }
    out
}

#[tokio::test]
async fn codings_that_are_unknown_or_lie_are_refused() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    for coding in ["lzw", "compress", "gzip2", "*"] {
        let request = Request::chat(ASK).header("content-encoding", coding);
        refused(gateway.ask(request).await, 415, "caller_unsupported_media");
    }
    for coding in ["gzip", "zstd", "br"] {
        let whole = packed(coding, ASK.as_bytes());
        let mut spoiled = whole.clone();
        spoiled[whole.len() / 2] ^= 0xff;
        let trailing = [&whole[..], b"garbage"].concat();
        let cut = whole[..whole.len() - 5].to_vec();
        for body in [ASK.as_bytes().to_vec(), cut, spoiled, trailing, Vec::new()] {
            let reply = gateway
                .ask(Request::chat(body).header("content-encoding", coding))
                .await;
            // A flipped bit may go unseen where the coding carries no checksum.
            if reply.status != 200 && reply.status != 404 {
                refused(reply, 400, "caller_");
            }
        }
    }
    // Coded twice: understood, or refused; never passed on as it is.
    let before = provider.count();
    let twice = gzip(&gzip(ASK.as_bytes()));
    let reply = gateway
        .ask(Request::chat(twice).header("content-encoding", "gzip, gzip"))
        .await;
    match reply.status {
        200 => assert_eq!(provider.seen()[before].model(), "one-chat"),
        _ => drop(refused(reply, 415, "caller_")),
    }
}
