//! Every example in `conf/` is what a user starts from: it must check, start and answer.

use crate::harness::gateway::{Directory, binary, free_address, run};
use crate::harness::*;
use std::path::PathBuf;
use std::process::{Command, Stdio};

fn examples() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/conf");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .expect("conf/")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml" || e == "yml"))
        .filter(is_ours)
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no examples in {folder}");
    found
}

/// Not, say, the configuration of a Prometheus beside it.
fn is_ours(path: &PathBuf) -> bool {
    let text = std::fs::read_to_string(path).unwrap();
    let value: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    value.get("providers").is_some() || value.get("routes").is_some()
}

/// A value for every `${NAME}` in the text.
fn environment(text: &str) -> Vec<(String, String)> {
    let names = text
        .split("${")
        .skip(1)
        .filter_map(|rest| rest.split(['}', ':']).next());
    names
        .filter(|name| *name != "file")
        .map(|name| (name.to_string(), format!("dummy-{}", name.to_lowercase())))
        .collect()
}

/// The example as it is, but for the addresses it listens at.
fn moved(text: &str, listen: &str, admin: &str) -> String {
    let mut value: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
    let top = value.as_mapping_mut().expect("a mapping");
    let empty = || serde_yaml::Value::Mapping(Default::default());
    let server = top.entry("server".into()).or_insert_with(empty);
    let server = server.as_mapping_mut().expect("server is a mapping");
    server.insert("listen".into(), listen.into());
    server.insert("admin".into(), admin.into());
    serde_yaml::to_string(&value).unwrap()
}

#[test]
fn all_of_them_pass_check() {
    for path in examples() {
        let text = std::fs::read_to_string(&path).unwrap();
        let output = run(&["check", path.to_str().unwrap()], &environment(&text));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{}: {said}", path.display());
    }
}

#[tokio::test]
async fn all_of_them_start_and_answer() {
    for path in examples() {
        let text = std::fs::read_to_string(&path).unwrap();
        let files = Directory::new();
        let (listen, admin) = (free_address(), free_address());
        let yaml = moved(&text, &listen.to_string(), &admin.to_string());
        let file = files.write("overspill.yaml", yaml);
        let mut child = Command::new(binary())
            .args(["serve", "-c", file.to_str().unwrap()])
            .envs(environment(&text))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let start = Instant::now();
        let answered = loop {
            if child.try_wait().unwrap().is_some() || start.elapsed() > ms(20_000) {
                break false;
            }
            if tokio::net::TcpStream::connect(listen).await.is_ok() {
                break Request::get("/health").to(listen).await.status == 200;
            }
            tokio::time::sleep(ms(10)).await;
        };
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(answered, "{}: {said}", path.display());
        assert!(!said.contains("panicked"), "{}: {said}", path.display());
    }
}
