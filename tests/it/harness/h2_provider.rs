//! A provider that speaks HTTP/2 over TLS.

use super::answers::{DONE, chat, event, finish};
use super::h2_client::send_body;
use super::tls::Acceptor;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

#[derive(Clone, Debug)]
pub struct H2Seen {
    pub connection: usize,
    pub parts: http::request::Parts,
    pub body: Vec<u8>,
}

/// Answers every chat well, as a stream when the body asks for one.
pub struct H2Provider {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<H2Seen>>>,
    task: JoinHandle<()>,
}

impl H2Provider {
    pub async fn start(acceptor: Acceptor) -> H2Provider {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let task = tokio::spawn(async move {
            let mut number = 0;
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, log, connection) = (acceptor.clone(), log.clone(), number);
                number += 1;
                tokio::spawn(async move {
                    let Ok(tls) = acceptor.accept(tcp).await else {
                        return;
                    };
                    let Ok(mut h2) = h2::server::handshake(tls).await else {
                        return;
                    };
                    while let Some(Ok((request, respond))) = h2.accept().await {
                        tokio::spawn(answer(connection, request, respond, log.clone()));
                    }
                });
            }
        });
        H2Provider {
            address,
            seen,
            task,
        }
    }

    pub fn seen(&self) -> Vec<H2Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for H2Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    connection: usize,
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    log: Arc<Mutex<Vec<H2Seen>>>,
) {
    let (parts, mut stream) = request.into_parts();
    let mut body = Vec::new();
    while let Some(Ok(piece)) = stream.data().await {
        let _ = stream.flow_control().release_capacity(piece.len());
        body.extend_from_slice(&piece);
    }
    let asked: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    log.lock().unwrap().push(H2Seen {
        connection,
        parts,
        body,
    });
    let model = asked["model"].as_str().unwrap_or_default();
    let (kind, text) = if asked["stream"] == true {
        (
            "text/event-stream",
            [&event(model, "hello"), &finish(model), DONE].concat(),
        )
    } else {
        ("application/json", chat(model, "hello"))
    };
    let head = http::Response::builder()
        .status(200)
        .header("content-type", kind)
        .body(())
        .unwrap();
    if let Ok(mut out) = respond.send_response(head, false) {
        send_body(&mut out, Bytes::from(text)).await;
    }
}
