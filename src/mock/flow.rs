//! A chunked body, event by event: each goes out in a write of its own.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::wire::Wire;

pub struct Flow<'w> {
    pub wire: &'w mut Wire,
    gzip: Option<GzEncoder<Vec<u8>>>,
    newline: &'static str,
    frame: Vec<u8>,
}

impl<'w> Flow<'w> {
    /// Sends the header block.
    pub async fn begin(
        wire: &'w mut Wire,
        content_type: &str,
        gzip: bool,
        crlf: bool,
    ) -> io::Result<Flow<'w>> {
        let encoding = if gzip {
            "Content-Encoding: gzip\r\n"
        } else {
            ""
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nCache-Control: no-cache\r\n\
             {encoding}Transfer-Encoding: chunked\r\n\r\n"
        );
        wire.send(head.as_bytes()).await?;
        let gzip = gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
        let newline = if crlf { "\r\n" } else { "\n" };
        Ok(Flow {
            wire,
            gzip,
            newline,
            frame: Vec::with_capacity(512),
        })
    }

    /// One event with this payload, in one chunk.
    pub async fn data(&mut self, payload: &[u8]) -> io::Result<()> {
        let newline = self.newline.as_bytes();
        self.chunk(&[b"data: ", payload, newline, newline]).await
    }

    pub async fn comment(&mut self, text: &str) -> io::Result<()> {
        let newline = self.newline.as_bytes();
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
