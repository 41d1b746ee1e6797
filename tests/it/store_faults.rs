//! A store that fails: nobody who asks for an answer may notice, and nothing is lost in silence.

use crate::harness::gateway::Directory;
use crate::harness::*;
use crate::store::rows;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Executor};
use std::path::Path;
use std::process::Command;

async fn other_program(file: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(file)
        .connect()
        .await
        .unwrap()
}

/// What was set aside in a directory, besides journals.
fn set_aside(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let extension = path.extension().unwrap_or_default().to_string_lossy();
            extension.starts_with("corrupt-") && !extension.ends_with(['l', 'm'])
        })
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn a_file_that_is_no_database_is_set_aside() {
    let provider = Provider::well().await;
    let files = Directory::new();
    let file = files.write(
        "x.db",
        "this is no database, and longer than its head ".repeat(100),
    );
    let config = Config::one(&provider).top(&format!("store: 'sqlite:{}'", file.display()));
    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK).await.expect(200);
    gateway.keeps(1).await;
    let aside = set_aside(files.path());
    assert_eq!(aside.len(), 1, "{aside:?}");
    let kept = std::fs::read_to_string(&aside[0]).unwrap();
    assert!(kept.starts_with("this is no database"));
    let said = gateway.output();
    assert!(said.contains("set aside as"), "{said}");
}

#[tokio::test]
async fn a_database_with_a_hole_is_set_aside() {
    let provider = Provider::well().await;
    let files = Directory::new();
    let file = files.path().join("x.db");
    let config = Config::one(&provider).top(&format!("store: 'sqlite:{}'", file.display()));
    let mut gateway = Gateway::start(&config).await;
    gateway.chat(ASK).await.expect(200);
    gateway.keeps(1).await;
    gateway.signal("TERM");
    gateway.exit(ms(20_000)).await;
    // The list of tables is whole, and all that it names is gone.
    let mut bytes = std::fs::read(&file).unwrap();
    assert!(bytes.len() > 4096, "{}", bytes.len());
    bytes[4096..].fill(0xff);
    std::fs::write(&file, bytes).unwrap();

    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK).await.expect(200);
    gateway.keeps(1).await;
    assert_eq!(set_aside(files.path()).len(), 1, "{}", gateway.output());
}

#[tokio::test]
async fn locked_by_another_program_records_wait_and_then_some_are_lost_and_counted() {
    let provider = Provider::well().await;
    let config = Config::one(&provider).top("store: { url: sqlite:overspill.db, queue: 5 }");
    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK).await.expect(200);
    gateway.keeps(1).await;
    let mut other = other_program(&gateway.database()).await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let asked = 60;
    for _ in 0..asked {
        let start = Instant::now();
        gateway.chat(ASK).await.expect(200);
        assert!(start.elapsed() < ms(1900), "a request waited for the store");
    }
    gateway.store_is(false).await;
    other.execute("ROLLBACK").await.unwrap();
    gateway.store_is(true).await;
    let (written, lost) = gateway.settled().await;
    assert_eq!(written + lost, asked + 1);
    assert!(lost > 0 && written > 1, "{written} written, {lost} lost");
    assert_eq!(rows(&gateway.database(), "requests").await, written as i64);
    let said = gateway.output();
    assert_eq!(said.matches("cannot be written").count(), 1, "{said}");
    assert!(said.contains("can be written again"), "{said}");
}

#[tokio::test]
async fn a_full_disk_is_waited_out() {
    let provider = Provider::well().await;
    let config = Config::one(&provider).stored().outlives_limits();
    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK).await.expect(200);
    gateway.keeps(1).await;
    limit_files(&gateway, "1:unlimited");
    for _ in 0..10 {
        gateway.chat(ASK).await.expect(200);
    }
    gateway.store_is(false).await;
    gateway.chat(ASK).await.expect(200);
    limit_files(&gateway, "unlimited");
    gateway.store_is(true).await;
    assert_eq!(gateway.settled().await, (12, 0));
    gateway.keeps(12).await;
    assert_eq!(total_requests(&gateway).await, 12);
}

fn limit_files(gateway: &Gateway, limit: &str) {
    let status = Command::new("prlimit")
        .arg(format!("--pid={}", gateway.process()))
        .arg(format!("--fsize={limit}"))
        .status()
        .unwrap();
    assert!(status.success());
}

/// The sums agree with the rows.
async fn total_requests(gateway: &Gateway) -> i64 {
    let usage = gateway.asked("/api/usage").await;
    usage["intervals"][0]["requests"].as_i64().unwrap()
}

#[tokio::test]
async fn a_directory_that_is_not_there_yet_is_waited_for() {
    let provider = Provider::well().await;
    let files = Directory::new();
    let folder = files.path().join("mounted-later");
    let file = folder.join("x.db");
    let config = Config::one(&provider).top(&format!("store: 'sqlite:{}'", file.display()));
    let gateway = Gateway::start(&config).await;
    for _ in 0..3 {
        gateway.chat(ASK).await.expect(200);
    }
    until("it says so", ms(5000), || {
        gateway.output().contains("cannot be written")
    })
    .await;
    let reply = Request::get("/api/usage")
        .to(gateway.admin)
        .await
        .expect(503);
    assert!(
        reply.text().contains("cannot be read now"),
        "{}",
        reply.text()
    );
    std::fs::create_dir(&folder).unwrap();
    gateway.keeps(3).await;
    assert_eq!(gateway.settled().await, (3, 0));
}

#[tokio::test]
async fn a_file_that_is_removed_is_begun_afresh() {
    let provider = Provider::well().await;
    let gateway = Gateway::start(&Config::one(&provider).stored()).await;
    gateway.chat(ASK).await.expect(200);
    gateway.keeps(1).await;
    for part in ["overspill.db", "overspill.db-wal", "overspill.db-shm"] {
        let _ = std::fs::remove_file(gateway.directory().join(part));
    }
    // Once it has looked, which it does every second.
    let start = Instant::now();
    while !gateway.database().exists() {
        assert!(start.elapsed() < ms(10_000), "{}", gateway.output());
        gateway.chat(ASK).await.expect(200);
        tokio::time::sleep(ms(50)).await;
    }
    gateway.settled().await;
    let before = gateway.all_kept().await.len();
    gateway.chat(ASK).await.expect(200);
    gateway.keeps(before + 1).await;
}

#[tokio::test]
async fn a_store_of_a_later_version_is_left_alone() {
    let provider = Provider::well().await;
    let files = Directory::new();
    let file = files.path().join("x.db");
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true);
    let mut later = options.connect().await.unwrap();
    later
        .execute(
            "CREATE TABLE schema_version (version BIGINT); INSERT INTO schema_version VALUES (999)",
        )
        .await
        .unwrap();
    let config = Config::one(&provider).top(&format!("store: 'sqlite:{}'", file.display()));
    let gateway = Gateway::start(&config).await;
    gateway.chat(ASK).await.expect(200);
    until("it says so", ms(5000), || {
        gateway.output().contains("later version")
    })
    .await;
    assert_eq!(rows(&file, "schema_version").await, 1);
    assert_eq!(set_aside(files.path()).len(), 0);
}
