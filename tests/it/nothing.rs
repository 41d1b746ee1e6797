//! Nothing to configure: `overspill serve` where nobody has written a file.

use crate::harness::gateway::{Directory, binary, free_address};
use crate::harness::*;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const SECRET: &str = "sk-never-to-be-shown";

/// `overspill serve` in a directory, with an environment of its own.
fn serve(directory: &Path, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary());
    command
        .arg("serve")
        .current_dir(directory)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn ended(directory: &Path, environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = serve(directory, environment).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// One that serves, until it is dropped.
struct Served {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Served {
    async fn start(directory: &Path, environment: &[(&str, &str)]) -> Served {
        for _ in 0..5 {
            let (address, admin) = (free_address(), free_address());
            let (data, own) = (address.to_string(), admin.to_string());
            let places = [("OVERSPILL_LISTEN", &*data), ("OVERSPILL_ADMIN", &*own)];
            let all = [environment, &places].concat();
            let child = serve(directory, &all).spawn().unwrap();
            let mut served = Served {
                child,
                address,
                admin,
            };
            if served.ready().await {
                return served;
            }
            let said = served.end().1;
            assert!(said.contains("in use"), "{said}");
        }
        panic!("no free ports");
    }

    async fn ready(&mut self) -> bool {
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < ms(30_000), "never ready");
            if tokio::net::TcpStream::connect(self.admin).await.is_ok()
                && Request::get("/health/ready").to(self.admin).await.status == 200
            {
                return true;
            }
            tokio::time::sleep(ms(5)).await;
        }
        false
    }

    /// What it said on stdout and on stderr, to its end.
    fn end(&mut self) -> (String, String) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mut said = (String::new(), String::new());
        if let Some(mut out) = self.child.stdout.take() {
            out.read_to_string(&mut said.0).unwrap();
        }
        if let Some(mut errors) = self.child.stderr.take() {
            errors.read_to_string(&mut said.1).unwrap();
        }
        said
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn with_neither_file_nor_key_it_says_what_to_do() {
    let directory = Directory::new();
    for environment in [
        &[][..],
        &[("DEEPSEEK_API_KEY", "")],
        &[("SOME_API_KEY", SECRET)],
    ] {
        let (code, said) = ended(directory.path(), environment);
        assert_eq!(code, Some(1), "{said}");
        for word in [
            "overspill demo",
            "DEEPSEEK_API_KEY",
            "overspill.yaml",
            "/etc/overspill",
        ] {
            assert!(said.contains(word), "{said}");
        }
    }
    // A key that is not enough is named, and not shown.
    let (code, said) = ended(directory.path(), &[("AZURE_OPENAI_API_KEY", SECRET)]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("azure-openai") && said.contains("base_url"),
        "{said}"
    );
    assert!(!said.contains(SECRET), "{said}");
}

#[tokio::test]
async fn keys_in_the_environment_are_served_and_written_down() {
    let directory = Directory::new();
    let keys = [
        ("DEEPSEEK_API_KEY", SECRET),
        ("DASHSCOPE_API_KEY", SECRET),
        ("OPENROUTER_API_KEY", SECRET),
        ("CTYUN_API_KEY", SECRET),
    ];
    let mut served = Served::start(directory.path(), &keys).await;
    let health = Request::get("/health").to(served.address).await;
    health.expect(200);
    let models = Request::get("/v1/models").to(served.address).await;
    let models = models.expect(200).json();
    let ids: Vec<&str> = models["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|model| model["id"].as_str())
        .collect();
    for id in [
        "deepseek/deepseek-v3.2",
        "qwen/qwen3-next-80b",
        "deepseek/deepseek-v4-pro",
    ] {
        assert!(ids.contains(&id), "{ids:?}");
    }
    let targets = Request::get("/api/targets").to(served.admin).await.json();
    let providers: Vec<&str> = targets["targets"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|target| target["provider"].as_str())
        .collect();
    assert_eq!(providers, ["alibaba", "deepseek", "openrouter"]);
    // There is nothing to read again.
    let reload = Request::post("/api/reload", "").to(served.admin).await;
    assert!(reload.status >= 400, "{}", reload.text());

    let (out, errors) = served.end();
    assert!(
        !out.contains(SECRET) && !errors.contains(SECRET),
        "{out}{errors}"
    );
    // What it printed before its first line of log is ready to be kept.
    let lines = out.lines().take_while(|line| !line.starts_with('{'));
    let yaml: String = lines.map(|line| format!("{line}\n")).collect();
    for word in ["${DEEPSEEK_API_KEY}", "tier: 2", "# ctyun (CTYUN_API_KEY)"] {
        assert!(yaml.contains(word), "{yaml}");
    }
    let kept = directory.write("overspill.yaml", &yaml);
    let check = |environment: &[(&str, &str)]| {
        let mut command = Command::new(binary());
        command.arg("check").arg(&kept).env_clear();
        command.envs(environment.iter().copied()).output().unwrap()
    };
    assert!(check(&keys).status.success(), "{:?}", check(&keys));
    assert!(!check(&[]).status.success(), "the keys are not in it");
}

#[tokio::test]
async fn a_file_here_goes_before_all_keys() {
    let provider = Provider::well().await;
    let directory = Directory::new();
    let yaml = format!(
        "server: {{ listen: \"${{OVERSPILL_LISTEN}}\", admin: \"${{OVERSPILL_ADMIN}}\" }}\n\
         providers: {{ own: {{ base_url: \"{}\", auth: none, models: {{ acme/chat: chat }} }} }}\n\
         routes: [{{ targets: [{{ provider: own }}] }}]\n",
        provider.base()
    );
    directory.write("overspill.yaml", &yaml);
    let keys = [("DEEPSEEK_API_KEY", SECRET)];
    let mut served = Served::start(directory.path(), &keys).await;
    let reply = Request::chat(ASK).to(served.address).await.expect(200);
    assert_eq!(reply.get("x-overspill-provider"), Some("own"));
    assert!(!served.end().0.contains("deepseek"));

    // One that is wrong is not passed over.
    directory.write("overspill.yaml", "routs: []\n");
    let (code, said) = ended(directory.path(), &keys);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("overspill.yaml:1: routs: unknown field"),
        "{said}"
    );
}

/// Open to everyone is only what nobody else can reach.
#[tokio::test]
async fn an_open_port_stays_on_this_machine() {
    let directory = Directory::new();
    let everywhere = [
        ("DEEPSEEK_API_KEY", SECRET),
        ("OVERSPILL_LISTEN", "0.0.0.0:0"),
    ];
    let (code, said) = ended(directory.path(), &everywhere);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("server.listen") || said.contains("keys"),
        "{said}"
    );
    assert!(!said.contains(SECRET), "{said}");
}
