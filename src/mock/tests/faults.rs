use std::io::Read;
use std::time::{Duration, Instant, SystemTime};

use super::*;

#[tokio::test]
async fn a_good_answer_looks_like_a_providers() {
    let reply = chat("deepseek/deepseek-v3.2").await;
    assert_eq!((reply.status(), reply.end), (200, End::Complete));
    let answer = reply.json();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "deepseek/deepseek-v3.2");
    assert!(answer["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert!(
        answer["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .starts_with("Water")
    );
    assert_eq!(answer["usage"]["completion_tokens"], 16);
}

#[tokio::test]
async fn refusals_have_their_status_and_shape() {
    let mock = mock(Behaviour::default()).await;
    let mut client = Client::new(&mock).await;
    let statuses = [
        ("429", 429),
        ("429-bare", 429),
        ("429-quota", 429),
        ("429-throttle", 429),
        ("429-balance", 429),
        ("500", 500),
        ("503", 503),
        ("529", 529),
        ("401", 401),
        ("402", 402),
        ("403-key", 403),
        ("403-moderation", 403),
        ("400-context", 400),
        ("400-filter", 400),
        ("400", 400),
        ("404", 404),
        ("422", 422),
        ("507", 507),
        ("bare-string", 504),
        ("bare-string-401", 401),
        ("bare-string,status=403", 403),
        ("array-error", 429),
        ("html-error", 502),
    ];
    for (word, status) in statuses {
        for model in [format!("any/model+{word}"), word.to_owned()] {
            let reply = client.chat(&model).await;
            assert_eq!(
                (reply.status(), reply.end),
                (status, End::Complete),
                "{model}"
            );
            match word {
                "html-error" => assert!(reply.text().starts_with("<html>")),
                _ if word.starts_with("bare-string") => assert!(reply.json().is_string()),
                "array-error" => assert_eq!(reply.json()[0]["error"]["code"], 429),
                _ => assert!(reply.json()["error"]["message"].is_string(), "{model}"),
            }
        }
    }
    assert_eq!(mock.stats.requests_for("any/model+429"), 1);
    assert_eq!(
        mock.stats.connections(),
        1,
        "every answer left the connection in order"
    );
}

#[tokio::test]
async fn waits_are_told_in_seconds_milliseconds_and_dates() {
    assert_eq!(chat("429").await.header("retry-after"), Some("1"));
    assert_eq!(chat("503-retry").await.header("retry-after"), Some("1"));
    assert_eq!(chat("503").await.header("retry-after"), None);
    assert_eq!(chat("429-ms").await.header("retry-after-ms"), Some("250"));
    assert_eq!(
        chat("429+retry-after=7").await.header("retry-after"),
        Some("7")
    );
    let reply = chat("429-date").await;
    let date = httpdate::parse_http_date(reply.header("retry-after").unwrap()).unwrap();
    assert!(date > SystemTime::now() - Duration::from_secs(1));
}

#[tokio::test]
async fn faults_recur_as_told() {
    let mock = mock(Behaviour::default()).await;
    let mut client = Client::new(&mock).await;
    let expected = [
        ("m+500-once", [500, 200, 200, 200]),
        ("m+500-once,id=2", [500, 200, 200, 200]),
        ("m+503,first=2", [503, 503, 200, 200]),
        ("m+503,every=3", [503, 200, 200, 503]),
    ];
    for (model, statuses) in expected {
        for status in statuses {
            assert_eq!(client.chat(model).await.status(), status, "{model}");
        }
    }
}

#[tokio::test]
async fn two_vendors_have_errors_of_their_own_shape() {
    let busy = chat("503-busy").await;
    assert_eq!((busy.status(), &busy.json()["code"]), (503, &50505.into()));
    let object = chat("object-error").await;
    assert_eq!(object.status(), 400);
    assert_eq!(object.json()["object"], "error");
}

#[tokio::test]
async fn a_provider_is_down_for_a_while() {
    let mock = mock(Behaviour::default()).await;
    let mut client = Client::new(&mock).await;
    let models = [
        ("m+down=300ms", 503, 200),
        ("m+500,from=0s,for=300ms", 500, 200),
        ("m+429,from=300ms", 200, 429),
        ("m+429,from=300ms,for=1m", 200, 429),
    ];
    for (model, now, _) in models {
        assert_eq!(client.chat(model).await.status(), now, "{model}");
    }
    tokio::time::sleep(Duration::from_millis(320)).await;
    for (model, _, later) in models {
        assert_eq!(client.chat(model).await.status(), later, "{model}");
        assert_eq!(mock.stats.requests_for(model), 2);
    }
}

#[tokio::test]
async fn connections_end_as_told() {
    for (word, end) in [
        ("reset", End::Reset),
        ("close", End::Fin),
        ("hang", End::Silent),
    ] {
        for reply in [chat(word).await, stream(word).await] {
            assert_eq!((reply.head.as_str(), reply.end), ("", end), "{word}");
        }
    }
    for reply in [
        chat("reset-after-headers").await,
        stream("reset-after-headers").await,
    ] {
        assert_eq!((reply.status(), reply.end), (200, End::Reset));
        assert!(reply.body.is_empty());
    }
}

#[tokio::test]
async fn a_body_is_cut_or_stalls() {
    for (word, end) in [
        ("cut", End::Fin),
        ("cut-body", End::Fin),
        ("cut-reset", End::Reset),
    ] {
        let reply = chat(word).await;
        let length: usize = reply.header("content-length").unwrap().parse().unwrap();
        assert_eq!(reply.end, end, "{word}");
        assert!(
            !reply.body.is_empty() && reply.body.len() < length,
            "{word}"
        );
    }
    let reply = chat("stall").await;
    assert_eq!((reply.status(), reply.end), (200, End::Silent));
    assert_eq!(chat("stall=20ms").await.json()["object"], "chat.completion");
    let reply = chat("malformed").await;
    assert_eq!(reply.end, End::Complete);
    assert!(serde_json::from_slice::<Value>(&reply.body).is_err());
}

#[tokio::test]
async fn errors_hide_under_200() {
    let reply = chat("error-200").await;
    assert_eq!(reply.status(), 200);
    assert!(reply.json()["error"]["message"].is_string());
    let reply = chat("base-resp+code=1004").await;
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.json()["base_resp"]["status_code"], 1004);
    let reply = chat("empty").await;
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "");
    assert_eq!(reply.json()["usage"]["completion_tokens"], 0);
    let reply = chat("nothing").await;
    assert_eq!(
        (reply.status(), reply.body.len(), reply.end),
        (200, 0, End::Complete)
    );
}

#[tokio::test]
async fn bodies_come_in_odd_shapes() {
    let reply = chat("big").await;
    assert_eq!(
        reply.json()["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .len(),
        2 << 20
    );
    let reply = chat("comments").await;
    assert!(reply.text().starts_with("\n\n\n{"));
    assert_eq!(reply.json()["object"], "chat.completion");
    let reply = chat("gzip").await;
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    let mut plain = String::new();
    flate2::read::GzDecoder::new(reply.body.as_slice())
        .read_to_string(&mut plain)
        .unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&plain).unwrap()["object"],
        "chat.completion"
    );
    assert_eq!(chat("split").await.json()["object"], "chat.completion");
}

#[tokio::test]
async fn reasoning_and_tools_are_there_with_their_escapes() {
    let reply = chat("m+reasoning+tools").await;
    assert!(
        reply
            .text()
            .contains(r"\u4e2d\u6587, a\/b and \ud83d\ude00")
    );
    let answer = reply.json();
    let call = &answer["choices"][0]["message"]["tool_calls"][0]["function"];
    assert_eq!(call["name"], "get_weather");
    assert_eq!(call["arguments"], r#"{"city": "Paris"}"#);
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn a_leak_quotes_the_credential() {
    let reply = chat("leak").await;
    assert_eq!(reply.status(), 400);
    assert!(reply.text().contains("Bearer sk-secret"));
}

#[tokio::test]
async fn headers_and_bodies_are_slow_as_told() {
    for word in [
        "m+delay=150ms",
        "m+slow-headers=150ms",
        "m+slow-first-token=150ms",
    ] {
        let began = Instant::now();
        assert_eq!(chat(word).await.status(), 200);
        assert!(began.elapsed() >= Duration::from_millis(150), "{word}");
    }
}

#[tokio::test]
async fn a_slip_in_a_model_name_is_told() {
    let reply = chat("m+rest").await;
    assert_eq!(reply.status(), 400);
    assert!(reply.text().contains("unknown word") && reply.text().contains("reset-after-headers"));
}

#[tokio::test]
async fn completions_and_embeddings_answer_too() {
    let mock = mock(Behaviour::default()).await;
    let mut client = Client::new(&mock).await;
    let reply = client
        .post("/deep/prefix/completions", r#"{"model":"m","prompt":"x"}"#)
        .await;
    assert_eq!(reply.json()["object"], "text_completion");
    let body = r#"{"model":"m","input":["a","b","c"]}"#;
    let reply = client.post("/v1/embeddings", body).await;
    assert_eq!(reply.json()["data"].as_array().unwrap().len(), 3);
    assert_eq!(
        client
            .post("/embeddings", r#"{"model":"503"}"#)
            .await
            .status(),
        503
    );
}

#[tokio::test]
async fn a_provider_has_habits_of_its_own() {
    let flaky = mock(Behaviour::flaky("flaky").pace(Duration::ZERO)).await;
    let mut client = Client::new(&flaky).await;
    for status in [503, 200, 503, 200] {
        assert_eq!(client.chat("any").await.status(), status);
    }
    let slow = mock(Behaviour::slow("slow").pace(Duration::ZERO)).await;
    let began = Instant::now();
    assert_eq!(
        Client::new(&slow)
            .await
            .stream("any")
            .await
            .content()
            .chars()
            .next(),
        Some('W')
    );
    assert!(began.elapsed() >= Duration::from_millis(800));
    let strict = mock(Behaviour::default().by_model(false).fault("429").unwrap()).await;
    assert_eq!(Client::new(&strict).await.chat("ok").await.status(), 429);
    assert!(Behaviour::default().fault("nonsense").is_err());
}
