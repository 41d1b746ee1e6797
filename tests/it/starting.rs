//! The first moments of a gateway: it has its addresses, or it says why not.

use crate::harness::gateway::{Directory, binary, free_address};
use crate::harness::wire::Wire;
use crate::harness::*;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A process that serves at these addresses, if it can, and ends with this.
struct Started {
    child: Option<Child>,
    _directory: Directory,
}

fn start(config: &Config, address: SocketAddr, admin: SocketAddr) -> Started {
    let directory = Directory::new();
    let yaml = config.yaml(&address.to_string(), &admin.to_string());
    let file = directory.write("overspill.yaml", yaml);
    let child = Command::new(binary())
        .args(["serve", "-c"])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Started {
        child: Some(child),
        _directory: directory,
    }
}

impl Started {
    fn has_ended(&mut self) -> bool {
        let child = self.child.as_mut().unwrap();
        child.try_wait().unwrap().is_some()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[tokio::test]
async fn of_two_at_one_address_one_serves_and_one_says_why_not() {
    let provider = Provider::well().await;
    let config = Config::one(&provider);
    for _ in 0..3 {
        let address = free_address();
        let admins = [free_address(), free_address()];
        let mut both = admins.map(|admin| start(&config, address, admin));
        until("one of them ends", ms(20_000), || {
            both.iter_mut().any(Started::has_ended)
        })
        .await;
        let last = usize::from(both[1].has_ended());
        let child = both[last].child.take().unwrap();
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains("in use"), "{said}");
        assert!(said.contains(&address.to_string()), "{said}");
        // The other one is there, and is the one that says so.
        let start = Instant::now();
        while TcpStream::connect(admins[1 - last]).await.is_err()
            || Request::get("/health/ready")
                .to(admins[1 - last])
                .await
                .status
                != 200
        {
            assert!(start.elapsed() < ms(20_000), "never ready");
            tokio::time::sleep(ms(5)).await;
        }
        Request::chat(ASK).to(address).await.expect(200);
    }
}

/// Knocks until somebody opens, who then has to answer: true. False: reset, or closed without a word.
async fn is_answered(address: SocketAddr) -> bool {
    let request = Request::get("/health").bytes();
    loop {
        match TcpStream::connect(address).await {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                tokio::task::yield_now().await;
            }
            Err(_) => return false,
            Ok(stream) => {
                let mut wire = Wire::new(stream);
                return wire.send(&request).await.is_ok()
                    && matches!(wire.head().await, Ok(Some(_)));
            }
        }
    }
}

#[tokio::test]
async fn whoever_is_let_in_is_answered_from_the_first_moment_on() {
    let provider = Provider::well().await;
    let config = Config::one(&provider);
    for _ in 0..12 {
        let addresses = [free_address(), free_address()];
        let mut knocking = JoinSet::new();
        for _ in 0..3 {
            for address in addresses {
                knocking.spawn(within("an answer", ms(20_000), is_answered(address)));
            }
        }
        let _started = start(&config, addresses[0], addresses[1]);
        while let Some(answered) = knocking.join_next().await {
            assert!(answered.unwrap(), "a connection was accepted and reset");
        }
    }
}
