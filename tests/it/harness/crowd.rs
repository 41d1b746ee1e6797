//! Callers who ask one request after the other until they are told to stop.

use super::client::{Conn, Request};
use super::{ASK, ASK_STREAM, ms};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::task::JoinSet;

pub struct Crowd {
    callers: JoinSet<()>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
}

impl Crowd {
    /// Every second one asks for streams. Whoever is refused or cut fails the test.
    pub fn of(callers: usize, address: SocketAddr) -> Crowd {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let mut crowd = JoinSet::new();
        for number in 0..callers {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let stream = number % 2 == 1;
            crowd.spawn(async move {
                let request = Request::chat(if stream { ASK_STREAM } else { ASK });
                let mut conn = Conn::open(address).await;
                while !stop.load(Ordering::Relaxed) {
                    let reply = conn.ask(&request).await.expect(200);
                    assert!(!stream || reply.text().ends_with("data: [DONE]\n\n"));
                    answered.fetch_add(1, Ordering::Relaxed);
                    if reply.get("connection") == Some("close") {
                        conn = Conn::open(address).await;
                    }
                    tokio::time::sleep(ms(5)).await;
                }
            });
        }
        Crowd {
            callers: crowd,
            stop,
            answered,
        }
    }

    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// How many answers there were.
    pub async fn leave(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(left) = self.callers.join_next().await {
            left.expect("a caller who was served");
        }
        self.answered()
    }
}
