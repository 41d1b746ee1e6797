//! Providers behind TLS.

use crate::harness::h2_provider::H2Provider;
use crate::harness::tls::Identity;
use crate::harness::*;
use std::net::SocketAddr;

fn behind_tls(host: &str, address: SocketAddr, verify: bool) -> Config {
    let base = format!("https://{host}:{}/v1", address.port());
    let config = Config::new().provider("one", &base);
    let config = if verify {
        config
    } else {
        config.with("tls", "{ verify: false }")
    };
    config.route("main", "{ provider: one }")
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_refused() {
    let provider = Provider::tls(Identity::new().acceptor(&["http/1.1"]), |_, s| {
        chat_reply(s)
    })
    .await;
    for host in ["localhost", "127.0.0.1"] {
        let gateway = Gateway::start(&behind_tls(host, provider.address, true)).await;
        crate::refusals::refused(gateway.chat(ASK).await, 502, "provider_");
    }
    assert!(!provider.connections().is_empty());
    assert_eq!(provider.count(), 0, "a request went to somebody unknown");
}

#[tokio::test]
async fn unless_verification_is_switched_off_in_so_many_words() {
    let provider = Provider::tls(Identity::new().acceptor(&["http/1.1"]), |_, s| {
        chat_reply(s)
    })
    .await;
    for host in ["localhost", "127.0.0.1"] {
        let gateway = Gateway::start(&behind_tls(host, provider.address, false)).await;
        gateway.chat(ASK).await.expect(200);
        gateway.chat(ASK).await.expect(200);
        let output = gateway.output().to_lowercase();
        assert!(output.contains("verif"), "no warning: {output}");
    }
    let host = format!("127.0.0.1:{}", provider.address.port());
    assert_eq!(provider.seen().pop().unwrap().all("host"), [host]);
    assert_eq!(provider.connections().len(), 2, "the connection is kept");
}

#[tokio::test]
async fn one_provider_verified_and_one_not_do_not_share_connections() {
    let provider = Provider::tls(Identity::new().acceptor(&["http/1.1"]), |_, s| {
        chat_reply(s)
    })
    .await;
    let base = format!("https://localhost:{}/v1", provider.address.port());
    let config = Config::new()
        .provider("lax", &base)
        .with("tls", "{ verify: false }")
        .with("models", "{ \"acme/lax\": { name: lax } }")
        .provider("strict", &base)
        .with("models", "{ \"acme/strict\": { name: strict } }")
        .route("main", "{ provider: lax }, { provider: strict }");
    let gateway = Gateway::start(&config).await;
    gateway
        .chat(r#"{"model":"acme/lax","messages":[]}"#)
        .await
        .expect(200);
    let strict = gateway
        .chat(r#"{"model":"acme/strict","messages":[]}"#)
        .await;
    crate::refusals::refused(strict, 502, "provider_");
    assert_eq!(provider.only().model(), "lax");
}

#[tokio::test]
async fn several_that_speak_http_2_keep_their_connections_beside_each_other() {
    let mut providers = Vec::new();
    let mut config = Config::new();
    for name in ["one", "two", "three"] {
        let provider = H2Provider::start(Identity::new().acceptor(&["h2"])).await;
        let base = format!("https://localhost:{}/v1", provider.address.port());
        config = config
            .provider(name, &base)
            .with("tls", "{ verify: false }");
        providers.push(provider);
    }
    let targets = "{ provider: one }, { provider: two }, { provider: three }";
    let gateway = Gateway::start(&config.route("main", targets)).await;
    for _ in 0..9 {
        gateway.chat(ASK).await.expect(200);
    }
    for provider in &providers {
        let seen = provider.seen();
        assert_eq!(seen.len(), 3);
        assert!(seen.iter().all(|seen| seen.connection == 0));
    }
}

#[tokio::test]
async fn http_2_is_spoken_where_the_provider_offers_it() {
    let provider = H2Provider::start(Identity::new().acceptor(&["h2", "http/1.1"])).await;
    let gateway = Gateway::start(&behind_tls("localhost", provider.address, false)).await;
    let reply = gateway.chat(ASK).await.expect(200);
    assert_eq!(reply.json()["model"], "acme/chat");
    let reply = gateway.chat(ASK_STREAM).await.expect(200);
    assert!(reply.text().ends_with(answers::DONE), "{}", reply.text());
    let large = ASK.replace("hi", &"0123456789".repeat(300_000));
    gateway.chat(large.clone()).await.expect(200);
    let seen = provider.seen();
    assert_eq!(
        seen[0].body,
        ASK.replace("acme/chat", "one-chat").as_bytes()
    );
    assert!(seen[2].body == large.replace("acme/chat", "one-chat").as_bytes());
    for seen in &seen {
        assert_eq!(seen.connection, 0, "one connection for all");
        let authority = format!("localhost:{}", provider.address.port());
        assert_eq!(seen.parts.uri.authority().unwrap().as_str(), authority);
        assert_eq!(seen.parts.uri.path(), "/v1/chat/completions");
        assert_eq!(
            seen.parts.headers["authorization"],
            "Bearer sk-one-upstream"
        );
        for name in ["host", "connection", "transfer-encoding"] {
            let value = seen.parts.headers.get(name);
            assert!(
                value.is_none_or(|v| name == "host" && *v == authority),
                "{name}: {value:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_a_failed_attempt() {
    let plain = Provider::well().await;
    let gateway = Gateway::start(
        &behind_tls("localhost", plain.address, false).on_route("timeouts", "{ connect: 2s }"),
    )
    .await;
    let start = Instant::now();
    let reply = gateway.chat(ASK).await;
    assert!(start.elapsed() < ms(20_000), "{:?}", start.elapsed());
    assert!([502, 504].contains(&reply.status), "{}", reply.status);
}
