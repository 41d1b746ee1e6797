//! The client's side of HTTP/2.

use super::client::Request;
use super::{ms, within};
use bytes::Bytes;
use h2::client::SendRequest;
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};

pub struct H2Conn {
    sender: SendRequest<Bytes>,
}

/// An answer of which the body is still to be read.
pub struct H2Reply {
    pub status: u16,
    pub headers: HeaderMap,
    body: h2::RecvStream,
}

impl H2Conn {
    /// Speaks HTTP/2 at once, as a client with prior knowledge does.
    pub async fn open(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> H2Conn {
        let (sender, connection) =
            within("the h2 handshake", ms(10_000), h2::client::handshake(io))
                .await
                .unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        H2Conn { sender }
    }

    /// In the clear, to a gateway.
    pub async fn to(address: std::net::SocketAddr) -> H2Conn {
        H2Conn::open(tokio::net::TcpStream::connect(address).await.unwrap()).await
    }

    pub async fn ask(&mut self, request: &Request) -> H2Reply {
        self.begin(request).await.await
    }

    /// Sends the request; its answer is waited for by what this gives back.
    pub async fn begin(&mut self, request: &Request) -> impl Future<Output = H2Reply> + use<> {
        let mut builder = http::Request::builder()
            .method(request.method.as_str())
            .uri(format!("https://localhost{}", request.target));
        for (name, value) in request.headers.iter().filter(|(name, _)| name != "host") {
            builder = builder.header(name, value);
        }
        let mut sender = self.sender.clone().ready().await.unwrap();
        let empty = request.body.is_empty();
        let (response, mut body) = sender
            .send_request(builder.body(()).unwrap(), empty)
            .unwrap();
        let bytes = Bytes::from(request.body.clone());
        // Beside the answer: it may come before all of the body is gone.
        tokio::spawn(async move {
            if !empty {
                send_body(&mut body, bytes).await;
            }
        });
        async move {
            let response = within("an h2 answer", ms(60_000), response).await;
            let (parts, body) = response.expect("an h2 answer").into_parts();
            H2Reply {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body,
            }
        }
    }
}

/// Sends as the window allows; a peer that has heard enough ends it.
pub async fn send_body(stream: &mut h2::SendStream<Bytes>, mut left: Bytes) {
    while !left.is_empty() {
        stream.reserve_capacity(left.len());
        let granted = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
        let Some(Ok(size)) = granted else { return };
        let piece = left.split_to(size.min(left.len()));
        if stream.send_data(piece, left.is_empty()).is_err() {
            return;
        }
    }
}

impl H2Reply {
    /// The next piece of the body; `None` at its end.
    pub async fn piece(&mut self) -> Option<Result<Bytes, h2::Error>> {
        let piece = within("an h2 body", ms(60_000), self.body.data()).await?;
        if let Ok(piece) = &piece {
            self.body
                .flow_control()
                .release_capacity(piece.len())
                .unwrap();
        }
        Some(piece)
    }

    pub async fn text(&mut self) -> String {
        let mut body = Vec::new();
        while let Some(piece) = self.piece().await {
            body.extend_from_slice(&piece.expect("a body that ends well"));
        }
        String::from_utf8(body).unwrap()
    }

    /// Reads on until what was read contains `text`.
    pub async fn until(&mut self, text: &str) -> String {
        let mut seen = String::new();
        while !seen.contains(text) {
            match self.piece().await {
                Some(Ok(piece)) => seen.push_str(&String::from_utf8_lossy(&piece)),
                end => panic!("the body ended ({end:?}) before {text:?}: {seen:?}"),
            }
        }
        seen
    }
}
