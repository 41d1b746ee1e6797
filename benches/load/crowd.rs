//! Many slow streams at once, and the memory of whoever stands in the middle of them.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::{JoinSet, LocalSet};

use crate::Outcome;
use crate::client::{Answered, Client};
use crate::contenders::Contender;
use crate::measure::Run;
use crate::scenario::{Load, Scenario};

/// Between two looks at the memory.
const LOOK: Duration = Duration::from_millis(50);

/// The most that was resident while all streams were open. An error if they never were.
pub async fn measure(scenario: &Scenario, contender: &Contender) -> Outcome<Run> {
    let Load::Crowd {
        connections,
        within,
    } = scenario.load
    else {
        return Err("this is no crowd".into());
    };
    let request: Rc<[u8]> = scenario.request().into();
    let apart = within / u32::try_from(connections)?;
    let began = Instant::now();
    let local = LocalSet::new();
    let crowd = local.run_until(crowd(request, contender.address, connections, apart));
    tokio::pin!(crowd);
    let mut looks = Vec::new();
    let answers = loop {
        tokio::select! {
            answers = &mut crowd => break answers?,
            () = tokio::time::sleep(LOOK) => {
                looks.extend(contender.memory().map(|mib| (Instant::now(), mib)));
            }
        }
    };
    let (Some(all_open), Some(one_ended)) = (
        answers.iter().map(|answered| answered.first).max(),
        answers.iter().map(|answered| answered.last).min(),
    ) else {
        return Err("nobody came".into());
    };
    if all_open + LOOK * 2 > one_ended {
        return Err("the first stream ended before the last one had begun".into());
    }
    let meanwhile = looks
        .into_iter()
        .filter(|(at, _)| (all_open..one_ended).contains(at));
    Ok(Run {
        requests: answers.len(),
        seconds: began.elapsed().as_secs_f64(),
        peak: meanwhile.map(|(_, mib)| mib).reduce(f64::max),
        ..Run::default()
    })
}

async fn crowd(
    request: Rc<[u8]>,
    address: SocketAddr,
    connections: usize,
    apart: Duration,
) -> Outcome<Vec<Answered>> {
    let mut tasks = JoinSet::new();
    for index in 0..connections {
        let request = request.clone();
        tasks.spawn_local(async move {
            tokio::time::sleep(apart * u32::try_from(index)?).await;
            Client::connect(address).await?.ask(&request).await
        });
    }
    let mut all = Vec::new();
    while let Some(answered) = tasks.join_next().await {
        all.push(answered??);
    }
    Ok(all)
}
