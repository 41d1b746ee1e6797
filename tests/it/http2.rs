//! Clients that speak HTTP/2: over TLS, and in the clear with prior knowledge.

use crate::harness::answers::{DONE, event, finish, last, part, sse_head};
use crate::harness::h2_client::H2Conn;
use crate::harness::tls::Identity;
use crate::harness::wire::Wire;
use crate::harness::*;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

pub struct Tls {
    pub gateway: Gateway,
    pub identity: Identity,
    _files: gateway::Directory,
}

impl Tls {
    pub async fn start(config: Config) -> Tls {
        let identity = Identity::new();
        let files = gateway::Directory::new();
        let cert = files.write("cert.pem", &identity.cert_pem);
        let key = files.write("key.pem", &identity.key_pem);
        let (cert, key) = (cert.display(), key.display());
        let listen = format!("{{ address: ADDRESS, tls: {{ cert: {cert}, key: {key} }} }}");
        let gateway = Gateway::start(&config.listen(&listen)).await;
        Tls {
            gateway,
            identity,
            _files: files,
        }
    }

    async fn h2(&self) -> H2Conn {
        let (stream, agreed) = self
            .identity
            .connect(self.gateway.address, &["h2", "http/1.1"])
            .await;
        assert_eq!(agreed.as_deref(), Some("h2"));
        H2Conn::open(stream).await
    }
}

async fn in_the_clear(gateway: &Gateway) -> H2Conn {
    H2Conn::open(TcpStream::connect(gateway.address).await.unwrap()).await
}

#[tokio::test]
async fn over_tls_answers_refusals_and_models_come_as_over_http_1() {
    let provider = Provider::well().await;
    let config = Config::one(&provider).top("keys: [{ name: a, secret: sk-client-a }]");
    let tls = Tls::start(config).await;
    let mut conn = tls.h2().await;
    let mut reply = conn.ask(&Request::chat(ASK).key("sk-client-a")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["x-overspill-provider"], "one");
    let body: Value = serde_json::from_str(&reply.text().await).unwrap();
    assert_eq!(body["model"], "acme/chat");
    assert_eq!(provider.only().text(), ASK.replace("acme/chat", "one-chat"));
    assert_eq!(provider.only().all("host"), [provider.address.to_string()]);

    let mut reply = conn.ask(&Request::chat(vec![b'x'; 3_000_000])).await;
    assert_eq!(reply.status, 401);
    assert!(reply.text().await.contains("policy_key"));
    let reply = conn.ask(&Request::chat("{").key("sk-client-a")).await;
    assert_eq!(reply.status, 400);
    let mut reply = conn
        .ask(&Request::get("/v1/models").key("sk-client-a"))
        .await;
    assert_eq!(reply.status, 200);
    assert!(reply.text().await.contains("acme/chat"));
    assert_eq!(provider.count(), 1);
}

#[tokio::test]
async fn over_tls_http_1_is_still_spoken() {
    let provider = Provider::well().await;
    let tls = Tls::start(Config::one(&provider)).await;
    for offered in [&[][..], &["http/1.1"]] {
        let (stream, agreed) = tls.identity.connect(tls.gateway.address, offered).await;
        assert_ne!(agreed.as_deref(), Some("h2"));
        let mut conn = Conn {
            wire: Wire::new(stream),
        };
        conn.ask(&Request::chat(ASK)).await.expect(200);
        conn.ask(&Request::chat(ASK)).await.expect(200);
    }
}

#[tokio::test]
async fn prior_knowledge_works_on_the_plain_port_beside_http_1() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let mut conn = in_the_clear(&gateway).await;
    for _ in 0..3 {
        let mut reply = conn.ask(&Request::chat(ASK)).await;
        assert_eq!(reply.status, 200);
        assert!(reply.text().await.contains("acme/chat"));
    }
    gateway.chat(ASK).await.expect(200);
    assert_eq!(provider.count(), 4);
}

/// A way to the gateway on which what comes first comes byte by byte.
async fn hesitating(gateway: &Gateway, bytes: usize) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (way, target) = (listener.local_addr().unwrap(), gateway.address);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = TcpStream::connect(target).await.unwrap();
            far.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                for _ in 0..bytes {
                    let byte = near.read_u8().await.unwrap();
                    far.write_all(&[byte]).await.unwrap();
                    tokio::time::sleep(ms(3)).await;
                }
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    way
}

#[tokio::test]
async fn whoever_speaks_in_single_bytes_is_understood() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    for bytes in [1, 3, 23, 24, 40] {
        let way = hesitating(&gateway, bytes).await;
        let mut conn = H2Conn::to(way).await;
        assert_eq!(conn.ask(&Request::chat(ASK)).await.status, 200);
        let mut conn = Conn::open(way).await;
        for _ in 0..2 {
            conn.ask(&Request::chat(ASK)).await.expect(200);
        }
        // A method that begins like the other protocol.
        let mut conn = Conn::open(way).await;
        conn.ask(&Request::new("PRINT", "/v1/models"))
            .await
            .expect(405);
    }
}

#[tokio::test]
async fn large_bodies_come_whole_and_fast() {
    let provider = Provider::well().await;
    let tls = Tls::start(Config::one(&provider)).await;
    let body = ASK.replace("hi", &"0123456789abcdef".repeat(1 << 20));
    for mut conn in [tls.h2().await, tls.h2().await] {
        let start = Instant::now();
        assert_eq!(conn.ask(&Request::chat(body.clone())).await.status, 200);
        assert!(
            start.elapsed() < ms(15_000),
            "16 MiB took {:?}",
            start.elapsed()
        );
        let seen = provider.seen().pop().unwrap();
        assert!(seen.body == body.replace("acme/chat", "one-chat").as_bytes());
        assert_eq!(
            seen.get("content-length"),
            Some(seen.body.len().to_string().as_str())
        );
    }
}

#[tokio::test]
async fn too_large_is_413_here_too() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider).server("max_body: 64KiB")).await;
    let mut conn = in_the_clear(&gateway).await;
    let large = ASK.replace("hi", &"x".repeat(2 << 20));
    assert_eq!(conn.ask(&Request::chat(large)).await.status, 413);
    assert_eq!(conn.ask(&Request::chat(ASK)).await.status, 200);
    assert_eq!(provider.count(), 1);
}

#[tokio::test]
async fn a_stream_comes_event_by_event() {
    let gate = Arc::new(Semaphore::new(0));
    let mut acts = vec![sse_head()];
    for n in 0..10 {
        acts.push(part(event("one-chat", &format!("word{n}."))));
        acts.push(Act::Gate(gate.clone()));
    }
    acts.extend([part(finish("one-chat")), part(DONE), last()]);
    let provider = Provider::always(acts).await;
    let tls = Tls::start(Config::one(&provider)).await;
    let mut conn = tls.h2().await;
    let mut reply = conn.ask(&Request::chat(ASK_STREAM)).await;
    assert_eq!(reply.status, 200);
    for n in 0..10 {
        let word = format!("word{n}.");
        assert_eq!(reply.until(&word).await, event("acme/chat", &word));
        gate.add_permits(1);
    }
    assert_eq!(
        reply.text().await,
        [finish("acme/chat"), DONE.to_string()].concat()
    );
}

#[tokio::test]
async fn many_requests_share_one_connection() {
    let provider = Provider::start(|_, seen| {
        let mut acts = vec![Act::Sleep(ms(100))];
        acts.extend(chat_reply(seen));
        acts
    })
    .await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let conn = Arc::new(tokio::sync::Mutex::new(in_the_clear(&gateway).await));
    let start = Instant::now();
    let mut replies = Vec::new();
    for _ in 0..20 {
        // Begun one after the other, waited for together.
        let (conn, request) = (conn.clone(), Request::chat(ASK));
        replies.push(tokio::spawn(async move {
            let pending = conn.lock().await.begin(&request).await;
            pending.await.status
        }));
    }
    for reply in replies {
        assert_eq!(reply.await.unwrap(), 200);
    }
    assert!(
        start.elapsed() < ms(1800),
        "one after the other: {:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_cancelled_request_is_cancelled_upstream_and_the_others_go_on() {
    let acts = vec![sse_head(), part(event("one-chat", "first")), Act::Hang];
    let provider = Provider::always(acts).await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let mut conn = in_the_clear(&gateway).await;
    let mut reply = conn.ask(&Request::chat(ASK_STREAM)).await;
    reply.until("first").await;
    drop(reply);
    until("the provider is hung up on", ms(1000), || {
        provider.all_closed()
    })
    .await;
    assert_eq!(conn.ask(&Request::get("/health")).await.status, 200);
}

#[tokio::test]
async fn a_broken_stream_does_not_end_well() {
    let acts = vec![sse_head(), part(event("one-chat", "first")), Act::Reset];
    let provider = Provider::always(acts).await;
    let config = Config::one(&provider).on_route("retry", "{ for: [] }");
    let gateway = Gateway::start(&config).await;
    let mut reply = in_the_clear(&gateway)
        .await
        .ask(&Request::chat(ASK_STREAM))
        .await;
    let mut seen = String::new();
    let reset = loop {
        match reply.piece().await {
            Some(Ok(piece)) => seen.push_str(&String::from_utf8_lossy(&piece)),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(!seen.contains("[DONE]"), "{seen}");
    assert!(
        reset || reply.status >= 500 || seen.contains("\"error\""),
        "{seen}"
    );
}
