//! The gateway as a process of its own.

use super::client::{Reply, Request};
use super::config::Config;
use super::{Value, ms, until};
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};

/// The binary under test; `OVERSPILL_BIN` names another one.
pub fn binary() -> PathBuf {
    match std::env::var_os("OVERSPILL_BIN") {
        Some(path) => path.into(),
        None => env!("CARGO_BIN_EXE_overspill").into(),
    }
}

/// A running gateway. At its end it must still have been running, and never have panicked.
pub struct Gateway {
    child: Child,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    said: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
    ended: Option<ExitStatus>,
    directory: Arc<Directory>,
    environment: Vec<(String, String)>,
}

impl Gateway {
    /// Starts it and waits until it is ready.
    pub async fn start(config: &Config) -> Gateway {
        for _ in 0..5 {
            let mut gateway = Gateway::spawn(config);
            if gateway.ready().await {
                return gateway;
            }
            gateway.had_no_port();
        }
        panic!("no free ports");
    }

    /// One whose configuration says `admin: off`: ready once its data port answers.
    pub async fn without_admin(config: &Config) -> Gateway {
        for _ in 0..5 {
            let mut gateway = Gateway::spawn(config);
            while !gateway.gone() {
                if TcpStream::connect(gateway.address).await.is_ok() {
                    return gateway;
                }
                tokio::time::sleep(ms(5)).await;
            }
            gateway.join();
            gateway.had_no_port();
        }
        panic!("no free ports");
    }

    /// Starts its successor and tells this one; back when the successor serves.
    pub async fn succeeded(&self) -> Gateway {
        let directory = Arc::clone(&self.directory);
        let environment = self.environment.clone();
        let successor = Gateway::run(
            self.address,
            self.admin,
            directory,
            environment,
            &["--upgrade"],
            false,
        );
        self.signal("QUIT");
        until("the successor serves", ms(20_000), || {
            successor.output().contains("serving")
        })
        .await;
        successor
    }

    fn had_no_port(&self) {
        let (said, status) = (self.output(), self.ended);
        let no_port = said.contains("in use");
        assert!(no_port, "the gateway ended: {status:?}\n{said}");
    }

    fn spawn(config: &Config) -> Gateway {
        let directory = Arc::new(Directory::new());
        let (address, admin) = (free_address(), free_address());
        let yaml = config.yaml(&address.to_string(), &admin.to_string());
        directory.write("overspill.yaml", yaml);
        let environment = config.environment.clone();
        Gateway::run(
            address,
            admin,
            directory,
            environment,
            &[],
            config.unlimited,
        )
    }

    fn run(
        address: SocketAddr,
        admin: SocketAddr,
        directory: Arc<Directory>,
        environment: Vec<(String, String)>,
        arguments: &[&str],
        unlimited: bool,
    ) -> Gateway {
        let mut command = Command::new(if unlimited { "sh".into() } else { binary() });
        if unlimited {
            // What is ignored stays ignored: a limit on files is then an error, and not the end.
            command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
            command.arg(binary());
        }
        let mut child = command
            .arg("serve")
            .arg("-c")
            .arg(directory.path().join("overspill.yaml"))
            .args(arguments)
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the gateway");
        let said = Arc::new(Mutex::new(Vec::new()));
        let readers = vec![
            collect(child.stdout.take().expect("stdout"), said.clone()),
            collect(child.stderr.take().expect("stderr"), said.clone()),
        ];
        Gateway {
            child,
            address,
            admin,
            said,
            readers,
            ended: None,
            directory,
            environment,
        }
    }

    /// False when it ended instead.
    async fn ready(&mut self) -> bool {
        let start = std::time::Instant::now();
        loop {
            if self.gone() {
                self.join();
                return false;
            }
            if TcpStream::connect(self.admin).await.is_ok()
                && Request::get("/health/ready").to(self.admin).await.status == 200
            {
                return true;
            }
            assert!(
                start.elapsed() < ms(30_000),
                "never ready:\n{}",
                self.output()
            );
            tokio::time::sleep(ms(5)).await;
        }
    }

    /// Puts another configuration in the place of its file, in one step.
    pub fn rewrite(&self, config: &Config) {
        self.rewrite_as(&config.yaml(&self.address.to_string(), &self.admin.to_string()));
    }

    pub fn rewrite_as(&self, text: &str) {
        let new = self.write("overspill.yaml.new", text);
        std::fs::rename(new, self.directory.path().join("overspill.yaml")).unwrap();
    }

    /// Where its configuration stands, and what is beside it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A file beside its configuration.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        self.directory.write(name, text)
    }

    /// Where such a file is or would be.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub async fn reload(&self) -> Reply {
        Request::post("/api/reload", "").to(self.admin).await
    }

    pub async fn ask(&self, request: Request) -> Reply {
        request.to(self.address).await
    }

    pub async fn chat(&self, body: impl Into<Vec<u8>>) -> Reply {
        self.ask(Request::chat(body)).await
    }

    pub async fn get(&self, target: &str) -> Reply {
        self.ask(Request::get(target)).await
    }

    pub async fn metrics(&self) -> String {
        Request::get("/metrics")
            .to(self.admin)
            .await
            .expect(200)
            .text()
    }

    /// Everything it wrote so far, both streams.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// The line of its log about this request, once it is written. The log must be in JSON.
    pub async fn record(&self, request_id: &str) -> Value {
        let find = || {
            let said = self.output();
            let mut lines = said
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            lines.find(|line: &Value| line["request_id"] == request_id)
        };
        until("the request is logged", ms(5000), || find().is_some()).await;
        find().expect("the line")
    }

    /// The most memory it ever had, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .expect("VmHWM");
        let number = line.trim().trim_end_matches("kB").trim();
        number.parse::<u64>().expect("kB") * 1024
    }

    pub fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(
            Command::new("sh")
                .arg("-c")
                .arg(command)
                .status()
                .unwrap()
                .success()
        );
    }

    /// Whether the process has ended.
    pub fn gone(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("wait for the gateway");
        }
        self.ended.is_some()
    }

    /// Waits for an end that was asked for.
    pub async fn exit(&mut self, limit: Duration) -> ExitStatus {
        let child = &mut self.child;
        let ended = &mut self.ended;
        until("the gateway ends", limit, || {
            *ended = child.try_wait().expect("wait for the gateway");
            ended.is_some()
        })
        .await;
        self.ended.expect("an exit status")
    }

    fn join(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let asked_to_end = self.ended;
        let died = asked_to_end.is_none() && self.gone();
        if !self.gone() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        self.join();
        let output = self.output();
        if std::thread::panicking() {
            eprintln!("--- the gateway said:\n{output}---");
            return;
        }
        assert!(
            !died,
            "the gateway ended by itself: {:?}\n{output}",
            self.ended
        );
        assert!(
            !output.contains("panicked"),
            "the gateway panicked:\n{output}"
        );
    }
}

/// Runs a command of the binary to its end.
pub fn run(arguments: &[&str], environment: &[(String, String)]) -> Output {
    Command::new(binary())
        .args(arguments)
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .output()
        .expect("run the binary")
}

fn collect(mut from: impl Read + Send + 'static, said: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            said.lock().unwrap().extend_from_slice(&buffer[..read]);
        }
    })
}

/// An address nobody listens at, not even this for a moment. Below the range the system gives to
/// outgoing connections, so that none of those takes it before the gateway does.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = (std::process::id() % 97) as u16 * 113;
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (offset + step) % 12_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        if socket.bind(address).is_ok() {
            return address;
        }
    }
}

/// A directory that goes when it is dropped.
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    pub fn new() -> Directory {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("overspill-it-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Directory { path }
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
