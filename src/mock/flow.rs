//! A chunked body, event by event: each goes out in a write of its own.

use std::io::{self, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::plan::Plan;
use super::wire::Wire;

pub struct Flow<'w> {
    pub wire: &'w mut Wire,
    gzip: Option<GzEncoder<Vec<u8>>>,
    newline: &'static [u8],
    field: &'static [u8],
    multi_line: bool,
    split_utf8: bool,
    frame: Vec<u8>,
}

impl<'w> Flow<'w> {
    /// Sends the header block.
    pub async fn begin(
        wire: &'w mut Wire,
        content_type: &str,
        plan: &Plan,
    ) -> io::Result<Flow<'w>> {
        let encoding = if plan.gzip {
            "Content-Encoding: gzip\r\n"
        } else {
            ""
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nCache-Control: no-cache\r\n\
             {encoding}Transfer-Encoding: chunked\r\n\r\n"
        );
        wire.send(head.as_bytes()).await?;
        let gzip = plan
            .gzip
            .then(|| GzEncoder::new(Vec::new(), Compression::fast()));
        Ok(Flow {
            wire,
            gzip,
            newline: plan.newline.as_bytes(),
            field: plan.field.as_bytes(),
            multi_line: plan.multi_line,
            split_utf8: plan.split_utf8,
            frame: Vec::with_capacity(512),
        })
    }

    /// One event with this payload, in one chunk.
    pub async fn data(&mut self, payload: &[u8]) -> io::Result<()> {
        let (field, newline) = (self.field, self.newline);
        if !self.multi_line {
            return self.chunk(&[field, payload, newline, newline]).await;
        }
        let mut parts = Vec::new();
        for line in lines(payload) {
            parts.extend([field, line, newline]);
        }
        parts.push(newline);
        self.chunk(&parts).await
    }

    /// The beginning of an event that never ends.
    pub async fn half(&mut self, payload: &[u8]) -> io::Result<()> {
        self.chunk(&[self.field, payload]).await
    }

    pub async fn comment(&mut self, text: &str) -> io::Result<()> {
        let newline = self.newline;
        self.chunk(&[b": ", text.as_bytes(), newline, newline])
            .await
    }

    /// These bytes and no more, in one chunk.
    pub async fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.chunk(&[bytes]).await
    }

    /// The body's proper end.
    pub async fn finish(mut self) -> io::Result<()> {
        self.frame.clear();
        if let Some(gzip) = self.gzip.take() {
            let rest = gzip.finish()?;
            write!(self.frame, "{:x}\r\n", rest.len())?;
            self.frame.extend_from_slice(&rest);
            self.frame.extend_from_slice(b"\r\n");
        }
        self.frame.extend_from_slice(b"0\r\n\r\n");
        self.wire.send(&self.frame).await
    }

    async fn chunk(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        if self.split_utf8 {
            let whole = parts.concat();
            // After the first byte of the first character that has more than one.
            if let Some(at) = whole.iter().position(|byte| !byte.is_ascii()) {
                let (before, after) = whole.split_at(at + 1);
                self.frame(&[before]).await?;
                // So that the two halves do not arrive as one.
                self.wire.wait(Duration::from_millis(2)).await?;
                return self.frame(&[after]).await;
            }
        }
        self.frame(parts).await
    }

    async fn frame(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        self.frame.clear();
        match &mut self.gzip {
            None => {
                let length: usize = parts.iter().map(|part| part.len()).sum();
                write!(self.frame, "{length:x}\r\n")?;
                for part in parts {
                    self.frame.extend_from_slice(part);
                }
            }
            Some(gzip) => {
                for part in parts {
                    gzip.write_all(part)?;
                }
                gzip.flush()?;
                let ready = std::mem::take(gzip.get_mut());
                write!(self.frame, "{:x}\r\n", ready.len())?;
                self.frame.extend_from_slice(&ready);
            }
        }
        self.frame.extend_from_slice(b"\r\n");
        self.wire.send(&self.frame).await
    }
}

/// The payload broken after each comma between its values, where JSON allows a line to end.
fn lines(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    payload.split_inclusive(move |byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    })
}
