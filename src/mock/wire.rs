//! One connection's bytes, in and out.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Sends each byte in a write of its own.
    pub split: bool,
}

const SMALL: usize = 8 << 10;
const LARGE: usize = 256 << 10;

impl Wire {
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Wire {
            stream,
            buffer: vec![0; SMALL],
            start: 0,
            end: 0,
            split: false,
        })
    }

    /// What has arrived and was not consumed.
    pub fn arrived(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads in larger pieces from here on.
    pub fn expect_much(&mut self) {
        if self.buffer.len() < LARGE {
            self.buffer.resize(LARGE, 0);
        }
    }

    /// Waits for more bytes; 0 at the end of the stream.
    pub async fn fill(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            self.expect_much();
        }
        let Some(room) = self
            .buffer
            .get_mut(self.end..)
            .filter(|room| !room.is_empty())
        else {
            return Err(io::ErrorKind::StorageFull.into());
        };
        let count = self.stream.read(room).await?;
        self.end += count;
        Ok(count)
    }

    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.split {
            return self.stream.write_all(bytes).await;
        }
        for byte in bytes {
            self.stream.write_all(std::slice::from_ref(byte)).await?;
        }
        Ok(())
    }

    /// Lets time pass; an error as soon as the client leaves.
    pub async fn wait(&mut self, time: Duration) -> io::Result<()> {
        if time.is_zero() {
            return Ok(());
        }
        let end = Instant::now() + time;
        loop {
            tokio::select! {
                () = sleep_until(end) => return Ok(()),
                read = self.fill() => if read? == 0 {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                },
            }
        }
    }

    /// Sits still until the client leaves.
    pub async fn wait_for_client_to_leave(&mut self) -> io::Error {
        loop {
            match self.fill().await {
                Ok(0) => return io::ErrorKind::ConnectionAborted.into(),
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    }

    /// Makes the end of this connection a RST; it comes when the wire is dropped.
    pub fn reset(&self) {
        // It fails only on a socket that is gone already, and then there is nothing to reset.
        let _ = self.stream.set_zero_linger();
    }

    /// Ends with FIN.
    pub async fn close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }
}
