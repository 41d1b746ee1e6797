//! Says back what it was sent, so that a test sees what a passthrough did to it.

use std::io;

use super::answer::send_json;
use super::connection::Next;
use super::request::{Body, Head};
use super::wire::Wire;

/// Method, path, headers and the body's length and digest, as JSON.
pub async fn request(wire: &mut Wire, head: &Head, body: &mut Body) -> io::Result<Next> {
    let said = serde_json::json!({
        "method": head.method(),
        "path": head.target,
        "headers": head.headers(),
        "body": { "length": body.length, "sha256": body.sha256() },
    });
    send_json(wire, &said).await
}

/// Goes over to whatever protocol was asked for, and echoes its bytes.
pub async fn upgrade(wire: &mut Wire, head: &Head) -> io::Result<Next> {
    let protocol = head.upgrade.as_deref().unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
    );
    wire.send(answer.as_bytes()).await?;
    loop {
        let bytes = wire.arrived().to_vec();
        wire.consume(bytes.len());
        wire.send(&bytes).await?;
        if wire.fill().await? == 0 {
            return Ok(Next::Close);
        }
    }
}
