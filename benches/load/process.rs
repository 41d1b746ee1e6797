//! Other processes: where they run, what they cost, and their end.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::Outcome;

const SETTLED: &str = "LOAD_SETTLED";
const GENERATOR_CORE: &str = "0";
const PROXY_CORE: &str = "1";

/// A child that ends when it is dropped.
pub struct Process {
    child: Child,
}

/// As many files as a process may have open, if that was fewer and may be more; then whatever
/// was asked for.
const WITH_FILES: &str = r#"
    now="$(ulimit -n)"
    [ "$now" = unlimited ] || [ "$now" -ge "$FILES" ] || ulimit -S -n "$FILES" 2> /dev/null
    exec "$@"
"#;
/// Enough for a crowd: two ends of each of its connections, and some.
const FILES: usize = 8192;

/// Puts another run of this program in its place, on the generator's core if there are several,
/// and with room for enough open files, which its children inherit. Returns in that run.
pub fn settle_this() -> Outcome<()> {
    if std::env::var_os(SETTLED).is_some() {
        return Ok(());
    }
    let mut command = Command::new("sh");
    command.args(["-c", WITH_FILES, "load"]);
    if can_pin() {
        command.args(["taskset", "-c", GENERATOR_CORE]);
    }
    let error = command
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env("FILES", FILES.to_string())
        .env(SETTLED, "1")
        .exec();
    Err(error.into())
}

/// Whether this process may hold both ends of so many connections, in a sentence if not.
pub fn check_open_files(connections: usize) -> Outcome<()> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let soft = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|line| line.split_whitespace().next())
        .ok_or("no open files in /proc/self/limits")?;
    let needed = 2 * connections + 200;
    match soft.parse::<usize>() {
        Ok(soft) if soft < needed => {
            Err(format!("it needs {needed} open files, and {soft} are allowed: ulimit -n").into())
        }
        // A number that is large enough, or no limit.
        _ => Ok(()),
    }
}

/// Whether cores can be given out.
pub fn can_pin() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let works = Command::new("taskset")
            .args(["-c", PROXY_CORE, "true"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        works.is_ok_and(|status| status.success())
    })
}

impl Process {
    /// Starts a program on the proxies' core.
    pub fn start(program: &str, arguments: &[&str]) -> Outcome<Process> {
        let mut command = if can_pin() {
            let mut command = Command::new("taskset");
            command.args(["-c", PROXY_CORE, program]);
            command
        } else {
            Command::new(program)
        };
        let command = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = command
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        Ok(Process { child })
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The CPU time charged so far, in the kernel and outside it.
    pub fn cpu(&self) -> Outcome<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name, in parentheses, may hold anything; what follows it is numbers.
        let (_, numbers) = stat.rsplit_once(')').ok_or("no name in /proc/PID/stat")?;
        let mut times = numbers.split_whitespace().skip(11).map(str::parse::<u64>);
        let (Some(Ok(user)), Some(Ok(system))) = (times.next(), times.next()) else {
            return Err("no times in /proc/PID/stat".into());
        };
        let seconds = (user + system) as f64 / ticks_per_second();
        Ok(Duration::from_secs_f64(seconds))
    }

    /// Resident memory in MiB.
    pub fn memory(&self) -> Outcome<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: f64 = line
            .and_then(|line| line.split_whitespace().next())
            .ok_or("no VmRSS in /proc/PID/status")?
            .parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ticks_per_second() -> f64 {
    static TICKS: OnceLock<f64> = OnceLock::new();
    *TICKS.get_or_init(|| {
        let said = Command::new("getconf").arg("CLK_TCK").output().ok();
        let said = said.and_then(|output| String::from_utf8(output.stdout).ok());
        said.and_then(|text| text.trim().parse().ok())
            .unwrap_or(100.0)
    })
}
