//! What a key may use, and at what price.

use crate::harness::*;

async fn listed() -> (Provider, Gateway) {
    let provider = Provider::well().await;
    let models = "{ \"acme/chat\": { name: secret-name-1, price: { input: 0.27, output: 0.42 }, context: 131072 }, \
                   \"acme/dear\": { name: secret-name-2, price: { input: 15, output: 75.5, currency: CNY, date: 2026-07-02 } }, \
                   \"acme/alias\": { name: secret-name-3, served_as: acme/chat } }";
    let config = Config::new()
        .provider("one", &provider.base())
        .with("models", models)
        .provider("two", &provider.base())
        .with("models", "{ \"other/unrouted\": { name: secret-name-4 } }")
        .route("main", "{ provider: one }")
        .top("keys:")
        .top("  - { name: all, secret: sk-client-all }")
        .top("  - { name: some, secret: sk-client-some, models: [acme/chat] }");
    (provider, Gateway::start(&config).await)
}

fn has_number(value: &Value, number: f64) -> bool {
    match value {
        Value::Number(n) => n.as_f64() == Some(number),
        Value::String(s) => s.parse::<f64>() == Ok(number),
        Value::Array(items) => items.iter().any(|item| has_number(item, number)),
        Value::Object(fields) => fields.values().any(|field| has_number(field, number)),
        _ => false,
    }
}

#[tokio::test]
async fn the_list_shows_canonical_ids_with_their_prices() {
    let (provider, gateway) = listed().await;
    let reply = gateway
        .ask(Request::get("/v1/models").key("sk-client-all"))
        .await
        .expect(200);
    assert!(
        reply
            .get("content-type")
            .unwrap()
            .starts_with("application/json")
    );
    assert!(!reply.text().contains("secret-name"), "{}", reply.text());
    let body = reply.json();
    assert_eq!(body["object"], "list");
    let models = body["data"].as_array().unwrap();
    let mut ids: Vec<_> = models.iter().map(|m| m["id"].as_str().unwrap()).collect();
    ids.sort();
    assert_eq!(ids, ["acme/alias", "acme/chat", "acme/dear"]);
    let find = |id: &str| models.iter().find(|m| m["id"] == id).unwrap();
    for model in models {
        assert_eq!(model["object"], "model");
        assert!(
            model["created"].is_number() && model["owned_by"].is_string(),
            "{model}"
        );
    }
    let chat = find("acme/chat");
    assert!(has_number(chat, 0.27) && has_number(chat, 0.42) && has_number(chat, 131_072.0));
    assert!(chat.to_string().contains("USD"), "{chat}");
    let dear = find("acme/dear");
    assert!(has_number(dear, 15.0) && has_number(dear, 75.5), "{dear}");
    assert!(
        dear.to_string().contains("CNY") && dear.to_string().contains("2026-07-02"),
        "{dear}"
    );
    assert_eq!(find("acme/alias")["served_as"], "acme/chat");
    assert_eq!(provider.connections().len(), 0);
}

#[tokio::test]
async fn a_key_sees_what_it_may_use() {
    let (_provider, gateway) = listed().await;
    let get = |path: &str, key: &str| gateway.ask(Request::get(path).key(key));
    let list = get("/v1/models", "sk-client-some").await.expect(200).json();
    let ids: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["id"].clone())
        .collect();
    assert_eq!(ids, ["acme/chat"]);
    get("/v1/models/acme/chat", "sk-client-some")
        .await
        .expect(200);
    get("/v1/models/acme/dear", "sk-client-all")
        .await
        .expect(200);
    let hidden = get("/v1/models/acme/dear", "sk-client-some").await;
    assert!([403, 404].contains(&hidden.status), "{}", hidden.status);
}

#[tokio::test]
async fn one_model_is_found_by_its_id_plain_or_encoded() {
    let (_provider, gateway) = listed().await;
    let get = |path: &str| gateway.ask(Request::get(path).key("sk-client-all"));
    for path in [
        "/v1/models/acme/chat",
        "/v1/models/acme%2Fchat",
        "/v1/models/acme%2fchat",
    ] {
        let reply = get(path).await.expect(200);
        assert_eq!(reply.json()["id"], "acme/chat", "{path}");
    }
    for path in [
        "/v1/models/acme",
        "/v1/models/secret-name-1",
        "/v1/models/",
        "/v1/models/%ff%00",
    ] {
        let reply = get(path).await;
        crate::refusals::refused(reply, 404, "caller_");
    }
    let missing = get("/v1/models/acme/none").await;
    let body = crate::refusals::refused(missing, 404, "caller_unknown_model");
    assert_eq!(body["error"]["code"], "model_not_found");
}
