//! `overspill demo`: the gateway over three providers that run inside it.

use crate::cli::serve;
use crate::config::load;
use crate::mock;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;

pub fn run(listen: SocketAddr, admin: SocketAddr) -> ExitCode {
    let ports = match start_providers() {
        Ok(ports) => ports,
        Err(error) => {
            eprintln!("cannot start the mock providers: {error}");
            return ExitCode::FAILURE;
        }
    };
    let text = configuration(listen, admin, ports);
    match load::load_str(&text, "demo", &|_| None) {
        Ok(loaded) => {
            println!("{}", greeting(listen, admin));
            serve::start(loaded, None, false)
        }
        Err(problems) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The ports of a flaky, a healthy and a slow provider, which serve from a thread of their own.
fn start_providers() -> std::io::Result<[u16; 3]> {
    let mut ports = [0; 3];
    let mut providers = Vec::new();
    for (port, behaviour) in ports.iter_mut().zip(mock::demo_trio()) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        *port = listener.local_addr()?.port();
        providers.push((listener, behaviour));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("mock-providers".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                let mut serving = tokio::task::JoinSet::new();
                for (listener, behaviour) in providers {
                    match tokio::net::TcpListener::from_std(listener) {
                        Ok(listener) => {
                            serving.spawn(mock::serve(listener, behaviour));
                        }
                        Err(error) => eprintln!("a mock provider is missing: {error}"),
                    }
                }
                serving.join_all().await
            })
        })?;
    Ok(ports)
}

fn configuration(listen: SocketAddr, admin: SocketAddr, ports: [u16; 3]) -> String {
    let [flaky, healthy, slow] = ports;
    format!(
        r#"
auth: off
server:
  listen: "{listen}"
  admin: "{admin}"
log: {{ level: info }}
store: off
providers:
  flaky: {{ base_url: "http://127.0.0.1:{flaky}/v1", auth: none, models: {{ demo/chat: demo-model }} }}
  healthy: {{ base_url: "http://127.0.0.1:{healthy}/v1", auth: none, models: {{ demo/chat: demo-model }} }}
  slow: {{ base_url: "http://127.0.0.1:{slow}/v1", auth: none, models: {{ demo/chat: demo-model, demo/slow: demo-model }} }}
routes:
  - name: demo
    match: {{ models: ["demo/chat"] }}
    targets:
      - {{ provider: flaky }}
      - {{ provider: healthy }}
      - {{ provider: slow, tier: 2 }}
  - name: demo-slow
    match: {{ models: ["demo/slow"] }}
    targets:
      - {{ provider: slow }}
"#
    )
}

fn greeting(listen: SocketAddr, admin: SocketAddr) -> String {
    format!(
        r#"
Overspill serves three mock providers: one flaky, one healthy, one slow.

  curl -N -i http://{listen}/v1/chat/completions \
    -H 'content-type: application/json' \
    -d '{{"model": "demo/chat", "stream": true, "messages": [{{"role": "user", "content": "Hello"}}]}}'

The flaky provider fails every second time it is asked; x-overspill-trace in the answer's head says
who failed and who answered. The model `demo/slow` is served by the slow one alone.

  models:  http://{listen}/v1/models
  metrics: http://{admin}/metrics

Ctrl-C ends it.
"#
    )
}
