//! The only place that builds the parts and joins them.

use crate::admin::{Admin, Readiness};
use crate::config::snapshot::{Listen, Snapshot};
use crate::health::board::Board;
use crate::limits::buffers::Buffers;
use crate::limits::retry_budget::{self, RetryBudget};
use crate::proxy::door::Door;
use crate::proxy::service::Gateway;
use crate::proxy::shared::{Current, Shared};
use crate::relay::Wires;
use crate::telemetry::access::{AccessLog, Shape};
use crate::telemetry::diagnostics;
use crate::telemetry::metrics::Metrics;
use crate::upstream::address::Book;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::apps::http_app::HttpServer;
use pingora::listeners::ListenerConfig;
use pingora::listeners::tls::TlsSettings;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server, ShutdownWatch};
use pingora::services::background::{BackgroundService, background_service};
use pingora::services::listening::Service;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections kept to each provider, per core.
const POOL: usize = 512;
/// Each caller's connection holds both, idle or not. A usual request is read in one go, what is
/// larger past the buffer.
const READ_BUFFER: usize = 40 * 1024;
/// Room for a head and a small answer, or for one event, in one write.
const WRITE_BUFFER: usize = 8 * 1024;
/// Granted however few the requests are.
const RETRIES_A_SECOND: u32 = 10;
/// How often a shutdown looks whether the last request has ended.
const LOOK: Duration = Duration::from_millis(50);

/// Serves until told to stop. Returns only when it could not start, with what to say about it.
pub fn serve(snapshot: Snapshot) -> Result<std::convert::Infallible, String> {
    let listen = snapshot.server.listen.clone();
    let admin = snapshot.server.admin.clone();
    for address in listen
        .iter()
        .map(|listen| listen.address)
        .chain(admin.iter().map(|admin| admin.address))
    {
        check_free(address)?;
    }
    let metrics = Metrics::new().map_err(|error| format!("cannot set up metrics: {error}"))?;
    let metrics = Arc::new(metrics);
    let shared = share(snapshot, Arc::clone(&metrics))?;
    let readiness = Arc::new(Readiness::default());

    let server = &shared.current.load().snapshot.server.clone();
    let conf = ServerConf {
        threads: threads(server.threads),
        grace_period_seconds: Some(server.drain.as_secs()),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut pingora = Server::new_with_opt_and_conf(None, conf);

    let proxy = pingora_proxy::http_proxy(
        &pingora.configuration,
        Gateway {
            shared: Arc::clone(&shared),
        },
    );
    let door = Door::new(proxy, server.header_timeout, server.keepalive);
    let mut data = Service::new("data".to_owned(), door);
    for listen in &listen {
        add_listener(&mut data, listen)?;
    }
    pingora.add_service(data);
    if let Some(admin) = &admin {
        let port = Admin {
            token: admin.token.clone(),
            metrics,
            buffers: Arc::clone(&shared.buffers),
            readiness: Arc::clone(&readiness),
        };
        let mut service = Service::new("admin".to_owned(), HttpServer::new_app(port));
        service.threads = Some(1);
        service.add_tcp(&admin.address.to_string());
        pingora.add_service(service);
    }
    let keeper = Keeper {
        shared,
        readiness,
        listen: listen.iter().map(|listen| listen.address).collect(),
    };
    let mut keeper = background_service("keeper", keeper);
    keeper.threads = Some(1);
    pingora.add_service(keeper);
    pingora.run(RunArgs::default());
    // Pingora came to its own end: the grace period is over.
    std::process::exit(0)
}

fn share(snapshot: Snapshot, metrics: Arc<Metrics>) -> Result<Arc<Shared>, String> {
    let access = if snapshot.log.level >= tracing::Level::INFO {
        let shape = if diagnostics::is_json(&snapshot.log) {
            Shape::Json
        } else {
            Shape::Text
        };
        let log = AccessLog::start(shape, metrics.log_lines_dropped.clone())
            .map_err(|error| format!("cannot start the log: {error}"))?;
        Some(log)
    } else {
        None
    };
    let pool = POOL * threads(snapshot.server.threads);
    let now = Instant::now();
    let budget = retry_budget::Settings {
        share: snapshot.server.retry_budget,
        floor: RETRIES_A_SECOND,
    };
    Ok(Arc::new(Shared {
        wires: Wires::new(Book::new(&snapshot.providers), pool),
        buffers: Buffers::within(snapshot.server.buffers, snapshot.server.max_body),
        metrics,
        access,
        retry_budget: RetryBudget::new(now, budget),
        current: ArcSwap::from_pointee(Current::new(Arc::new(snapshot), &Board::default(), now)),
    }))
}

/// Pingora would end the process with a panic: this ends it with a sentence.
fn check_free(address: SocketAddr) -> Result<(), String> {
    TcpListener::bind(address)
        .map(drop)
        .map_err(|error| format!("cannot listen on {address}: {error}"))
}

fn add_listener(data: &mut Service<Door>, listen: &Listen) -> Result<(), String> {
    let address = listen.address.to_string();
    let buffers = L4BufferSettings::new(READ_BUFFER, WRITE_BUFFER);
    let Some(tls) = &listen.tls else {
        data.add_listener(ListenerConfig::tcp(address).l4_buffer(buffers));
        return Ok(());
    };
    let (cert, key) = (tls.cert.to_string_lossy(), tls.key.to_string_lossy());
    let mut settings = TlsSettings::intermediate(&cert, &key)
        .map_err(|error| format!("cannot use {cert} and {key} for {address}: {error}"))?;
    settings.enable_h2();
    data.add_listener(
        ListenerConfig::tcp(address)
            .tls(settings)
            .l4_buffer(buffers),
    );
    Ok(())
}

fn threads(configured: usize) -> usize {
    if configured > 0 {
        return configured;
    }
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Says when the gateway is ready, and ends it when told to, as soon as nothing is in flight.
struct Keeper {
    shared: Arc<Shared>,
    readiness: Arc<Readiness>,
    listen: Vec<SocketAddr>,
}

#[async_trait]
impl BackgroundService for Keeper {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        for address in &self.listen {
            while tokio::net::TcpStream::connect(reachable(*address))
                .await
                .is_err()
            {
                tokio::time::sleep(LOOK).await;
            }
        }
        self.readiness.set(true);
        tracing::info!(listen = ?self.listen, "serving");
        while !*shutdown.borrow() {
            if shutdown.changed().await.is_err() {
                break;
            }
        }
        self.readiness.set(false);
        let in_flight = &self.shared.metrics.in_flight;
        tracing::info!(
            in_flight = in_flight.get(),
            "stopping when the last request has ended"
        );
        // Requests whose heads are just being read are given a moment to be counted.
        tokio::time::sleep(LOOK).await;
        while in_flight.get() > 0 {
            tokio::time::sleep(LOOK).await;
        }
        // The last bytes of the last answer, and the log's last lines.
        tokio::time::sleep(LOOK).await;
        tracing::info!("stopped");
        std::process::exit(0)
    }
}

/// Where a listener on all addresses can be reached from here.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let local = if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        };
        return SocketAddr::new(local, address.port());
    }
    address
}
