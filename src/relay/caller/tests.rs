use super::*;
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::time::timeout;

const SOON: std::time::Duration = std::time::Duration::from_millis(50);

fn pair(room: usize) -> (Stream, DuplexStream) {
    let (near, far) = duplex(room);
    (Caller::on(Box::new(near)), far)
}

fn caller(stream: &Stream) -> &Caller {
    (**stream).as_any().downcast_ref().unwrap()
}

#[tokio::test]
async fn what_comes_early_waits_for_its_turn_and_the_end_is_seen() {
    let (mut stream, mut far) = pair(64);
    far.write_all(b"one").await.unwrap();
    let mut read = [0; 16];
    assert_eq!(stream.read(&mut read).await.unwrap(), 3);
    caller(&stream).answered.store(true, Ordering::Relaxed);
    let next = "two and more than what one read takes".repeat(300);
    let sent = next.clone();
    let sending = tokio::spawn(async move {
        far.write_all(sent.as_bytes()).await.unwrap();
        far
    });
    // Nothing of it is shown, though all of it is read.
    let seen = timeout(SOON * 4, stream.read(&mut read)).await;
    assert!(seen.is_err(), "{seen:?}");
    let far = sending.await.unwrap();
    Caller::asks_again(&stream);
    let mut again = vec![0; next.len()];
    stream.read_exact(&mut again).await.unwrap();
    assert_eq!(again, next.as_bytes());
    assert_eq!(caller(&stream).early.capacity(), 0, "no memory is kept");
    caller(&stream).answered.store(true, Ordering::Relaxed);
    drop(far);
    assert_eq!(stream.read(&mut read).await.unwrap(), 0);
}

#[tokio::test]
async fn what_comes_early_has_a_bound() {
    let (mut stream, mut far) = pair(1 << 20);
    far.write_all(&vec![b'x'; 1 << 20]).await.unwrap();
    caller(&stream).answered.store(true, Ordering::Relaxed);
    let mut read = [0; 16];
    assert!(timeout(SOON, stream.read(&mut read)).await.is_err());
    assert!(caller(&stream).early.len() < MOST_EARLY + EARLY);
}

#[tokio::test]
async fn small_pieces_leave_together_and_nothing_is_lost_however_slowly_it_is_taken() {
    for room in [1, 7, 100, 1 << 20] {
        let (mut stream, mut far) = pair(room);
        let large = "b".repeat(20_000);
        let expected = format!("head{large}tail");
        let reading = tokio::spawn(async move {
            let mut all = String::new();
            far.read_to_string(&mut all).await.unwrap();
            all
        });
        stream.write_all(b"head").await.unwrap();
        assert_eq!(caller(&stream).held, b"head"[..]);
        stream.write_all(large.as_bytes()).await.unwrap();
        stream.write_all(b"tail").await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(caller(&stream).held.capacity(), 0, "no memory is kept");
        AsyncWriteExt::shutdown(&mut stream).await.unwrap();
        assert_eq!(reading.await.unwrap(), expected);
    }
}

#[tokio::test]
async fn pieces_that_belong_together_go_at_once_and_in_order() {
    for room in [3, 1 << 20] {
        let (mut stream, mut far) = pair(room);
        let reading = tokio::spawn(async move {
            let mut all = String::new();
            far.read_to_string(&mut all).await.unwrap();
            all
        });
        let long = "c".repeat(9000);
        let mut expected = String::new();
        for held in ["", "head"] {
            for middle in ["b", &long] {
                stream.write_all(held.as_bytes()).await.unwrap();
                let mut event = Buf::chain(&b"a"[..], Buf::chain(middle.as_bytes(), &b"z"[..]));
                stream.write_all_buf(&mut event).await.unwrap();
                expected.push_str(&format!("{held}a{middle}z"));
            }
        }
        AsyncWriteExt::shutdown(&mut stream).await.unwrap();
        assert_eq!(reading.await.unwrap(), expected);
    }
}

#[tokio::test]
async fn whoever_is_eager_waits_for_nothing() {
    let (mut stream, mut far) = pair(64);
    caller(&stream).eager.store(true, Ordering::Relaxed);
    stream.write_all(b"a").await.unwrap();
    let mut read = [0; 4];
    assert_eq!(far.read(&mut read).await.unwrap(), 1);
}
