//! The only place that builds the parts and joins them.

use crate::admin::Admin;
use crate::config::load::Loaded;
use crate::config::snapshot::{Server as Settings, Snapshot, Store as Keep};
use crate::jobs::certificate::Certificate;
use crate::jobs::drain::Ending;
use crate::jobs::keeper::Keeper;
use crate::jobs::port::Port;
use crate::jobs::reload::{First, Reloader};
use crate::jobs::stage::Stage;
use crate::jobs::traces::Teller;
use crate::jobs::upgrade::{self, Sockets, Table};
use crate::limits::buffers::Buffers;
use crate::limits::retry_budget::{self, RetryBudget};
use crate::measure::{Measures, configured};
use crate::proxy::door::Door;
use crate::proxy::service::Gateway;
use crate::proxy::shared::{Current, Shared};
use crate::relay::Wires;
use crate::store::Store;
use crate::store::place::Place;
use crate::telemetry::access::{AccessLog, Destination, Shape};
use crate::telemetry::diagnostics::{self, Level};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;
use crate::upstream::address::Book;
use crate::upstream::checks::Checks;
use arc_swap::ArcSwap;
use pingora::apps::http_app::HttpServer;
use pingora::listeners::ListenerConfig;
use pingora::listeners::tls::TlsSettings;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::background::background_service;
use pingora::services::listening::Service;
use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{IntoRawFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch::Sender;

/// Connections kept to each provider, per core.
const POOL: usize = 512;
/// Below TLS, for a record. Those who read and write without it have room of their own, as long as
/// they need it.
const READ_BUFFER: usize = 16 * 1024;
/// For the last bytes of the last answer, and the log's last lines.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// For the records that wait when the last request has ended.
const LAST_RECORDS: Duration = Duration::from_secs(3);

/// What a gateway starts with.
pub struct Start {
    pub loaded: Loaded,
    /// Where the configuration came from, if it can be read again.
    pub file: Option<PathBuf>,
    /// The ports are taken over from a gateway that runs.
    pub upgrade: bool,
    pub level: Level,
}

/// Serves until told to stop. Returns only when it could not start, with what to say about it.
pub fn serve(start: Start) -> Result<std::convert::Infallible, String> {
    let Loaded {
        snapshot,
        warnings,
        shown,
    } = start.loaded;
    let access = Destination::open(&snapshot.log.access)?;
    let Claimed { sockets, taken } = claim_ports(&snapshot.server, start.upgrade)?;
    let metrics = Metrics::new().map_err(|error| format!("cannot set up metrics: {error}"))?;
    let (traces, told) = Traces::new(metrics.traces_dropped.clone());
    let shared = share(snapshot, Arc::new(metrics), access, traces)?;
    let stage = Arc::new(Stage::default());
    let table = Table::default();

    let mut settings = shared.current.load().snapshot.server.clone();
    let is_ours = |address: &SocketAddr| !taken.contains(address);
    settings.listen.retain(|listen| is_ours(&listen.address));
    settings.admin = settings.admin.filter(|admin| is_ours(&admin.address));
    let conf = ServerConf {
        threads: threads(settings.threads),
        ..ServerConf::default()
    };
    let mut pingora = Server::new_with_opt_and_conf(None, conf);

    let proxy = pingora_proxy::http_proxy(
        &pingora.configuration,
        Gateway {
            shared: Arc::clone(&shared),
        },
    );
    let door = Door::new(proxy, Arc::clone(&shared), stage.leaving());
    let mut data = Service::new("data".to_owned(), door);
    let certificates = add_listeners(&mut data, &settings)?;
    pingora.add_service(Port {
        service: data,
        closed: stage.data_closed(),
        sockets: Arc::clone(&sockets),
        table: table.clone(),
    });
    let first = First {
        file: start.file,
        shown,
        warnings,
    };
    let reloader = Reloader::new(first, Arc::clone(&shared), start.level, certificates);
    let reloader = Arc::new(reloader);
    if let Some(admin) = &settings.admin {
        let port = Admin {
            shared: Arc::clone(&shared),
            stage: Arc::clone(&stage),
            reloader: Arc::clone(&reloader),
        };
        let mut service = Service::new("admin".to_owned(), HttpServer::new_app(port));
        service.threads = Some(1);
        service.add_tcp(&admin.address.to_string());
        pingora.add_service(Port {
            service,
            closed: stage.admin_closed(),
            sockets,
            table: table.clone(),
        });
    }
    let keeper = Keeper {
        teller: Teller::new(Arc::clone(&shared), told),
        checks: Checks::new(Arc::clone(&shared.wires.book)),
        stage: Arc::clone(&stage),
        reloader,
        shared: Arc::clone(&shared),
        listen: settings.listen.iter().map(|one| one.address).collect(),
    };
    let mut keeper = background_service("keeper", keeper);
    keeper.threads = Some(1);
    pingora.add_service(keeper);
    let ending = Ending {
        shared: Arc::clone(&shared),
        stage,
        table,
    };
    pingora.run(RunArgs {
        shutdown_signal: Box::new(ending),
    });
    if let Some(store) = &shared.store {
        store.close(LAST_RECORDS);
    }
    std::thread::sleep(LAST_WORDS);
    std::process::exit(0)
}

fn share(
    snapshot: Snapshot,
    metrics: Arc<Metrics>,
    access: Destination,
    traces: Traces,
) -> Result<Arc<Shared>, String> {
    let shape = if diagnostics::is_access_json(&snapshot.log) {
        Shape::Json
    } else {
        Shape::Text
    };
    let access = AccessLog::start(shape, access, metrics.log_lines_dropped.clone())
        .map_err(|error| format!("cannot start the log: {error}"))?;
    let store = keep(snapshot.store.as_ref(), &metrics)?;
    let pool = POOL * threads(snapshot.server.threads);
    let now = Instant::now();
    let budget = retry_budget::Settings::of_share(snapshot.server.retry_budget);
    let measures = Measures::new(now);
    measures.follow(configured::pairs(&snapshot));
    Ok(Arc::new(Shared {
        leaving: Arc::default(),
        stop: Sender::new(false),
        wires: Wires::new(Arc::new(Book::new(&snapshot.providers)), pool),
        buffers: Buffers::within(snapshot.server.buffers, snapshot.server.max_body),
        metrics,
        access,
        measures: Arc::new(measures),
        traces,
        store,
        retry_budget: RetryBudget::new(now, budget),
        current: ArcSwap::from_pointee(Current::first(Arc::new(snapshot), now, SystemTime::now())),
    }))
}

/// The store that the configuration names. One that nobody asked for is left out where it cannot be.
fn keep(settings: Option<&Keep>, metrics: &Metrics) -> Result<Option<Store>, String> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    let state = std::env::var_os("STATE_DIRECTORY").unwrap_or_default();
    // A service may have several, colons between them: the first one serves.
    let state = std::env::split_paths(&state).find(|path| path.is_absolute());
    let place = Place::of(settings, state.as_deref());
    if settings.implied
        && let Err(error) = place.try_out()
    {
        tracing::warn!(
            "no record of requests is kept: {place} cannot be written ({error}); write \
             `store: {{ url: \"sqlite:/a/path/overspill.db\" }}`, or `store: off`"
        );
        return Ok(None);
    }
    let meters = metrics
        .of_store()
        .map_err(|error| format!("cannot set up metrics: {error}"))?;
    Store::start(place, settings.retention, settings.queue, meters)
        .map(Some)
        .map_err(|error| format!("cannot start the store: {error}"))
}

/// What this process listens on.
struct Claimed {
    sockets: Sockets,
    /// Addresses where it cannot.
    taken: Vec<SocketAddr>,
}

/// The sockets that a running gateway hands over, when this one is its successor. All other
/// addresses must be free, and are taken at once.
fn claim_ports(settings: &Settings, upgrade: bool) -> Result<Claimed, String> {
    let data = settings.listen.iter().map(|listen| listen.address);
    let admin = settings.admin.iter().map(|admin| admin.address);
    let addresses: Vec<SocketAddr> = data.chain(admin).collect();
    let named: HashSet<String> = addresses.iter().map(SocketAddr::to_string).collect();
    // Whoever hands its sockets over ends: by then nothing here may fail any more.
    for files in settings
        .listen
        .iter()
        .filter_map(|listen| listen.tls.as_ref())
    {
        Certificate::load(files.clone())?;
    }
    let inherited = if upgrade {
        upgrade::inherit(settings, &named)?
    } else {
        Vec::new()
    };
    let mut sockets = inherited.clone();
    let mut taken = Vec::new();
    for address in addresses {
        let shown = address.to_string();
        if inherited.iter().any(|(known, _)| *known == shown) {
            continue;
        }
        match listen(address) {
            // Whoever handed the others over is on its way out: without us nobody would serve them.
            Err(error) if !inherited.is_empty() => {
                eprintln!("{error}; serving on the others");
                taken.push(address);
            }
            listening => sockets.push((shown, listening?)),
        }
    }
    Ok(Claimed {
        sockets: Arc::new(sockets),
        taken,
    })
}

/// A socket for Pingora, which would wait for an address that is in use and end with a panic: this
/// ends the process with a sentence. It listens from here to the end, so that nobody else comes to
/// sit at the address and no caller meets a socket that is about to close.
fn listen(address: SocketAddr) -> Result<RawFd, String> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener
        .map(IntoRawFd::into_raw_fd)
        .map_err(|error| format!("cannot listen on {address}: {error}"))
}

/// The certificates that the listeners show.
fn add_listeners(
    data: &mut Service<Door>,
    settings: &Settings,
) -> Result<Vec<Arc<Certificate>>, String> {
    let mut certificates = Vec::new();
    for listen in &settings.listen {
        let buffers = match listen.tls {
            Some(_) => L4BufferSettings::new(READ_BUFFER, 0),
            None => L4BufferSettings::unbuffered(),
        };
        let mut config = ListenerConfig::tcp(listen.address.to_string());
        if let Some(files) = &listen.tls {
            let certificate = Certificate::load(files.clone())?;
            // The paths count for nothing beside a resolver.
            let mut tls = TlsSettings::intermediate("", "")
                .map_err(|error| format!("cannot set up TLS for {}: {error}", listen.address))?;
            tls.set_cert_resolver(Arc::clone(&certificate) as _);
            tls.enable_h2();
            config = config.tls(tls);
            certificates.push(certificate);
        }
        data.add_listener(config.l4_buffer(buffers));
    }
    Ok(certificates)
}

fn threads(configured: usize) -> usize {
    if configured > 0 {
        return configured;
    }
    std::thread::available_parallelism().map_or(1, usize::from)
}
