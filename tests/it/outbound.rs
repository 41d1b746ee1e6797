//! The way out: through somebody's proxy, with certificates of one's own.

use crate::harness::forward::Forward;
use crate::harness::gateway::Directory;
use crate::harness::provider::Refusing;
use crate::harness::tls::Identity;
use crate::harness::*;
use std::net::SocketAddr;

fn through(proxy: SocketAddr, base: &str) -> Config {
    Config::new()
        .provider("one", base)
        .with("proxy", &format!("\"http://user:pass@{proxy}\""))
        .route("main", "{ provider: one }")
}

#[tokio::test]
async fn a_plain_target_is_reached_through_the_proxy_which_knows_its_name() {
    let provider = Provider::well().await;
    let proxy = Forward::to(provider.address).await;
    let gateway = Gateway::start(&through(proxy.address, "http://inside.invalid/v1")).await;
    for _ in 0..3 {
        gateway.chat(ASK).await.expect(200);
    }
    let asked = proxy.asked();
    assert_eq!(asked.len(), 1, "one way, kept open");
    assert_eq!(asked[0].line, "CONNECT inside.invalid:80 HTTP/1.1");
    assert_eq!(asked[0].get("host"), Some("inside.invalid:80"));
    let authorization = asked[0].get("proxy-authorization");
    assert_eq!(authorization, Some("Basic dXNlcjpwYXNz"));
    assert_eq!(asked[0].get("authorization"), None);
    let seen = provider.seen();
    assert_eq!(seen[0].all("host"), ["inside.invalid"]);
    assert_eq!(seen[0].get("proxy-authorization"), None);
}

#[tokio::test]
async fn tls_through_the_proxy_is_with_the_provider_itself() {
    let identity = Identity::new();
    let provider = Provider::tls(identity.acceptor(&["http/1.1"]), |_, s| chat_reply(s)).await;
    let proxy = Forward::to(provider.address).await;
    let directory = Directory::new();
    let ca = directory.write("ca.pem", &identity.cert_pem);
    let tls = format!("{{ ca: \"{}\" }}", ca.display());
    let config = through(proxy.address, "https://localhost:7443/v1").with("tls", &tls);
    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK).await.expect(200);
    assert_eq!(proxy.asked()[0].line, "CONNECT localhost:7443 HTTP/1.1");
    // The same certificate, but it does not speak for this name.
    let config = through(proxy.address, "https://elsewhere.invalid/v1").with("tls", &tls);
    let gateway = Gateway::start(&config).await;
    crate::refusals::refused(gateway.chat(ASK).await, 502, "provider_");
    assert_eq!(provider.count(), 1);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_a_provider_out_of_reach() {
    let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
    let proxy = Forward::refusing(refusal).await;
    let gateway = Gateway::start(&through(proxy.address, "http://inside.invalid/v1")).await;
    let reply = gateway.chat(ASK).await;
    crate::refusals::refused(reply, 502, "provider_unreachable");
    let clear = || {
        let output = gateway.output();
        output.contains("opens no way to inside.invalid:80") && output.contains("407")
    };
    until("the cause is logged", ms(5000), clear).await;
    assert!(!gateway.output().contains("dXNlcjpwYXNz"));
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_a_provider_out_of_reach() {
    let proxy = Refusing::new();
    let well = Provider::well().await;
    let config = through(proxy.address, "http://inside.invalid/v1");
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK).await;
    crate::refusals::refused(reply, 502, "provider_unreachable");
    let config = config
        .provider("two", &well.base())
        .on_route("targets", "[{ provider: one }, { provider: two, tier: 2 }]");
    let gateway = Gateway::start(&config).await;
    let reply = gateway.chat(ASK).await.expect(200);
    assert_eq!(reply.get("x-overspill-provider"), Some("two"));
}

#[tokio::test]
async fn straight_and_through_a_proxy_are_two_ways() {
    let provider = Provider::well().await;
    let proxy = Forward::to(provider.address).await;
    let config = Config::new()
        .provider("straight", &provider.base())
        .provider("around", &provider.base())
        .with("proxy", &format!("\"http://{}\"", proxy.address))
        .route("main", "{ provider: straight }, { provider: around }");
    let gateway = Gateway::start(&config).await;
    for _ in 0..6 {
        gateway.chat(ASK).await.expect(200);
    }
    let seen = provider.seen();
    let by_key = |key: &str| {
        let mut connections: Vec<usize> = seen
            .iter()
            .filter(|seen| seen.get("authorization") == Some(key))
            .map(|seen| seen.connection)
            .collect();
        connections.dedup();
        connections
    };
    let straight = by_key("Bearer sk-straight-upstream");
    let around = by_key("Bearer sk-around-upstream");
    assert_eq!((straight.len(), around.len()), (1, 1));
    assert_ne!(straight, around);
    assert_eq!(proxy.asked().len(), 1);
    assert_eq!(proxy.asked()[0].get("proxy-authorization"), None);
}

#[tokio::test]
async fn a_proxy_that_refuses_what_streams_through_is_told_likewise() {
    let proxy = Forward::refusing("HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n").await;
    let config = through(proxy.address, "http://inside.invalid/v1")
        .on_route("match", "{ path: \"/v1/audio/*\" }")
        .on_route("mode", "stream");
    let gateway = Gateway::start(&config).await;
    let request = Request::post("/v1/audio/speech", "{\"model\":\"x\"}");
    let reply = gateway.ask(request).await;
    crate::refusals::refused(reply, 502, "provider_unreachable");
}

#[tokio::test]
async fn what_streams_through_and_what_is_checked_takes_the_proxy_too() {
    let provider = Provider::well().await;
    let proxy = Forward::to(provider.address).await;
    let config = through(proxy.address, "http://inside.invalid/v1")
        .on_route("match", "{ path: \"/v1/audio/*\" }")
        .on_route("mode", "stream");
    let gateway = Gateway::start(&config).await;
    let request = Request::post("/v1/audio/speech", "{\"model\":\"x\"}");
    gateway.ask(request).await.expect(200);
    assert_eq!(proxy.asked().len(), 1);
    let health = "{ path: /health, interval: 100ms, timeout: 100ms }";
    let config = through(proxy.address, "http://inside.invalid/v1").with("health", health);
    let _gateway = Gateway::start(&config).await;
    until("it is checked", ms(10_000), || {
        provider.seen().iter().any(|seen| seen.target == "/health")
    })
    .await;
}

#[tokio::test]
async fn a_certificate_of_ours_is_shown_where_it_is_asked_for() {
    let (server, ours, stranger) = (Identity::new(), Identity::new(), Identity::new());
    let provider = Provider::tls(server.acceptor_for(&ours), |_, s| chat_reply(s)).await;
    let directory = Directory::new();
    let file = |name: &str, text: &str| directory.write(name, text).display().to_string();
    let ca = file("ca.pem", &server.cert_pem);
    let tls = |name: &str, identity: &Identity| {
        let cert = file(&format!("{name}.pem"), &identity.cert_pem);
        let key = file(&format!("{name}.key"), &identity.key_pem);
        format!("{{ ca: \"{ca}\", cert: \"{cert}\", key: \"{key}\" }}")
    };
    let base = format!("https://localhost:{}/v1", provider.address.port());
    let models = |model: &str| format!("{{ \"acme/{model}\": {{ name: {model} }} }}");
    let config = Config::new()
        .provider("ours", &base)
        .with("models", &models("ours"))
        .with("tls", &tls("ours", &ours))
        .provider("stranger", &base)
        .with("models", &models("stranger"))
        .with("tls", &tls("stranger", &stranger))
        .provider("nobody", &base)
        .with("models", &models("nobody"))
        .with("tls", &format!("{{ ca: \"{ca}\" }}"))
        .route(
            "main",
            "{ provider: ours }, { provider: stranger }, { provider: nobody }",
        );
    let gateway = Gateway::start(&config).await;
    let ask = |model: &str| format!(r#"{{"model":"acme/{model}","messages":[]}}"#);
    gateway.chat(ask("ours")).await.expect(200);
    gateway.chat(ask("ours")).await.expect(200);
    for other in ["stranger", "nobody"] {
        crate::refusals::refused(gateway.chat(ask(other)).await, 502, "provider_");
    }
    let seen = provider.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].connection, seen[1].connection);
}

#[tokio::test]
async fn only_the_given_authority_is_trusted() {
    let (server, other) = (Identity::new(), Identity::new());
    let provider = Provider::tls(server.acceptor(&["http/1.1"]), |_, s| chat_reply(s)).await;
    let directory = Directory::new();
    let base = format!("https://localhost:{}/v1", provider.address.port());
    let trusting = |name: &str, bundle: String| {
        let ca = directory.write(name, bundle).display().to_string();
        Config::new()
            .provider("one", &base)
            .with("tls", &format!("{{ ca: \"{ca}\" }}"))
            .route("main", "{ provider: one }")
    };
    let gateway = Gateway::start(&trusting("other.pem", other.cert_pem.clone())).await;
    crate::refusals::refused(gateway.chat(ASK).await, 502, "provider_");
    let both = other.cert_pem.clone() + &server.cert_pem;
    let gateway = Gateway::start(&trusting("both.pem", both)).await;
    gateway.chat(ASK).await.expect(200);
}
