//! Requests that are not worth an upstream: what the client is told, and that nobody else hears.

use crate::harness::*;

/// The shape every refusal has.
pub fn refused(reply: Reply, status: u16, reason: &str) -> Value {
    let reply = reply.expect(status);
    let kind = reply.get("content-type").expect("a content type");
    assert!(kind.starts_with("application/json"), "{kind}");
    let body = reply.json();
    let error = &body["error"];
    assert!(
        error["message"].as_str().is_some_and(|m| m.len() >= 10),
        "{body}"
    );
    assert!(error["type"].is_string(), "{body}");
    for field in ["param", "code"] {
        let value = error
            .get(field)
            .unwrap_or_else(|| panic!("no {field}: {body}"));
        assert!(value.is_null() || value.is_string(), "{body}");
    }
    let told = error["metadata"]["reason"].as_str().expect("a reason");
    assert!(told.starts_with(reason), "{told} is not {reason}");
    let id = error["metadata"]["request_id"]
        .as_str()
        .expect("a request id");
    assert!(!id.is_empty());
    assert_eq!(reply.get("x-request-id"), Some(id));
    body
}

async fn all_refused(bodies: Vec<Vec<u8>>) {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    for body in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        for chunks in [None, Some(4096)] {
            let mut request = Request::chat(body.clone());
            request.chunks = chunks;
            let start = Instant::now();
            let reply = gateway.ask(request).await;
            assert_eq!(reply.status, 400, "{shown:?}: {}", reply.text());
            assert!(
                start.elapsed() < ms(2000),
                "{shown:?} took {:?}",
                start.elapsed()
            );
            refused(reply, 400, "caller_");
        }
    }
    assert_eq!(provider.connections().len(), 0);
    gateway.chat(ASK).await.expect(200);
}

#[tokio::test]
async fn a_model_that_is_no_name_is_refused() {
    let bodies = [
        r#"{"messages":[]}"#,
        r#"{}"#,
        r#"{"model":1}"#,
        r#"{"model":null}"#,
        r#"{"model":true}"#,
        r#"{"model":""}"#,
        r#"{"model":{}}"#,
        r#"{"model":{"model":"acme/chat"}}"#,
        r#"{"model":["acme/chat"]}"#,
        r#"{"Model":"acme/chat"}"#,
    ];
    all_refused(bodies.iter().map(|b| b.as_bytes().to_vec()).collect()).await;
}

#[tokio::test]
async fn a_body_that_is_not_one_json_object_is_refused() {
    let mut bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "null",
        "\"acme/chat\"",
        "[]",
        r#"[{"model":"acme/chat"}]"#,
        r#"{"model":"acme/chat""#,
        r#"{"model":"acme/chat","messages":[{"role":"user"}"#,
        r#"{"model":"acme/chat","messages":["#,
        r#"{"model":"acme/chat","x":"abc"#,
        r#"{"model":"acme/chat","x":"abc\"#,
        r#"{"model":"acme/chat"} x"#,
        r#"{"model":"acme/chat"}{"model":"acme/chat"}"#,
        r#"{"model":"acme/chat"}]"#,
        r#"{"model":"acme/chat","a":[}"#,
        r#"{"model":"acme/chat","a":{]}"#,
        "model=acme/chat",
        "{",
        "\"",
        "\u{feff}[]",
    ]
    .iter()
    .map(|b| b.as_bytes().to_vec())
    .collect();
    bodies.push(b"{\"model\":\"acme/chat\"}\0".to_vec());
    // Cut after every byte: never taken for a whole one.
    bodies.extend((1..ASK.len()).map(|end| ASK.as_bytes()[..end].to_vec()));
    all_refused(bodies).await;
}

#[tokio::test]
async fn what_is_not_utf8_is_refused() {
    let broken: [&[u8]; 7] = [
        b"\xff",
        b"\xc3",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf5\x80\x80\x80",
        b"\x80",
        b"abc\xe4\xb8",
    ];
    let mut bodies = Vec::new();
    for bytes in broken {
        bodies.push([br#"{"model":"acme/chat","user":""#, bytes, br#""}"#].concat());
        bodies.push([br#"{"model":"acme/chat"#, bytes, br#""}"#].concat());
        bodies.push([br#"{""#, bytes, br#"":1,"model":"acme/chat"}"#].concat());
    }
    // Utf-16, as some shells write it.
    bodies.push(ASK.encode_utf16().flat_map(u16::to_le_bytes).collect());
    all_refused(bodies).await;
}

#[tokio::test]
async fn ten_thousand_levels_are_refused_and_a_hundred_pass() {
    let nested = |depth: usize, open: &str, close: &str| {
        let (open, close) = (open.repeat(depth), close.repeat(depth));
        format!(r#"{{"model":"acme/chat","x":{open}1{close}}}"#).into_bytes()
    };
    let unclosed = format!(r#"{{"model":"acme/chat","x":{}"#, "[".repeat(1_000_000));
    all_refused(vec![
        nested(10_000, "[", "]"),
        nested(10_000, "{\"a\":", "}"),
        nested(10_000, "[{\"a\":", "}]"),
        unclosed.into_bytes(),
    ])
    .await;

    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    gateway.chat(nested(100, "[", "]")).await.expect(200);
}

#[tokio::test]
async fn a_model_nobody_serves_is_not_found() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    for model in [
        "acme/none",
        "other",
        "one-chat",
        "ACME/CHAT",
        "acme/chat ",
        "\\u0000",
        "*",
    ] {
        let reply = gateway
            .chat(format!(r#"{{"model":"{model}","messages":[]}}"#))
            .await;
        let body = refused(reply, 404, "caller_unknown_model");
        assert_eq!(body["error"]["code"], "model_not_found", "{model:.20}");
        assert!(
            body.to_string().len() < 4096,
            "the answer repeats a long name"
        );
    }
    // A name this long is nobody's.
    let long = "x".repeat(100_000);
    let reply = gateway.chat(format!(r#"{{"model":"{long}"}}"#)).await;
    let body = refused(reply, 400, "caller_bad_model");
    assert!(body.to_string().len() < 4096, "it is repeated");
    assert_eq!(provider.connections().len(), 0);
}

#[tokio::test]
async fn wrong_methods_are_told_the_right_one() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let reply = gateway
            .ask(Request::new(method, "/v1/chat/completions"))
            .await;
        let allowed = reply.get("allow").unwrap_or_default().to_string();
        refused(reply, 405, "caller_");
        assert!(allowed.contains("POST"), "{method}: allow {allowed:?}");
    }
    let reply = gateway.ask(Request::post("/v1/models", ASK)).await;
    assert!(reply.get("allow").unwrap_or_default().contains("GET"));
    refused(reply, 405, "caller_");
    assert_eq!(provider.connections().len(), 0);
}

#[tokio::test]
async fn unknown_paths_are_not_found() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    for path in [
        "/",
        "/v1",
        "/v2/chat/completions",
        "/v1/chat/completions/",
        "/v1/chat/completions/x",
        "/v1//chat/completions",
        "/V1/CHAT/COMPLETIONS",
        "/v1/chat/../chat/completions",
        "/metrics",
        "/health/ready",
        "/%2e%2e/%2e%2e/etc/passwd",
    ] {
        refused(gateway.ask(Request::post(path, ASK)).await, 404, "caller_");
        refused(gateway.get(path).await, 404, "caller_");
    }
    assert_eq!(provider.connections().len(), 0);
}

#[tokio::test]
async fn only_json_is_taken_for_json() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    for kind in [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/xml",
        "json",
    ] {
        let reply = gateway
            .ask(Request::chat(ASK).only("content-type", kind))
            .await;
        assert!(
            [400, 415].contains(&reply.status),
            "{kind:?}: {}",
            reply.status
        );
        let status = reply.status;
        refused(reply, status, "caller_");
    }
    assert_eq!(provider.connections().len(), 0);
    for kind in [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/json;x=y",
    ] {
        gateway
            .ask(Request::chat(ASK).only("content-type", kind))
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn a_refusal_leaves_the_connection_usable_or_says_that_it_closes() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    for bad in [
        Request::chat("{}"),
        Request::chat("[").chunked(1),
        Request::chat(r#"{"model":"nobody"}"#),
        Request::post("/v1/nowhere", ASK),
        Request::new("PUT", "/v1/chat/completions"),
        Request::chat(ASK).only("content-type", "text/plain"),
    ] {
        let mut conn = Conn::open(gateway.address).await;
        let reply = conn.ask(&bad).await;
        assert!((400..500).contains(&reply.status));
        if reply
            .get("connection")
            .is_some_and(|v| v.eq_ignore_ascii_case("close"))
        {
            conn.closed(ms(5000)).await;
        } else {
            conn.ask(&Request::chat(ASK)).await.expect(200);
        }
    }
}

/// Random mutations of a good request: each is answered, none ends the process.
#[tokio::test]
async fn mangled_bodies_are_always_answered() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider)).await;
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let pieces = [
        "\"", "{", "}", "[", "]", ",", ":", "\\", "\\u", "\0", "model", "é", "1e", "-",
    ];
    for _ in 0..400 {
        let mut body = ASK.as_bytes().to_vec();
        for _ in 0..=random(3) {
            let at = random(body.len());
            match random(3) {
                0 => drop(body.remove(at)),
                1 => body[at] = random(256) as u8,
                _ => {
                    let piece = pieces[random(pieces.len())].bytes();
                    body.splice(at..at, piece);
                }
            }
        }
        let reply = gateway.chat(body.clone()).await;
        assert!(
            [200, 400, 404].contains(&reply.status),
            "{}: {:?}",
            reply.status,
            String::from_utf8_lossy(&body)
        );
        reply.json();
    }
    // What passed names the provider's model, and nothing else where a strict reader looks.
    for seen in provider.seen() {
        let shown = String::from_utf8_lossy(&seen.body);
        assert!(shown.contains("\"one-chat\""), "{shown:?}");
        assert!(
            ["one-chat", ""].contains(&seen.model().as_str()),
            "{shown:?}"
        );
    }
}
