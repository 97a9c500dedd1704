//! Process metrics: version, start time, memory, files and processor time.
//!
//! They are read from `/proc`, so on other systems than Linux only version and start time exist.
//! The names are those of Prometheus' own client libraries with our prefix.

use std::fs;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::exposition::Exposition;
use crate::metric::{Label, Metric};

const BUILD: Metric = Metric::gauge("isobar_build_info", "Always 1; the label is the version.")
    .with_labels(&[Label::dynamic("version")]);
const START: Metric = Metric::gauge(
    "isobar_process_start_time_seconds",
    "When the process started, in seconds since the epoch.",
);
const MEMORY: Metric =
    Metric::gauge("isobar_process_resident_memory_bytes", "Memory of the process in RAM.");
const DESCRIPTORS: Metric =
    Metric::gauge("isobar_process_open_fds", "Open file descriptors of the process.");
const CPU: Metric =
    Metric::counter("isobar_process_cpu_seconds_total", "Processor time of the process.").scraped();

/// The metrics that [`put`] writes.
pub const METRICS: &[Metric] = &[BUILD, START, MEMORY, DESCRIPTORS, CPU];

/// The kernel reports process time in hundredths of a second, whatever its own clock rate is.
const TICKS_PER_SECOND: f64 = 100.0;

/// When the process started, since the epoch. The binary calls this first.
pub fn mark_started() -> Duration {
    static STARTED: OnceLock<Duration> = OnceLock::new();
    *STARTED.get_or_init(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

pub fn add(page: &mut Exposition) {
    page.add_series(&BUILD, [([env!("CARGO_PKG_VERSION")], 1.0)]);
    page.add(&START, mark_started().as_secs_f64());
    if let Some(kib) = resident_kib(&read("status")) {
        page.add(&MEMORY, kib * 1024.0);
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        page.add(&DESCRIPTORS, descriptors.count() as f64);
    }
    if let Some(ticks) = ticks(&read("stat")) {
        page.add(&CPU, ticks / TICKS_PER_SECOND);
    }
}

fn read(name: &str) -> String {
    fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default()
}

fn resident_kib(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Time in user mode and in the kernel: the 14th and the 15th field. The second field is the
/// program's name in parentheses with any characters, so counting starts after the last one.
fn ticks(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11).map(str::parse::<f64>);
    Some(fields.next()?.ok()? + fields.next()?.ok()?)
}

/// The name of this host, for people: what must be unique adds a UUID.
pub fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_kernel_are_parsed() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 3 0 99 1 2";
        assert_eq!(ticks(stat), Some(300.0));
        assert_eq!(resident_kib("VmPeak:\t 9 kB\nVmRSS:\t    2048 kB\n"), Some(2048.0));
        assert_eq!((ticks(""), resident_kib("")), (None, None));
    }
}
