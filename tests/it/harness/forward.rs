//! A forward proxy: it makes connections in the gateway's place and remembers which.

use super::wire::{Wire, parse_head, values};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One connection it was asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `CONNECT host:port HTTP/1.1`
    pub line: String,
    pub headers: Vec<(String, String)>,
}

impl Asked {
    pub fn get(&self, name: &str) -> Option<&str> {
        values(&self.headers, name).first().copied()
    }
}

pub struct Forward {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Forward {
    /// Whatever it is asked for, it connects to this address: names are its own business.
    pub async fn to(target: SocketAddr) -> Forward {
        Forward::start(Ok(target)).await
    }

    /// Refuses everything with this status line and headers.
    pub async fn refusing(answer: &'static str) -> Forward {
        Forward::start(Err(answer)).await
    }

    async fn start(target: Result<SocketAddr, &'static str>) -> Forward {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // An error is one side's leaving, and what the tests ask about is in the log.
                let log = log.clone();
                tokio::spawn(async move { drop(serve(stream, target, &log).await) });
            }
        });
        Forward {
            address,
            asked,
            task,
        }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: TcpStream,
    target: Result<SocketAddr, &'static str>,
    log: &Mutex<Vec<Asked>>,
) -> io::Result<()> {
    let mut caller = Wire::new(stream);
    let Some(head) = caller.head().await? else {
        return Ok(());
    };
    let (line, headers) = parse_head(&head);
    log.lock().unwrap().push(Asked { line, headers });
    match target {
        Err(answer) => caller.send(answer.as_bytes()).await,
        Ok(address) => {
            let mut target = TcpStream::connect(address).await?;
            caller.send(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
            tokio::io::copy_bidirectional(&mut caller.io, &mut target).await?;
            Ok(())
        }
    }
}
