//! The checker against small samples: what it must refuse, and what it must let pass.

use super::check;

/// The lines of `text` that are refused as a file of that name.
fn refused(file: &str, text: &str) -> Vec<usize> {
    let line = |violation: &String| {
        let rest = violation
            .strip_prefix(file)
            .and_then(|rest| rest.strip_prefix(':'));
        rest.and_then(|rest| rest.split(':').next())
            .and_then(|line| line.parse().ok())
    };
    check(file, text)
        .iter()
        .map(|violation| line(violation).expect("a line"))
        .collect()
}

#[test]
fn a_path_upward_is_refused_and_the_message_names_all() {
    let violations = check(
        "src/routing/table.rs",
        "use crate::error::Reason;\nuse crate::relay::run;",
    );
    assert_eq!(
        violations,
        [
            "src/routing/table.rs:2: `crate::relay::run`: routing must not name relay, \
          imports go only downward"
        ]
    );
}

#[test]
fn a_path_downward_or_within_a_layer_passes() {
    assert!(
        refused(
            "src/relay/run.rs",
            "use crate::{body::scan, error::Reason};"
        )
        .is_empty()
    );
    assert!(refused("src/config/load.rs", "use crate::catalog::find;").is_empty());
    assert!(refused("src/app.rs", "use crate::proxy::service::Gateway;").is_empty());
    assert!(refused("src/main.rs", "fn main() { overspill::cli::run() }").is_empty());
    assert!(refused("src/lib.rs", "pub mod app;\npub use crate::app::App;").is_empty());
}

#[test]
fn groups_aliases_globs_and_inline_paths_are_read() {
    assert_eq!(
        refused(
            "src/body/scan.rs",
            "use crate::{\n  error::Reason,\n  proxy::{self, admit::{A, B}},\n};"
        ),
        [3, 3, 3]
    );
    assert_eq!(refused("src/body/scan.rs", "use crate::app as other;"), [1]);
    assert_eq!(refused("src/body/scan.rs", "use crate::app::*;"), [1]);
    assert_eq!(
        refused("src/body/scan.rs", "fn f() {\n  crate::app::App::new(1)\n}"),
        [2]
    );
    assert_eq!(
        refused("src/body/scan.rs", "type T = Vec<crate::app::App>;"),
        [1]
    );
}

#[test]
fn a_way_round_through_super_or_the_root_is_refused() {
    assert_eq!(
        refused("src/body/scan.rs", "use super::super::app::App;"),
        [1]
    );
    assert!(refused("src/body/scan.rs", "use super::splice;").is_empty());
    assert_eq!(
        refused(
            "src/body/mod.rs",
            "mod inner {\n  use super::super::app::App;\n}"
        ),
        [2]
    );
    assert_eq!(refused("src/error.rs", "use super::app::App;"), [1]);
    assert_eq!(refused("src/body/scan.rs", "use crate::*;"), [1]);
}

#[test]
fn replies_lie_beneath_the_relay_and_the_rest_of_the_proxy_above_it() {
    assert!(refused("src/relay/run.rs", "use crate::proxy::reply::error;").is_empty());
    assert_eq!(refused("src/relay/run.rs", "use crate::proxy::admit;"), [1]);
    assert_eq!(
        refused("src/relay/run.rs", "use crate::proxy::{self, reply};"),
        [1]
    );
    assert_eq!(refused("src/proxy/reply.rs", "use crate::relay::run;"), [1]);
    assert_eq!(
        refused("src/proxy/reply/error.rs", "use super::super::service;"),
        [1]
    );
    assert!(refused("src/proxy/service.rs", "use crate::relay::run;").is_empty());
}

#[test]
fn pure_rooms_do_no_io_and_read_no_clock() {
    for line in [
        "use tokio::time::sleep;",
        "use pingora::http::RequestHeader;",
        "use pingora_core::Error;",
        "use std::{fs, mem};",
        "use std::net::IpAddr;",
        "fn f() { std::time::Instant::now(); }",
        "fn f() { SystemTime::now(); }",
        "fn f(start: Instant) { start.elapsed(); }",
        "async fn f() { tokio::task::yield_now().await }",
    ] {
        assert_eq!(refused("src/failover.rs", line), [1], "{line}");
    }
    assert!(refused("src/failover.rs", "use std::time::{Duration, Instant};").is_empty());
    assert!(
        refused(
            "src/app.rs",
            "use tokio::net::TcpListener;\nuse pingora::server::Server;"
        )
        .is_empty()
    );
}

#[test]
fn what_can_be_driven_without_sockets_knows_no_pingora_and_no_clock() {
    for file in [
        "src/relay/commit.rs",
        "src/relay/pump.rs",
        "src/relay/resume.rs",
    ] {
        assert_eq!(
            refused(
                file,
                "use bytes::Bytes;\nuse pingora::http::ResponseHeader;"
            ),
            [2]
        );
        assert_eq!(refused(file, "fn f() { Instant::now(); }"), [1]);
    }
    assert!(refused("src/relay/run.rs", "use pingora::http::ResponseHeader;").is_empty());
    assert_eq!(
        refused("src/limits/rate.rs", "fn f() { Instant::now(); }"),
        [1]
    );
}

#[test]
fn the_exception_holds_for_its_file_alone() {
    let line = "use crate::routing::balance::Schedule;";
    assert!(refused("src/config/snapshot.rs", line).is_empty());
    assert_eq!(refused("src/config/load.rs", line), [1]);
    assert_eq!(
        refused(
            "src/config/snapshot.rs",
            "use crate::routing::table::Table;"
        ),
        [1]
    );
}

#[test]
fn comments_strings_and_tests_do_not_count() {
    let text = r##"
        //! crate::app is above, /* and so is this
        /* crate::app /* crate::cli */ crate::app */
        const A: &str = "crate::app \" crate::cli";
        const B: &str = r#"crate::app " crate::cli"#;
        const C: char = '"';
        fn f<'a>(r#type: &'a str) -> &'static str { r#type }
        #[cfg(test)]
        use crate::app::{App, Parts};
        #[cfg(test)]
        mod tests {
            use crate::app::App;
            fn f() { let x = [0; 3]; }
        }
    "##;
    assert!(refused("src/body/scan.rs", text).is_empty());
    let line = text.lines().count();
    assert_eq!(
        refused("src/body/scan.rs", &format!("{text}use crate::app::App;")),
        [line]
    );
    assert_eq!(
        refused(
            "src/body/scan.rs",
            "#[cfg(not(test))]\nuse crate::app::App;"
        ),
        [2]
    );
}

#[test]
fn a_room_without_a_layer_is_refused() {
    assert_eq!(refused("src/helpers/mod.rs", "use std::fmt;"), [1]);
    assert_eq!(refused("src/app.rs", "use crate::helpers::join;"), [1]);
}
