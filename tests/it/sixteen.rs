//! The sixteen scenarios of a public failover benchmark: two providers in two tiers, one of them
//! in trouble, and a caller who is to get a complete answer all the same. As ordinary tests their
//! times are a twentieth; `make sixteen` runs them as they are and prints a scorecard.

mod before;
mod during;
mod outage;
mod scene;

use crate::harness::{Duration, Instant};
use scene::{Measured, Scene};
use std::pin::Pin;
use tokio::task::JoinHandle;

type Run = fn(Scene) -> Pin<Box<dyn Future<Output = ()> + Send>>;

struct Scenario {
    code: &'static str,
    what: &'static str,
    run: Run,
}

/// Each is a test of its own, and a line of the scorecard.
macro_rules! scenarios {
    ($($test:ident: $code:literal $what:literal $run:path;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                $run(Scene::quick()).await;
            }
        )*

        const SCENARIOS: [Scenario; 16] = [$(
            Scenario { code: $code, what: $what, run: |scene| Box::pin($run(scene)) },
        )*];
    };
}

scenarios! {
    s01: "S01" "429 with Retry-After 2, once" before::limited_once;
    s02: "S02" "429 for ever" before::limited_for_ever;
    s03: "S03" "500 once" before::failing_once;
    s04: "S04" "503 for ever" before::overloaded_for_ever;
    s05: "S05" "reset before the headers" before::reset;
    s06: "S06" "accepts and never answers" before::silent;
    s07: "S07" "first token after 20 s" before::slow_first_token;
    s08: "S08" "cut after 40 of 60 tokens" during::cut;
    s09: "S09" "stalls for 30 s after 20 tokens" during::stalled;
    s10: "S10" "malformed tenth event" during::malformed;
    s11: "S11" "no [DONE]" during::without_done;
    s12: "S12" "context length exceeded" before::too_long;
    s13: "S13" "content filter" before::filtered;
    s14: "S14" "cut, and the fallback refuses prefill" during::prefill_refused;
    s15: "S15" "down for 60 s and back" outage::flapping;
    s16: "S16" "accounting after failover" outage::accounting;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make sixteen"]
async fn scorecard() {
    let full = std::env::var("SIXTEEN").is_ok_and(|value| value == "full");
    let runs: Vec<_> = SCENARIOS
        .iter()
        .map(|scenario| {
            let scene = if full { Scene::full() } else { Scene::quick() };
            let measured = scene.measured.clone();
            (scenario, measured, tokio::spawn((scenario.run)(scene)))
        })
        .collect();
    let start = Instant::now();
    let mut table = format!(
        "\n{:4} {:40} {:8} {:20} {:>9} {:>9} {:>5} {:>9}\n",
        "", "scenario", "", "asked for", "first", "total", "one", "fallback"
    );
    let mut failed = 0;
    for (scenario, measured, run) in runs {
        let wrong = what_went_wrong(run).await;
        failed += usize::from(wrong.is_some());
        let verdict = if wrong.is_some() { "FAILED" } else { "passed" };
        table += &format!("{:4} {:40} {verdict:8}", scenario.code, scenario.what);
        let rows: Vec<_> = measured.lock().unwrap().iter().map(row).collect();
        table += &rows.join(&format!("\n{:54}", ""));
        table.push('\n');
        if let Some(wrong) = wrong {
            table += &format!("{:5}{wrong}\n", "");
        }
    }
    println!(
        "{table}\n{} of 16 passed, in {:?}",
        16 - failed,
        start.elapsed()
    );
    assert_eq!(failed, 0, "scenarios failed");
}

/// The first lines of the panic that ended a scenario.
async fn what_went_wrong(run: JoinHandle<()>) -> Option<String> {
    let error = run.await.err()?;
    let Ok(panic) = error.try_into_panic() else {
        return Some("cancelled".into());
    };
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("an unknown panic");
    let lines: Vec<_> = message.lines().take(3).collect();
    Some(lines.join(" | ").chars().take(240).collect())
}

fn row(measured: &Measured) -> String {
    let shown = |time: Option<Duration>| match time {
        Some(time) => format!("{} ms", time.as_millis()),
        None => "-".into(),
    };
    format!(
        " {:20} {:>9} {:>9} {:>5} {:>9}",
        measured.asked,
        shown(measured.first),
        shown(Some(measured.total)),
        measured.one,
        measured.two
    )
}
