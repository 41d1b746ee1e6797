//! Listening sockets go from one process to its successor, so that no caller is refused between
//! them. The successor listens on a socket of its own; the old process, told by SIGQUIT, sends.

use crate::config::snapshot::Server;
use pingora::server::{Fds, ListenFds};
use std::collections::HashSet;
use std::fs;
use std::os::fd::RawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long the old process waits for a successor to listen.
const WAIT: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);

/// Addresses, each with its socket.
pub type Sockets = Arc<Vec<(String, RawFd)>>;

/// The sockets of this process, known once the first port has started.
#[derive(Clone, Default)]
pub struct Table(Arc<OnceLock<ListenFds>>);

impl Table {
    pub fn set(&self, sockets: &ListenFds) {
        // All ports share one: whoever comes first sets it.
        let _ = self.0.set(Arc::clone(sockets));
    }
}

/// Takes over the sockets of the process that runs; those for none of `addresses` are closed.
pub fn inherit(
    server: &Server,
    addresses: &HashSet<String>,
) -> Result<Vec<(String, RawFd)>, String> {
    let path = path(server);
    make_room(&path)?;
    let mut sockets = Fds::new();
    let shown = path.display().to_string();
    sockets.get_from_sock(shown.as_str()).map_err(|error| {
        format!(
            "no gateway handed its sockets over at {shown} ({error}): start this one while the \
             other runs, and send that one SIGQUIT within five seconds"
        )
    })?;
    sockets.close_unclaimed(addresses);
    let (addresses, sockets) = sockets.serialize();
    Ok(addresses.into_iter().zip(sockets).collect())
}

/// Gives the sockets to a successor, as soon as there is one. Blocks for as long as that takes.
pub fn hand_over(server: &Server, table: &Table) -> Result<(), String> {
    let path = path(server);
    let shown = path.display().to_string();
    let began = Instant::now();
    while !is_socket(&path) {
        if began.elapsed() > WAIT {
            return Err(format!("no successor listens at {shown}"));
        }
        std::thread::sleep(LOOK);
    }
    check_directory(&path)?;
    let sockets = table.0.get().ok_or("no port is open yet")?.lock();
    sockets
        .send_to_sock(shown.as_str())
        .map(drop)
        .map_err(|error| format!("cannot hand the sockets over at {shown}: {error}"))
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// The same for a process and its successor, different for gateways side by side.
fn path(server: &Server) -> PathBuf {
    if let Some(path) = &server.upgrade_socket {
        return path.clone();
    }
    let name = match server.listen.first() {
        Some(listen) => format!("upgrade-{}.sock", listen.address),
        None => "upgrade.sock".to_owned(),
    };
    runtime_directory().join(name)
}

/// Where a process of this user keeps what lives as long as it runs.
fn runtime_directory() -> PathBuf {
    for name in ["RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"] {
        let given = std::env::var_os(name).unwrap_or_default();
        // A service may have several, colons between them: the first one serves.
        let first = std::env::split_paths(&given).next();
        if let Some(first) = first.filter(|first| first.is_absolute()) {
            return first.join("overspill");
        }
    }
    let user = own_user().unwrap_or(0);
    std::env::temp_dir().join(format!("overspill-{user}"))
}

fn make_room(path: &Path) -> Result<(), String> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    if !directory.exists() {
        let made = fs::DirBuilder::new().mode(0o700).create(directory);
        made.map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
    }
    check_directory(path)
}

/// Whoever reaches the socket can give us sockets, or be given ours. Pingora lets everybody connect
/// to it, so nobody else may enter its directory.
fn check_directory(path: &Path) -> Result<(), String> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let shown = directory.display();
    let found =
        fs::symlink_metadata(directory).map_err(|error| format!("cannot use {shown}: {error}"))?;
    let private = found.is_dir() && found.mode() & 0o077 == 0;
    if private && Some(found.uid()) == own_user() {
        return Ok(());
    }
    Err(format!(
        "{shown} holds the upgrade socket and must be this user's alone: make it a directory of \
         mode 700, or name another place in `server.upgrade_socket`"
    ))
}

fn own_user() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|own| own.uid())
}
