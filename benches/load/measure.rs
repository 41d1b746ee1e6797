//! One measurement, and many in turns.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::{LocalSet, yield_now};

use crate::Outcome;
use crate::client::Client;
use crate::contenders::{Contender, Contenders};
use crate::crowd;
use crate::options::Options;
use crate::scenario::{Load, Scenario, Stream};

/// What one run gave.
#[derive(Clone, Default)]
pub struct Run {
    pub requests: usize,
    pub seconds: f64,
    /// CPU time of the proxy's process in seconds; none for no proxy.
    pub cpu: Option<f64>,
    /// From being sent, or from being due, in microseconds, sorted.
    pub latency: Vec<f64>,
    /// Of each event, from the provider's write to the client's read.
    pub delays: Vec<f64>,
    /// The most MiB that were resident while all streams of a crowd were open.
    pub peak: Option<f64>,
}

impl Run {
    pub fn cpu_per_request(&self) -> Option<f64> {
        self.cpu.map(|cpu| cpu * 1e6 / self.requests.max(1) as f64)
    }
}

/// The value below which this share of the sorted samples lies.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get((last as f64 * share).round() as usize)
        .copied()
        .unwrap_or(f64::NAN)
}

/// All the rounds of one scenario, by contender.
pub async fn take_turns<'a>(
    scenario: &Scenario,
    contenders: &'a Contenders,
    options: &Options,
) -> Outcome<Vec<(&'a str, Vec<Run>)>> {
    let mut runs: Vec<(&str, Vec<Run>)> = contenders
        .all()
        .iter()
        .map(|contender| (contender.name, Vec::new()))
        .collect();
    for _ in 0..options.rounds(scenario.load) {
        for (contender, (_, runs)) in contenders.all().iter().zip(&mut runs) {
            if let Load::Crowd { .. } = scenario.load {
                let run = crowd::measure(scenario, contender).await;
                let run =
                    run.map_err(|error| format!("{}, {}: {error}", scenario.name, contender.name));
                runs.push(run?);
                continue;
            }
            load(scenario, contender.address, options.warm_up())
                .await
                .map_err(|error| format!("{}, {}: {error}", scenario.name, contender.name))?;
            runs.push(measure(scenario, contender, options.time()).await?);
        }
    }
    Ok(runs)
}

async fn measure(scenario: &Scenario, contender: &Contender, time: Duration) -> Outcome<Run> {
    let before = contender.cpu()?;
    let began = Instant::now();
    let samples = load(scenario, contender.address, time)
        .await
        .map_err(|error| format!("{}, {}: {error}", scenario.name, contender.name))?;
    let seconds = began.elapsed().as_secs_f64();
    let after = contender.cpu()?;
    let cpu = before
        .zip(after)
        .map(|(before, after)| (after - before).as_secs_f64());
    let sorted = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values
    };
    Ok(Run {
        requests: samples.len(),
        seconds,
        cpu,
        latency: sorted(samples.iter().map(|sample| sample.whole).collect()),
        delays: sorted(samples.into_iter().flat_map(|one| one.delays).collect()),
        peak: None,
    })
}

/// Microseconds from the start of one request.
struct Sample {
    whole: f64,
    delays: Vec<f64>,
}

async fn load(scenario: &Scenario, address: SocketAddr, time: Duration) -> Outcome<Vec<Sample>> {
    let request: Rc<[u8]> = scenario.request().into();
    let local = LocalSet::new();
    match scenario.load {
        Load::Closed { connections } => {
            let stamped = scenario.stream.is_some_and(|stream| stream.stamped);
            // Streams that begin together stay together; spread over the time of one.
            let apart = scenario.stream.map_or(Duration::ZERO, Stream::time) / connections as u32;
            local
                .run_until(closed(
                    request,
                    address,
                    time,
                    (connections, apart, stamped),
                ))
                .await
        }
        Load::Open { per_second } => {
            local
                .run_until(open(request, address, time, per_second))
                .await
        }
        Load::Crowd { .. } => Err("a crowd is measured in its own way".into()),
    }
}

async fn closed(
    request: Rc<[u8]>,
    address: SocketAddr,
    time: Duration,
    (connections, apart, stamped): (usize, Duration, bool),
) -> Outcome<Vec<Sample>> {
    let end = Instant::now() + time;
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..connections {
        let request = request.clone();
        tasks.spawn_local(async move {
            tokio::time::sleep(apart * index as u32).await;
            let mut client = Client::connect(address).await?;
            if stamped {
                client.expect_stamps();
            }
            let mut samples = Vec::new();
            while Instant::now() < end {
                let start = Instant::now();
                samples.push(ask(&mut client, &request, start).await?);
            }
            Outcome::Ok(samples)
        });
    }
    let mut all = Vec::new();
    while let Some(samples) = tasks.join_next().await {
        all.extend(samples??);
    }
    Ok(all)
}

async fn open(
    request: Rc<[u8]>,
    address: SocketAddr,
    time: Duration,
    per_second: u32,
) -> Outcome<Vec<Sample>> {
    let idle = Rc::new(RefCell::new(Vec::new()));
    let mut tasks = tokio::task::JoinSet::new();
    let began = Instant::now();
    let interval = Duration::from_secs(1) / per_second.max(1);
    let mut due = began;
    while due < began + time {
        // A timer is a millisecond coarse, which is more than what is measured here.
        while Instant::now() < due {
            yield_now().await;
        }
        let (request, idle) = (request.clone(), idle.clone());
        tasks.spawn_local(async move {
            let kept = idle.borrow_mut().pop();
            let mut client = match kept {
                Some(client) => client,
                None => Client::connect(address).await?,
            };
            let sample = ask(&mut client, &request, due).await?;
            idle.borrow_mut().push(client);
            Outcome::Ok(sample)
        });
        due += interval;
    }
    let mut all = Vec::new();
    while let Some(sample) = tasks.join_next().await {
        all.push(sample??);
    }
    Ok(all)
}

async fn ask(client: &mut Client, request: &[u8], start: Instant) -> Outcome<Sample> {
    let answered = client.ask(request).await?;
    Ok(Sample {
        whole: answered.last.duration_since(start).as_secs_f64() * 1e6,
        delays: answered.delays,
    })
}
