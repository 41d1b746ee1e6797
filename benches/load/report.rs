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
    let seconds = options.time().as_secs_f64();
    println!("rounds of {seconds} s each, in turns; median (lowest-highest); {pinned}");
    for (name, why) in &contenders.absent {
        println!("without {name}: {why}");
    }
}

pub fn table(scenario: &Scenario, runs: &Runs<'_>) {
    println!("\n{}: {}", scenario.name, scenario.title);
    let (heads, row): (&[&str], Row) = match (scenario.load, scenario.stream) {
        (Load::Open { .. }, _) => (
            &["", "p50 ms", "p99 ms", "added p50 ms", "added p99 ms"],
            open,
        ),
        (_, None) => (
            &[
                "",
                "CPU us/request",
                "x bare",
                "requests/s",
                "p50 ms",
                "p90 ms",
                "p99 ms",
                "busy",
            ],
            requests,
        ),
        (_, Some(stream)) if stream.pace.is_zero() => (
            &[
                "",
                "CPU us/event",
                "x bare",
                "events/s",
                "stream p50 ms",
                "stream p99 ms",
                "busy",
            ],
            streams_at_once,
        ),
        (_, Some(_)) => (
            &[
                "",
                "CPU us/event",
                "x bare",
                "delay p50 ms",
                "delay p99 ms",
                "added p50 ms",
                "added p99 ms",
                "busy",
            ],
            streams_in_time,
        ),
    };
    let events = scenario
        .stream
        .map_or(1.0, |stream| f64::from(stream.events()));
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|(name, own)| {
            let mut cells = vec![(*name).to_owned()];
            cells.extend(row(&Line {
                name,
                own,
                all: runs,
                events,
            }));
            cells
        })
        .collect();
    print(heads, &rows);
}

/// What each stream of a crowd costs.
pub fn crowd(scenario: &Scenario, contenders: &Contenders, runs: &Runs<'_>) {
    println!("\n{}: {}", scenario.name, scenario.title);
    let rows: Vec<Vec<String>> = contenders
        .all()
        .iter()
        .zip(runs)
        .filter(|(contender, _)| contender.name != DIRECT)
        .map(|(contender, (_, own))| {
            let idle = contender.idle_memory;
            let grown = |run: &Run| Some(run.peak? - idle?);
            let each = |run: &Run| Some(grown(run)? * 1024.0 / run.requests as f64);
            vec![
                contender.name.to_owned(),
                idle.map_or("-".to_owned(), |mib| format!("{mib:.1}")),
                show(own, 1, |run| run.peak),
                show(own, 1, grown),
                show(own, 1, each),
            ]
        })
        .collect();
    let heads = ["", "idle MiB", "peak MiB", "growth MiB", "KiB/stream"];
    print(&heads, &rows);
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

/// One contender among all.
struct Line<'a> {
    name: &'a str,
    own: &'a [Run],
    all: &'a Runs<'a>,
    /// In each answer.
    events: f64,
}

type Row = fn(&Line<'_>) -> Vec<String>;

fn requests(line: &Line<'_>) -> Vec<String> {
    let mut row = Vec::from(cost(line));
    row.push(rate(line));
    row.extend([0.5, 0.9, 0.99].map(|share| millis(line.own, share, whole)));
    row.push(busy(line.own));
    row
}

fn streams_at_once(line: &Line<'_>) -> Vec<String> {
    let mut row = Vec::from(cost(line));
    row.push(rate(line));
    row.extend([0.5, 0.99].map(|share| millis(line.own, share, whole)));
    row.push(busy(line.own));
    row
}

fn streams_in_time(line: &Line<'_>) -> Vec<String> {
    let mut row = Vec::from(cost(line));
    row.extend([0.5, 0.99].map(|share| millis(line.own, share, delay)));
    row.extend([0.5, 0.99].map(|share| beyond_direct(line, share, delay)));
    row.push(busy(line.own));
    row
}

fn open(line: &Line<'_>) -> Vec<String> {
    let mut row = Vec::from([0.5, 0.99].map(|share| millis(line.own, share, whole)));
    row.extend([0.5, 0.99].map(|share| beyond_direct(line, share, whole)));
    row
}

type Times = fn(&Run) -> &[f64];

fn whole(run: &Run) -> &[f64] {
    &run.latency
}

fn delay(run: &Run) -> &[f64] {
    &run.delays
}

fn millis(own: &[Run], share: f64, times: Times) -> String {
    show(own, 3, |run| Some(quantile(times(run), share) / 1e3))
}

fn rate(line: &Line<'_>) -> String {
    show(line.own, 0, |run| {
        Some(run.requests as f64 * line.events / run.seconds)
    })
}

/// CPU for each event of an answer, and how that compares with the bare pass-through.
fn cost(line: &Line<'_>) -> [String; 2] {
    let median = |runs: &[Run]| Figure::of(runs, Run::cpu_per_request).map(|cpu| cpu.median);
    let bare = line
        .all
        .iter()
        .find(|(name, _)| *name == BARE)
        .and_then(|(_, runs)| median(runs));
    let ratio = median(line.own).zip(bare).map(|(own, bare)| own / bare);
    [
        show(line.own, 1, |run| {
            run.cpu_per_request().map(|cpu| cpu / line.events)
        }),
        ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
    ]
}

/// The median over the rounds of what this one took beyond no proxy in the same round.
fn beyond_direct(line: &Line<'_>, share: f64, times: Times) -> String {
    let direct = line.all.iter().find(|(name, _)| *name == DIRECT);
    let Some((_, direct)) = direct.filter(|_| line.name != DIRECT) else {
        return "-".to_owned();
    };
    let millis = |run: &Run| quantile(times(run), share) / 1e3;
    let mut beyond: Vec<f64> = line
        .own
        .iter()
        .zip(direct)
        .map(|(own, direct)| millis(own) - millis(direct))
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
