//! A PostgreSQL server of the test's own, that can be stopped and started again.

use super::gateway::{Directory, free_address};
use super::{ms, until};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tokio::net::TcpStream;

pub const PASSWORD: &str = "sk-canary-database";

pub struct Postgres {
    files: Directory,
    address: SocketAddr,
    /// It refuses to be root.
    user: Option<(u32, u32)>,
    child: Option<Child>,
}

impl Postgres {
    /// Made, and not started.
    pub fn new() -> Postgres {
        let files = Directory::new();
        let postgres = Postgres {
            address: free_address(),
            user: (number("-u", None) == 0).then(|| {
                (
                    number("-u", Some("postgres")),
                    number("-g", Some("postgres")),
                )
            }),
            files,
            child: None,
        };
        let password = postgres.files.write("password", PASSWORD);
        if let Some((user, group)) = postgres.user {
            for path in [postgres.files.path(), &password] {
                std::os::unix::fs::chown(path, Some(user), Some(group)).unwrap();
            }
        }
        let output = postgres
            .command("initdb")
            .args(["-U", "overspill", "-A", "scram-sha-256", "-N", "-E", "UTF8"])
            .arg("--pwfile")
            .arg(&password)
            .arg("-D")
            .arg(postgres.files.path().join("data"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "initdb: {said}");
        postgres
    }

    pub fn url(&self) -> String {
        format!(
            "postgres://overspill:{PASSWORD}@{}/postgres?sslmode=disable",
            self.address
        )
    }

    /// Back when it takes connections.
    pub async fn start(&mut self) {
        let child = self
            .command("postgres")
            .arg("-D")
            .arg(self.files.path().join("data"))
            .arg("-k")
            .arg(self.files.path())
            .arg("-p")
            .arg(self.address.port().to_string())
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let start = std::time::Instant::now();
        while TcpStream::connect(self.address).await.is_err() {
            assert!(start.elapsed() < ms(60_000), "PostgreSQL does not start");
            tokio::time::sleep(ms(10)).await;
        }
    }

    /// At once, its connections cut.
    pub async fn stop(&mut self) {
        let mut child = self.child.take().expect("a server that runs");
        signal("QUIT", child.id());
        until("PostgreSQL ends", ms(30_000), || {
            child.try_wait().unwrap().is_some()
        })
        .await;
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command.current_dir(self.files.path()).env("LC_ALL", "C");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal("QUIT", child.id());
            let _ = child.wait();
        }
    }
}

fn signal(name: &str, process: u32) {
    let _ = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(process.to_string())
        .status();
}

/// Debian keeps every version in a directory of its own.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut found: Vec<PathBuf> = versions
        .flatten()
        .map(|version| version.path().join("bin").join(name))
        .filter(|program| program.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| name.into())
}

fn number(what: &str, user: Option<&str>) -> u32 {
    let output = Command::new("id").arg(what).args(user).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    said.trim().parse().unwrap_or_else(|_| {
        panic!("no user of the name postgres: install postgresql, as .ci/prerequisites does")
    })
}
