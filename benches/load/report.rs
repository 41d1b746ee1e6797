//! What is printed.

use crate::contenders::{BARE, Contenders, DIRECT};
use crate::measure::{Run, quantile};
use crate::options::Options;
use crate::process::can_pin;
use crate::scenario::{Load, Scenario};

/// A median with its extremes.
#[derive(Clone, Copy)]
struct Figure {
    low: f64,
    median: f64,
    high: f64,
}

impl Figure {
    fn of(runs: &[Run], value: impl Fn(&Run) -> Option<f64>) -> Option<Figure> {
        let mut values: Vec<f64> = runs.iter().filter_map(value).collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        Some(Figure {
            low,
            median: quantile(&values, 0.5),
            high,
        })
    }

    fn show(self, digits: usize) -> String {
        let Figure { low, median, high } = self;
        format!("{median:.digits$} ({low:.digits$}-{high:.digits$})")
    }
}

type Runs<'a> = [(&'a str, Vec<Run>)];

pub fn opening(options: &Options, contenders: &Contenders) {
    let pinned = match can_pin() {
        true => "proxies on core 1, load generator and provider on core 0",
        false => "not pinned: taskset or a second core is missing",
    };
    let (rounds, seconds) = (options.rounds(), options.time().as_secs_f64());
    println!("{rounds} rounds of {seconds} s each, in turns; median (lowest-highest); {pinned}");
    for (name, why) in &contenders.absent {
        println!("without {name}: {why}");
    }
}

pub fn table(scenario: &Scenario, runs: &Runs<'_>) {
    println!("\n{}: {}", scenario.name, scenario.title);
    let rows: Vec<Vec<String>> = match (scenario.load, scenario.stream) {
        (Load::Open { .. }, _) => runs
            .iter()
            .map(|(name, own)| added(name, own, runs))
            .collect(),
        (_, None) => runs
            .iter()
            .map(|(name, own)| requests(name, own, runs))
            .collect(),
        (_, Some(stream)) => {
            let events = f64::from(stream.events());
            runs.iter()
                .map(|(name, own)| streams(name, own, runs, events))
                .collect()
        }
    };
    let heads: &[&str] = match (scenario.load, scenario.stream) {
        (Load::Open { .. }, _) => &[
            "",
            "p50 ms",
            "p99 ms",
            "added p50 ms",
            "added p99 ms",
            "CPU us/request",
        ],
        (_, None) => &[
            "",
            "CPU us/request",
            "x bare",
            "requests/s",
            "p50 ms",
            "p90 ms",
            "p99 ms",
            "busy",
        ],
        (_, Some(_)) => &[
            "",
            "CPU us/event",
            "x bare",
            "events/s",
            "first p50 ms",
            "first p99 ms",
            "added p50 ms",
            "added p99 ms",
            "busy",
        ],
    };
    print(heads, &rows);
}

pub fn memory(contenders: &Contenders) {
    println!("\nmemory: resident MiB");
    let show = |value: Option<f64>| value.map_or("-".to_owned(), |mib| format!("{mib:.1}"));
    let rows: Vec<Vec<String>> = contenders
        .all()
        .iter()
        .filter(|contender| contender.name != DIRECT)
        .map(|one| {
            vec![
                one.name.to_owned(),
                show(one.idle_memory),
                show(one.memory()),
            ]
        })
        .collect();
    print(&["", "idle", "after the load"], &rows);
}

fn requests(name: &str, own: &[Run], all: &Runs<'_>) -> Vec<String> {
    let mut row = vec![name.to_owned()];
    row.extend(cost(own, all, 1.0));
    row.push(show(own, 0, |run| Some(run.requests as f64 / run.seconds)));
    for share in [0.5, 0.9, 0.99] {
        row.push(show(own, 3, |run| {
            Some(quantile(&run.latency, share) / 1e3)
        }));
    }
    row.push(busy(own));
    row
}

fn streams(name: &str, own: &[Run], all: &Runs<'_>, events: f64) -> Vec<String> {
    let mut row = vec![name.to_owned()];
    row.extend(cost(own, all, events));
    row.push(show(own, 0, |run| {
        Some(run.requests as f64 * events / run.seconds)
    }));
    for share in [0.5, 0.99] {
        row.push(show(own, 3, |run| Some(quantile(&run.first, share) / 1e3)));
    }
    for share in [0.5, 0.99] {
        row.push(beyond_direct(name, own, all, |run| {
            quantile(&run.first, share) / 1e3
        }));
    }
    row.push(busy(own));
    row
}

fn added(name: &str, own: &[Run], all: &Runs<'_>) -> Vec<String> {
    let mut row = vec![name.to_owned()];
    for share in [0.5, 0.99] {
        row.push(show(own, 3, |run| {
            Some(quantile(&run.latency, share) / 1e3)
        }));
    }
    for share in [0.5, 0.99] {
        row.push(beyond_direct(name, own, all, |run| {
            quantile(&run.latency, share) / 1e3
        }));
    }
    row.push(show(own, 1, Run::cpu_per_request));
    row
}

/// CPU per so many parts of a request, and how that compares with the bare pass-through.
fn cost(own: &[Run], all: &Runs<'_>, parts: f64) -> [String; 2] {
    let median = |runs: &[Run]| Figure::of(runs, Run::cpu_per_request).map(|cpu| cpu.median);
    let bare = all
        .iter()
        .find(|(name, _)| *name == BARE)
        .and_then(|(_, runs)| median(runs));
    let ratio = median(own).zip(bare).map(|(own, bare)| own / bare);
    [
        show(own, 1, |run| run.cpu_per_request().map(|cpu| cpu / parts)),
        ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
    ]
}

/// The median over the rounds of what this one took beyond no proxy in the same round.
fn beyond_direct(name: &str, own: &[Run], all: &Runs<'_>, value: impl Fn(&Run) -> f64) -> String {
    let direct = all.iter().find(|(name, _)| *name == DIRECT);
    let Some((_, direct)) = direct.filter(|_| name != DIRECT) else {
        return "-".to_owned();
    };
    let mut beyond: Vec<f64> = own
        .iter()
        .zip(direct)
        .map(|(own, direct)| value(own) - value(direct))
        .collect();
    beyond.sort_by(f64::total_cmp);
    format!("{:.3}", quantile(&beyond, 0.5))
}

/// How much of its core the proxy used: near 100 %, it was the limit.
fn busy(own: &[Run]) -> String {
    let share = |run: &Run| run.cpu.map(|cpu| 100.0 * cpu / run.seconds);
    Figure::of(own, share).map_or("-".to_owned(), |busy| format!("{:.0} %", busy.median))
}

fn show(own: &[Run], digits: usize, value: impl Fn(&Run) -> Option<f64>) -> String {
    Figure::of(own, value).map_or("-".to_owned(), |figure| figure.show(digits))
}

fn print(heads: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(String::len);
        let head = heads.get(column).map_or(0, |head| head.len());
        cells.max().unwrap_or(0).max(head)
    };
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells
            .enumerate()
            .map(|(column, cell)| match column {
                0 => format!("{cell:<0$}", width(0)),
                _ => format!("{cell:>0$}", width(column)),
            })
            .collect();
        println!("  {}", padded.join("  "));
    };
    line(&mut heads.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}
