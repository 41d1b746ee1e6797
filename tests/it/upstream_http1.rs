//! HTTP/1.1 to providers, as bytes: every way to frame an answer, to break one and to answer early,
//! and what becomes of the connection.

mod broken;
mod early;
mod framed;
mod idle;
mod stale;

use crate::harness::wire::{Framing, Wire};
use crate::harness::*;
use std::sync::Arc;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

/// As short as an answer to a chat can be.
const SAID: &str = r#"{"choices":[{"message":{"content":"hello"}}]}"#;

/// A gateway with a model for each of these providers, each asked once and no more.
async fn serving(providers: &[Arc<Provider>]) -> Gateway {
    let mut config = Config::new();
    let mut targets = Vec::new();
    for (number, provider) in providers.iter().enumerate() {
        config = config
            .provider(&format!("p{number}"), &provider.base())
            .with("models", &format!("{{ \"acme/{number}\": {{ name: m }} }}"));
        targets.push(format!("{{ provider: p{number} }}"));
    }
    let config = config
        .route("main", &targets.join(", "))
        .on_route("retry", "{ for: [], attempts: 1 }");
    Gateway::start(&config).await
}

/// A question to the provider with this number.
fn ask(number: usize) -> Request {
    Request::chat(ASK.replace("acme/chat", &format!("acme/{number}")))
}

fn ask_stream(number: usize) -> Request {
    Request::chat(ASK_STREAM.replace("acme/chat", &format!("acme/{number}")))
}

/// The answer in two writes, cut at another place each time, up to `cuts`.
fn cut(wire: &str, cuts: usize, number: usize) -> Vec<Act> {
    let (first, second) = wire.as_bytes().split_at(number % cuts);
    let mut acts = vec![Act::Write(second.to_vec())];
    if !first.is_empty() {
        acts = vec![Act::Write(first.to_vec()), Act::Sleep(ms(1))];
        acts.push(Act::Write(second.to_vec()));
    }
    acts
}

/// All of them at once; the first that fails fails the test.
async fn all<T: Send + 'static>(
    work: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) {
    let mut set: JoinSet<T> = work.into_iter().collect();
    while let Some(done) = set.join_next().await {
        if let Err(error) = done {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// A provider whose connections a test serves by hand. It takes in little that is not read.
async fn by_hand<F, Served>(serve: F) -> String
where
    F: Fn(Wire) -> Served + Send + 'static,
    Served: Future<Output = ()> + Send + 'static,
{
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1024).unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            tokio::spawn(serve(Wire::new(stream)));
        }
    });
    base
}

/// Reads a request to its end: how long its body was. None: the gateway has left.
async fn read_request(wire: &mut Wire) -> Option<u64> {
    let head = wire.head().await.ok()??;
    let mut framing = wire::framing(&wire::parse_head(&head).1, Framing::None);
    let mut length = 0;
    while let Some(piece) = wire.piece(&mut framing).await.ok()? {
        length += piece.len() as u64;
    }
    Some(length)
}

/// A question of so many bytes.
fn long(size: usize) -> String {
    ASK.replace("hi", &"x".repeat(size))
}
