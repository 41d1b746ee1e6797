//! What a process holds, as the kernel tells it.

use std::fs;

#[derive(Clone, Copy, Debug)]
pub struct Vitals {
    pub sockets: usize,
    pub threads: usize,
    /// Resident, in bytes.
    pub memory: u64,
}

impl Vitals {
    pub fn of(process: u32) -> Vitals {
        Vitals {
            sockets: sockets(process),
            threads: number(process, "Threads:") as usize,
            memory: number(process, "VmRSS:") * 1024,
        }
    }
}

fn sockets(process: u32) -> usize {
    let open = fs::read_dir(format!("/proc/{process}/fd")).expect("the open files");
    open.flatten()
        .filter_map(|file| fs::read_link(file.path()).ok())
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

/// The number in the line of `status` that begins so.
fn number(process: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the status");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_whitespace().next());
    value.and_then(|value| value.parse().ok()).expect(name)
}
