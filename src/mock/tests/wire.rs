use sha2::{Digest, Sha256};

use super::*;

#[tokio::test]
async fn chunked_bodies_and_continue_are_understood() {
    let mock = mock(Behaviour::default()).await;
    let mut client = Client::new(&mock).await;
    client
        .send(b"POST /v1/chat/completions HTTP/1.1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    assert_eq!(client.reply().await.status(), 100);
    client
        .send(b"8\r\n{\"model\"\r\n1;x=y\r\n:\r\n8\r\n\"m+503\" }\r\n0\r\nT: x\r\n\r\n")
        .await;
    assert_eq!(client.reply().await.status(), 503);
    assert_eq!(
        client.chat("ok").await.status(),
        200,
        "the connection is in order"
    );
}

#[tokio::test]
async fn a_large_body_passes_and_its_model_may_stand_last() {
    let mock = mock(Behaviour::default().record(4)).await;
    let mut client = Client::new(&mock).await;
    let filler = "x".repeat(20 << 20);
    let body = format!(r#"{{"messages":"{filler}","model":"a\/b+404"}}"#);
    assert_eq!(
        client.post("/v1/chat/completions", &body).await.status(),
        404
    );
    let seen = mock.stats.seen().pop().unwrap();
    assert_eq!(seen.model, "a/b+404");
    assert_eq!(seen.length, body.len() as u64);
    let digest: String = Sha256::digest(&body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(seen.sha256, digest);
    assert_eq!(seen.body, &body.as_bytes()[..1 << 20]);
}

#[tokio::test]
async fn other_paths_are_echoed() {
    let mock = mock(Behaviour::default()).await;
    let mut client = Client::new(&mock).await;
    client
        .send(b"PUT /v1/files/7?x=1 HTTP/1.1\r\nHost: h\r\nX-Team: blue\r\nContent-Length: 3\r\n\r\nabc")
        .await;
    let said = client.reply().await.json();
    assert_eq!(
        (said["method"].as_str(), said["path"].as_str()),
        (Some("PUT"), Some("/v1/files/7?x=1"))
    );
    assert_eq!(said["headers"][1], serde_json::json!(["X-Team", "blue"]));
    assert_eq!(said["body"]["length"], 3);
    assert_eq!(
        said["body"]["sha256"],
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

#[tokio::test]
async fn an_upgrade_echoes_raw_bytes() {
    let mock = mock(Behaviour::default()).await;
    let mut client = Client::new(&mock).await;
    client
        .send(b"GET /v1/realtime?model=m HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
        .await;
    let reply = client.reply().await;
    assert_eq!(reply.status(), 101);
    assert_eq!(reply.header("upgrade"), Some("websocket"));
    client.send(&[0, 255, 7]).await;
    let mut echoed = std::mem::take(&mut client.rest);
    while echoed.len() < 8 {
        let count = client.stream.read_buf(&mut echoed).await.unwrap();
        assert!(count > 0);
    }
    assert_eq!(echoed, b"early\x00\xff\x07");
}

#[tokio::test]
async fn models_and_health_answer_and_connection_close_is_kept() {
    let mock = mock(Behaviour::named("north")).await;
    let mut client = Client::new(&mock).await;
    client.send(b"GET /v1/models HTTP/1.1\r\n\r\n").await;
    let models = client.reply().await.json();
    assert!(
        models["data"]
            .as_array()
            .unwrap()
            .iter()
            .any(|model| model["id"] == "429-ms")
    );
    client
        .send(b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(client.reply().await.json()["name"], "north");
    assert_eq!(client.reply().await.end, End::Fin);
}

#[tokio::test]
async fn a_stale_connection_is_reset_at_the_next_request() {
    let mock = mock(Behaviour::default()).await;
    let mut client = Client::new(&mock).await;
    assert_eq!(client.chat("m+stale").await.status(), 200);
    assert_eq!(client.chat("ok").await.end, End::Reset);
    assert_eq!(mock.stats.requests(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_is_counted() {
    let mock = mock(Behaviour::default()).await;
    for model in ["hang", "m+pace=1m", "m+slow-first-token=1m"] {
        let before = mock.stats.aborted();
        let mut client = Client::new(&mock).await;
        let body = format!(r#"{{"model":"{model}","stream":true}}"#);
        tokio::select! {
            reply = client.post("/v1/chat/completions", &body) => panic!("{model}: {reply:?}"),
            () = until(|| mock.stats.in_flight() == 1 && mock.stats.open() == 1) => {}
        }
        drop(client);
        until(|| mock.stats.aborted() == before + 1 && mock.stats.open() == 0).await;
    }
    let mut client = Client::new(&mock).await;
    client.send(b"GET /__mock/stats HTTP/1.1\r\n\r\n").await;
    let stats = client.reply().await.json();
    assert_eq!((&stats["aborted"], &stats["open"]), (&3.into(), &1.into()));
    assert_eq!(stats["by_model"]["hang"], 1);
    assert_eq!(stats["in_flight"], 0, "this request does not count");
}

#[tokio::test]
async fn open_requests_are_told_while_they_last() {
    let mock = mock(Behaviour::default()).await;
    let mut clients = Vec::new();
    for model in ["m+stall", "m+done-open"] {
        let mut client = Client::new(&mock).await;
        assert_eq!(client.stream(model).await.end, End::Silent);
        clients.push(client);
    }
    let mut asking = Client::new(&mock).await;
    asking.send(b"GET /__mock/stats HTTP/1.1\r\n\r\n").await;
    let stats = asking.reply().await.json();
    assert_eq!(
        (&stats["in_flight"], &stats["aborted"]),
        (&2.into(), &0.into())
    );
    drop(clients);
    until(|| mock.stats.aborted() == 2 && mock.stats.in_flight() == 0).await;
}

#[tokio::test]
async fn an_idle_connection_that_is_reset_left_nothing_behind() {
    let mock = mock(Behaviour::default()).await;
    let mut client = Client::new(&mock).await;
    assert_eq!(client.chat("ok").await.status(), 200);
    client.stream.set_zero_linger().unwrap();
    drop(client);
    until(|| mock.stats.open() == 0).await;
    assert_eq!(mock.stats.aborted(), 0);
}

#[tokio::test]
async fn a_dropped_mock_ends_its_connections() {
    let mock = mock(Behaviour::default()).await;
    let mut client = Client::new(&mock).await;
    assert_eq!(client.chat("ok").await.status(), 200);
    drop(mock);
    assert_ne!(client.reply().await.end, End::Silent);
}

#[tokio::test]
async fn ids_repeat_with_their_seed() {
    let mut ids = Vec::new();
    for seed in [7, 7, 8] {
        let mock = mock(Behaviour::default().seed(seed)).await;
        ids.push(Client::new(&mock).await.chat("ok").await.json()["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
}

async fn until(condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(10), holds).await.unwrap();
}
