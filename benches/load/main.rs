//! The gateway end to end, beside what else could stand in its place: nothing at all, a bare
//! Pingora pass-through, nginx and haproxy. `cargo bench --bench load [-- --quick --only 1k,open]`.
//!
//! Each proxy has one core to itself; the load generator and the provider share another. CPU time
//! is what the kernel charged the proxy's process. Every measurement is repeated, the contenders
//! taking turns, and the median is shown with the spread, because machines are noisy.

mod bare;
mod client;
mod contenders;
mod crowd;
mod measure;
mod options;
mod process;
mod report;
mod scenario;

use std::process::ExitCode;

use overspill::mock::{self, Behaviour};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use contenders::Contenders;
use options::Options;
use scenario::Load;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Outcome<T> = Result<T, Failure>;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, listen, upstream] = arguments.as_slice()
        && word == options::BARE
    {
        bare::serve(listen, upstream)?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options::read(&arguments)?;
    process::settle_this()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Latency is measured by spinning on the clock; the sockets must be looked at as often.
        .event_interval(1)
        .build()?
        .block_on(async {
            // Leaving this way ends the children; a signal's own way would not.
            let mut terminate = signal(SignalKind::terminate())?;
            tokio::select! {
                compared = compare(&options) => compared.map(|()| ExitCode::SUCCESS),
                _ = tokio::signal::ctrl_c() => Ok(ExitCode::FAILURE),
                _ = terminate.recv() => Ok(ExitCode::FAILURE),
            }
        })
}

async fn compare(options: &Options) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let provider = listener.local_addr()?;
    tokio::spawn(mock::serve(listener, Behaviour::default()));
    let contenders = Contenders::start(provider).await?;
    report::opening(options, &contenders);
    for scenario in scenario::all()
        .into_iter()
        .filter(|scenario| options.wants(scenario.name))
    {
        if let Load::Crowd { connections, .. } = scenario.load {
            if let Err(why) = process::check_open_files(connections) {
                println!("\nwithout {}: {why}", scenario.name);
                continue;
            }
            // What went before is not to be seen in anyone's memory.
            let fresh = Contenders::start(provider).await?;
            let runs = measure::take_turns(&scenario, &fresh, options).await?;
            report::crowd(&scenario, &fresh, &runs);
            continue;
        }
        let runs = measure::take_turns(&scenario, &contenders, options).await?;
        report::table(&scenario, &runs);
    }
    report::memory(&contenders);
    Ok(())
}
