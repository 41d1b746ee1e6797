//! What a gateway keeps for as long as it runs, whatever its file says by now.

use crate::config::place::Place;
use crate::config::problem::Report;
use crate::config::snapshot::{Keys, Snapshot};

/// Puts back what only a restart changes, with a warning for each.
pub fn keep(report: &mut Report, fresh: &mut Snapshot, running: &Snapshot) {
    let server = Place::root().key("server");
    let reaches_far = |one: &Snapshot| {
        let mut listen = one.server.listen.iter();
        listen.any(|one| !one.address.ip().is_loopback())
    };
    if matches!(fresh.keys, Keys::Open) && !reaches_far(fresh) && reaches_far(running) {
        report.error(
            &server.key("listen"),
            "is a loopback address now and there are no keys, but until a restart the old address \
             would stay, open to the network: restart instead",
        );
    }
    let (new, old) = (&mut fresh.server, &running.server);
    keep_one(report, &server.key("listen"), &mut new.listen, &old.listen);
    keep_one(
        report,
        &server.key("threads"),
        &mut new.threads,
        &old.threads,
    );
    keep_one(
        report,
        &server.key("upgrade_socket"),
        &mut new.upgrade_socket,
        &old.upgrade_socket,
    );
    let admin = server.key("admin");
    match (&mut new.admin, &old.admin) {
        // The token may change: it is asked for anew each time. None may be enough for the new
        // address, not for the old one.
        (Some(new), Some(old)) => {
            if new.address != old.address && new.token.is_none() {
                new.token.clone_from(&old.token);
            }
            keep_one(report, &admin, &mut new.address, &old.address);
        }
        (None, None) => {}
        (new, old) => {
            report.warn(&admin, LATER);
            new.clone_from(old);
        }
    }
    let log = Place::root().key("log");
    let (new, old) = (&mut fresh.log, &running.log);
    keep_one(report, &log.key("format"), &mut new.format, &old.format);
    keep_one(report, &log.key("access"), &mut new.access, &old.access);
    let store = Place::root().key("store");
    keep_one(report, &store, &mut fresh.store, &running.store);
}

const LATER: &str =
    "has changed, which takes a restart or an upgrade; the old value stays till then";

fn keep_one<T: PartialEq + Clone>(report: &mut Report, place: &Place, new: &mut T, old: &T) {
    if new != old {
        report.warn(place, LATER);
        new.clone_from(old);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::load::{Loaded, load_str, reload};
    use crate::config::problem::Problem;

    const REST: &str = "
providers:
  one: { base_url: 'http://one.test/v1', auth: none, models: { a: { name: a } } }
routes: [{ name: all, targets: [{ provider: one }] }]
";

    /// A running gateway with keys on all addresses, its file changed to this.
    fn changed_to(name: &str, text: &str) -> Result<Loaded, Vec<Problem>> {
        let running = "
server: { listen: '0.0.0.0:80', admin: { address: '0.0.0.0:90', token: sk-admin-token } }
store: off
keys: [{ name: app, secret: sk-caller-secret }]
";
        let running = load_str(&format!("{running}{REST}"), "o.yaml", &|_| None);
        let file = std::env::temp_dir().join(format!("overspill-{name}-{}", std::process::id()));
        std::fs::write(&file, format!("{text}{REST}")).unwrap();
        let changed = reload(&file, &|_| None, &running.unwrap().snapshot);
        std::fs::remove_file(&file).unwrap();
        changed
    }

    #[test]
    fn what_takes_a_restart_is_put_back() {
        let text = "
server: { listen: '127.0.0.1:81', admin: '127.0.0.1:91', threads: 3 }
store: sqlite:x.db
keys: [{ name: app, secret: sk-caller-secret }]
";
        let loaded = changed_to("kept", text).unwrap();
        let server = &loaded.snapshot.server;
        assert_eq!(server.listen[0].address.to_string(), "0.0.0.0:80");
        assert_eq!(server.threads, 0);
        let admin = server.admin.as_ref().unwrap();
        assert_eq!(admin.address.to_string(), "0.0.0.0:90");
        assert!(admin.token.is_some(), "the old address is not left open");
        assert_eq!(loaded.snapshot.store, None);
        assert_eq!(loaded.warnings.len(), 4, "{:?}", loaded.warnings);
    }

    #[test]
    fn an_address_that_stays_is_not_left_without_keys() {
        let text = "server: { listen: '127.0.0.1:81', admin: off }";
        let problems = changed_to("open", text).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].path, "server.listen");
    }
}
