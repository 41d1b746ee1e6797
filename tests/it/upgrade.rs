//! One process takes over from another.

use crate::harness::answers::{DONE, event, last, part, sse_head, stream_reply};
use crate::harness::crowd::Crowd;
use crate::harness::gateway::Directory;
use crate::harness::*;
use std::sync::Arc;
use tokio::sync::Semaphore;

#[tokio::test]
async fn nobody_is_refused_while_generations_change() {
    let provider = Provider::start(|_, seen| match seen.json()["stream"].as_bool() {
        Some(true) => stream_reply(&seen.model(), "hello"),
        _ => chat_reply(seen),
    })
    .await;
    let runtime = Directory::new();
    let config = Config::one(&provider).env("RUNTIME_DIRECTORY", runtime.path().to_str().unwrap());
    let mut first = Gateway::start(&config).await;
    let crowd = Crowd::of(8, first.address);
    until("they are served", ms(10_000), || crowd.answered() > 20).await;
    let mut second = first.succeeded().await;
    assert_eq!(first.exit(ms(15_000)).await.code(), Some(0));
    // And what was taken over can be handed over again.
    let third = second.succeeded().await;
    assert_eq!(second.exit(ms(15_000)).await.code(), Some(0));
    let before = crowd.answered();
    until("they are served still", ms(10_000), || {
        crowd.answered() > before + 20
    })
    .await;
    crowd.leave().await;
    let ready = Request::get("/health/ready").to(third.admin).await;
    ready.expect(200);
}

#[tokio::test]
async fn a_stream_ends_in_the_process_it_began_in() {
    let gate = Arc::new(Semaphore::new(0));
    let end = gate.clone();
    let provider = Provider::start(move |turn, seen| {
        if turn > 0 {
            return chat_reply(seen);
        }
        vec![
            sse_head(),
            part(event("one-chat", "first")),
            Act::Gate(end.clone()),
            part(event("one-chat", "second")),
            part(DONE),
            last(),
        ]
    })
    .await;
    let directory = Directory::new();
    let socket = directory.path().join("sockets").join("up.sock");
    let config = Config::one(&provider).server(&format!("upgrade_socket: {}", socket.display()));
    let mut old = Gateway::start(&config).await;
    let mut conn = Conn::open(old.address).await;
    conn.send(&Request::chat(ASK_STREAM).bytes()).await;
    let head = conn.head().await;
    conn.body_until(&mut head.framing("POST"), "first").await;

    let new = old.succeeded().await;
    tokio::time::sleep(ms(6000)).await;
    assert!(!old.gone(), "{}", old.output());
    // The admin port is the successor's by now: it alone says whether it is ready.
    for _ in 0..10 {
        Request::get("/health/ready")
            .to(new.admin)
            .await
            .expect(200);
    }
    new.chat(ASK).await.expect(200);
    gate.add_permits(1);
    let rest = conn.rest(head, "POST").await.expect(200);
    assert!(rest.text().ends_with(DONE), "{}", rest.text());
    assert_eq!(old.exit(ms(3000)).await.code(), Some(0));
    new.chat(ASK).await.expect(200);
}

#[tokio::test]
async fn an_address_that_is_taken_keeps_no_successor_from_the_others() {
    let provider = Provider::well().await;
    let runtime = Directory::new();
    let config = Config::one(&provider).env("RUNTIME_DIRECTORY", runtime.path().to_str().unwrap());
    let mut old = Gateway::start(&config).await;
    let occupant = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = occupant.local_addr().unwrap();
    old.rewrite(&config.listen(&format!("[ADDRESS, \"{taken}\"]")));
    let new = old.succeeded().await;
    assert_eq!(old.exit(ms(15_000)).await.code(), Some(0));
    let said = format!("cannot listen on {taken}");
    assert!(new.output().contains(&said), "{}", new.output());
    new.chat(ASK).await.expect(200);
    drop(occupant);
}

#[tokio::test]
async fn told_to_hand_over_to_nobody_it_goes_on() {
    let provider = Provider::well().await;
    let runtime = Directory::new();
    let config = Config::one(&provider).env("RUNTIME_DIRECTORY", runtime.path().to_str().unwrap());
    let gateway = Gateway::start(&config).await;
    gateway.signal("QUIT");
    until("it gives up", ms(10_000), || {
        gateway.output().contains("no successor")
    })
    .await;
    gateway.chat(ASK).await.expect(200);
    Request::get("/health/ready")
        .to(gateway.admin)
        .await
        .expect(200);
}

#[tokio::test]
async fn a_successor_to_nobody_says_so() {
    let directory = Directory::new();
    let provider = Provider::well().await;
    let address = crate::harness::gateway::free_address().to_string();
    let yaml = Config::one(&provider)
        .server("admin: off")
        .yaml(&address, "");
    let file = directory.write("overspill.yaml", yaml);
    let runtime = directory.path().to_str().unwrap().to_owned();
    let environment = [("RUNTIME_DIRECTORY".to_owned(), runtime)];
    let arguments = ["serve", "--upgrade", "-c", file.to_str().unwrap()];
    let run = || crate::harness::gateway::run(&arguments, &environment);
    let output = run();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("no gateway handed its sockets over"),
        "{said}"
    );

    // Where others may come in, sockets are not passed.
    use std::os::unix::fs::PermissionsExt;
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory.path().join("overspill"), open).unwrap();
    let output = run();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("mode 700"), "{said}");
}
