//! Connections between two requests.

use super::*;
use crate::harness::answers::http;
use crate::harness::tls::Identity;
use std::sync::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

fn said(headers: &[(&str, &str)]) -> Vec<u8> {
    http(200, headers, SAID)
}

/// Since when a connection was idle, and when the gateway closed it.
type Ends = Arc<Mutex<Vec<(Instant, Instant)>>>;

/// A provider that answers once, then does this, and waits for the gateway to close.
async fn once_and_then<F, Done>(headers: &'static [(&str, &str)], then: F) -> (String, Ends)
where
    F: Fn(Wire) -> Done + Clone + Send + Sync + 'static,
    Done: Future<Output = Wire> + Send + 'static,
{
    let ends = Ends::default();
    let told = Arc::clone(&ends);
    let base = by_hand(move |mut wire| {
        let (then, told) = (then.clone(), Arc::clone(&told));
        async move {
            if read_request(&mut wire).await.is_none() {
                return;
            }
            wire.send(&said(headers)).await.unwrap();
            let idle = Instant::now();
            let mut wire = then(wire).await;
            while let Ok(1..) = wire.fill().await {}
            told.lock().unwrap().push((idle, Instant::now()));
        }
    })
    .await;
    (base, ends)
}

fn alone(base: &str) -> Config {
    Config::new()
        .provider("one", base)
        .route("main", "{ provider: one }")
        .on_route("retry", "{ for: [], attempts: 1 }")
}

async fn asked_once(base: &str) -> Gateway {
    let gateway = Gateway::start(&alone(base)).await;
    gateway.chat(ASK).await.expect(200);
    gateway
}

async fn closed_after(ends: &Ends, limit: Duration) -> Duration {
    until("the gateway closes it", limit, || {
        !ends.lock().unwrap().is_empty()
    })
    .await;
    let (idle, end) = ends.lock().unwrap()[0];
    end - idle
}

#[tokio::test]
async fn what_the_provider_closes_is_closed_in_turn() {
    let (base, ends) = once_and_then(&[], |mut wire| async {
        wire.io.shutdown().await.unwrap();
        wire
    })
    .await;
    let gateway = asked_once(&base).await;
    closed_after(&ends, ms(4000)).await;
    gateway.chat(ASK).await.expect(200);
}

#[tokio::test]
async fn the_same_over_tls() {
    let acceptor = Identity::new().acceptor(&["http/1.1"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}/v1", listener.local_addr().unwrap());
    let (leave, closed) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(0)));
    let config = alone(&base).on_provider("one", "tls", "{ verify: false }");
    tokio::spawn({
        let (leave, closed) = (leave.clone(), closed.clone());
        async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut wire = Wire::new(acceptor.accept(stream).await.unwrap());
                // Both on one connection, which is then closed.
                for _ in 0..2 {
                    read_request(&mut wire).await.unwrap();
                    wire.send(&said(&[])).await.unwrap();
                }
                leave.acquire().await.unwrap().forget();
                wire.io.shutdown().await.unwrap();
                while let Ok(1..) = wire.fill().await {}
                *closed.lock().unwrap() += 1;
            }
        }
    });
    let gateway = Gateway::start(&config).await;
    for turn in 1..=2 {
        gateway.chat(ASK).await.expect(200);
        gateway.chat(ASK).await.expect(200);
        leave.add_permits(1);
        until("the gateway closes it", ms(4000), || {
            *closed.lock().unwrap() == turn
        })
        .await;
    }
}

#[tokio::test]
async fn what_says_something_unasked_is_closed() {
    let (base, ends) = once_and_then(&[], |mut wire| async {
        tokio::time::sleep(ms(100)).await;
        wire.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
        wire
    })
    .await;
    let gateway = asked_once(&base).await;
    closed_after(&ends, ms(4000)).await;
    let reply = gateway.chat(ASK).await.expect(200);
    assert_eq!(reply.get("x-overspill-attempts"), Some("1"));
}

#[tokio::test]
async fn it_is_closed_before_the_provider_would() {
    let keeps: &[(&str, &str)] = &[("keep-alive", "timeout=3, max=100")];
    let (base, ends) = once_and_then(keeps, |wire| async { wire }).await;
    let _gateway = asked_once(&base).await;
    let waited = closed_after(&ends, ms(6000)).await;
    assert!((ms(1900)..ms(3900)).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn six_hundred_are_too_many_and_those_that_are_closed_go_all_at_once() {
    const KEPT: usize = 512;
    const ALL: usize = 600;
    let open = Arc::new(Mutex::new((0, 0)));
    let (served, leave) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let base = by_hand({
        let (open, served, leave) = (open.clone(), served.clone(), leave.clone());
        move |mut wire| {
            let (open, served, leave) = (open.clone(), served.clone(), leave.clone());
            async move {
                open.lock().unwrap().0 += 1;
                while read_request(&mut wire).await.is_some() {
                    served.acquire().await.unwrap().forget();
                    wire.send(&said(&[])).await.unwrap();
                    let asked_to_leave = tokio::select! {
                        _ = leave.acquire() => true,
                        more = wire.fill() => more.is_err(),
                    };
                    if asked_to_leave {
                        wire.io.shutdown().await.unwrap();
                        while let Ok(1..) = wire.fill().await {}
                        break;
                    }
                }
                open.lock().unwrap().1 += 1;
            }
        }
    })
    .await;
    let gateway = Gateway::start(&alone(&base)).await;
    let address = gateway.address;
    let asking = tokio::spawn(all((0..ALL).map(move |_| async move {
        Request::chat(ASK).to(address).await.expect(200);
    })));
    let count = |open: &Mutex<(usize, usize)>| *open.lock().unwrap();
    until("all are asked", ms(10_000), || count(&open).0 == ALL).await;
    served.add_permits(ALL);
    asking.await.unwrap();
    until("those too many are closed", ms(3000), || {
        count(&open).1 == ALL - KEPT
    })
    .await;
    // Then the provider closes every one.
    leave.add_permits(ALL);
    until("they are closed in turn", ms(2500), || {
        count(&open).1 == ALL
    })
    .await;
}
