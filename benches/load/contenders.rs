//! Those who stand between client and provider, each started in its own process.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::client::Client;
use crate::options;
use crate::process::Process;
use crate::scenario;

pub struct Contender {
    pub name: &'static str,
    pub address: SocketAddr,
    /// None: no proxy at all.
    process: Option<Process>,
    /// Resident MiB once it answered and before any load.
    pub idle_memory: Option<f64>,
}

pub struct Contenders {
    all: Vec<Contender>,
    /// Those who could not start, and why.
    pub absent: Vec<(&'static str, String)>,
    /// Holds their configuration files; removed at the end.
    folder: PathBuf,
}

pub const DIRECT: &str = "direct";
pub const BARE: &str = "bare pingora";
/// With no prices and no lines of requests: what can be left out is.
pub const GATEWAY: &str = "overspill";
/// The same with a price for every model.
pub const METERED: &str = "overspill, metered";
/// The same with a line in a file for every request besides.
pub const LOGGED: &str = "overspill, metered, logged";

impl Contender {
    pub fn cpu(&self) -> Outcome<Option<Duration>> {
        self.process.as_ref().map(Process::cpu).transpose()
    }

    pub fn memory(&self) -> Option<f64> {
        self.process
            .as_ref()
            .and_then(|process| process.memory().ok())
    }
}

impl Contenders {
    /// Starts whoever is there, in front of this provider.
    pub async fn start(provider: SocketAddr) -> Outcome<Contenders> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "overspill-load-{}-{}",
            std::process::id(),
            STARTED.fetch_add(1, Ordering::Relaxed)
        );
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder)?;
        let direct = Contender {
            name: DIRECT,
            address: provider,
            process: None,
            idle_memory: None,
        };
        let mut contenders = Contenders {
            all: vec![direct],
            absent: Vec::new(),
            folder,
        };
        let starts: [(&str, Start); 6] = [
            (BARE, bare),
            ("nginx", nginx),
            ("haproxy", haproxy),
            (GATEWAY, plain),
            (METERED, metered),
            (LOGGED, logged),
        ];
        for (name, start) in starts {
            match ready(name, start, &contenders.folder, provider).await {
                Ok(contender) => contenders.all.push(contender),
                Err(error) => contenders.absent.push((name, error.to_string())),
            }
        }
        Ok(contenders)
    }

    pub fn all(&self) -> &[Contender] {
        &self.all
    }
}

impl Drop for Contenders {
    fn drop(&mut self) {
        self.all.clear();
        // What is left lies in the system's folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Starts a proxy on this port before the provider, with its files in the folder.
type Start = fn(&Path, u16, SocketAddr) -> Outcome<Process>;

async fn ready(
    name: &'static str,
    start: Start,
    folder: &Path,
    provider: SocketAddr,
) -> Outcome<Contender> {
    let port = free_port()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut process = start(folder, port, provider)?;
    let end = Instant::now() + Duration::from_secs(10);
    while let Err(error) = try_once(address).await {
        if process.has_ended() {
            return Err("it ended at once".into());
        }
        if Instant::now() > end {
            return Err(format!("it does not answer: {error}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let idle_memory = process.memory().ok();
    Ok(Contender {
        name,
        address,
        process: Some(process),
        idle_memory,
    })
}

async fn try_once(address: SocketAddr) -> Outcome<()> {
    let [scenario, ..] = scenario::all();
    let mut client = Client::connect(address).await?;
    let request = scenario.request();
    let answer = client.ask(&request);
    tokio::time::timeout(Duration::from_secs(2), answer).await??;
    Ok(())
}

fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

fn bare(_: &Path, port: u16, provider: SocketAddr) -> Outcome<Process> {
    let program = std::env::current_exe()?;
    let program = program.to_str().ok_or("a path that is not text")?;
    let listen = format!("127.0.0.1:{port}");
    Process::start(program, &[options::BARE, &listen, &provider.to_string()])
}

fn nginx(folder: &Path, port: u16, provider: SocketAddr) -> Outcome<Process> {
    let dir = folder.display();
    let text = format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\n\
         pid {dir}/nginx.pid;\nerror_log {dir}/nginx.log error;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n  access_log off;\n  client_max_body_size 64m;\n\
         client_body_temp_path {dir}/body;\n  proxy_temp_path {dir}/proxy;\n\
         fastcgi_temp_path {dir}/fastcgi;\n  uwsgi_temp_path {dir}/uwsgi;\n\
         scgi_temp_path {dir}/scgi;\n  keepalive_requests 100000000;\n\
         upstream provider {{ server {provider}; keepalive 256; \
         keepalive_requests 100000000; }}\n\
         server {{ listen 127.0.0.1:{port};\n    location / {{\n\
         proxy_pass http://provider;\n      proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\";\n      proxy_buffering off;\n\
         proxy_request_buffering off;\n    }}\n  }}\n}}\n"
    );
    let file = write(folder, "nginx.conf", &text)?;
    Process::start("nginx", &["-e", &format!("{dir}/nginx.log"), "-c", &file])
}

fn haproxy(folder: &Path, port: u16, provider: SocketAddr) -> Outcome<Process> {
    let text = format!(
        "global\n  nbthread 1\n  maxconn 4096\n\
         defaults\n  mode http\n  option http-no-delay\n  http-reuse always\n\
         timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
         frontend clients\n  bind 127.0.0.1:{port}\n  default_backend provider\n\
         backend provider\n  server one {provider}\n"
    );
    let file = write(folder, "haproxy.cfg", &text)?;
    Process::start("haproxy", &["-db", "-q", "-f", &file])
}

const SILENT: &str = "level: error";

fn plain(folder: &Path, port: u16, provider: SocketAddr) -> Outcome<Process> {
    let model = |name: &str| format!("\"up{name}\"");
    gateway(folder, "plain.yaml", (port, provider), model, SILENT)
}

fn metered(folder: &Path, port: u16, provider: SocketAddr) -> Outcome<Process> {
    gateway(folder, "metered.yaml", (port, provider), priced, SILENT)
}

fn logged(folder: &Path, port: u16, provider: SocketAddr) -> Outcome<Process> {
    let log = format!("access: {}/access.log", folder.display());
    gateway(folder, "logged.yaml", (port, provider), priced, &log)
}

fn priced(name: &str) -> String {
    format!("{{ name: \"up{name}\", price: {{ input: 0.27, output: 1.1 }} }}")
}

fn gateway(
    folder: &Path,
    file: &str,
    (port, provider): (u16, SocketAddr),
    model: impl Fn(&str) -> String,
    log: &str,
) -> Outcome<Process> {
    let admin = free_port()?;
    // Under another name there, so that the model is rewritten both ways.
    let models: String = scenario::all()
        .iter()
        .map(|scenario| scenario.model())
        .map(|name| format!("      \"{name}\": {}\n", model(&name)))
        .collect();
    let text = format!(
        "auth: off\n\
         server:\n  listen: 127.0.0.1:{port}\n  admin: 127.0.0.1:{admin}\n  threads: 1\n\
         log:\n  {log}\n\
         store: off\n\
         providers:\n  provider:\n    driver: openai\n    base_url: http://{provider}/v1\n    \
         auth: none\n    models:\n{models}\
         routes:\n  - name: load\n    match: {{ models: [\"load/*\"] }}\n    \
         targets: [{{ provider: provider }}]\n"
    );
    let file = write(folder, file, &text)?;
    Process::start(env!("CARGO_BIN_EXE_overspill"), &["serve", "-c", &file])
}

fn write(folder: &Path, name: &str, text: &str) -> Outcome<String> {
    let path = folder.join(name);
    std::fs::write(&path, text)?;
    Ok(path.to_str().ok_or("a path that is not text")?.to_owned())
}
