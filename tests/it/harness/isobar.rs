//! The binary as a real child process, with an environment that holds only what the test says.
//!
//! A developer's own `REDIS_URL` or `.env` can never reach a test: the environment is empty but for
//! the path, and the working folder is the test's data folder. Output goes to files, so a child
//! that was killed can still be asked what it said. The child ends with the test (see `guard`).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::guard::{Guarded, Spec, clean_environment, tail};
use super::wait::{LONG_PATIENCE, within};

/// One invocation: `Isobar::new(dir).env("REDIS_URL", url).args(["produce", "--json"]).run()`.
#[derive(Clone, Debug)]
pub struct Isobar {
    dir: PathBuf,
    program: PathBuf,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    input: Option<Vec<u8>>,
}

/// What a finished invocation left.
#[derive(Debug)]
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// An invocation that is still running; dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Guarded,
    arguments: Vec<String>,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Isobar {
    /// `dir` is the working folder and the data folder (`ISOBAR_DATA_DIR`).
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            program: PathBuf::from(env!("CARGO_BIN_EXE_isobar")),
            environment: clean_environment(),
            arguments: Vec::new(),
            input: None,
        }
        .env("HOME", dir.to_string_lossy())
        .env("ISOBAR_DATA_DIR", dir.to_string_lossy())
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    #[must_use]
    pub fn args<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// What the child reads from standard input; nothing unless said.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// No file of the child may become larger, which is to it as if the disk were full.
    #[must_use]
    pub fn with_files_up_to(self, bytes: u64) -> Self {
        self.limited(format!("--fsize={bytes}"))
    }

    /// The child gets no more than so much memory, and its own children neither.
    #[must_use]
    pub fn with_memory_up_to(self, bytes: u64) -> Self {
        self.limited(format!("--as={bytes}"))
    }

    fn limited(mut self, limit: String) -> Self {
        let program = std::mem::replace(&mut self.program, "prlimit".into());
        let limited = [limit, program.to_string_lossy().into_owned()];
        self.arguments.splice(0..0, limited);
        self
    }

    /// As a service manager or a shell may set it.
    #[must_use]
    pub fn with_umask(mut self, umask: &str) -> Self {
        let program = std::mem::replace(&mut self.program, "sh".into());
        let script = format!("umask {umask}; exec \"$0\" \"$@\"");
        let under_it = ["-c".to_owned(), script, program.to_string_lossy().into_owned()];
        self.arguments.splice(0..0, under_it);
        self
    }

    /// With a soft limit of open files, as service managers set it, and a hard one.
    #[must_use]
    pub fn with_open_files(mut self, soft: u64, hard: u64) -> Self {
        let program = std::mem::replace(&mut self.program, "prlimit".into());
        let limited = [format!("--nofile={soft}:{hard}"), program.to_string_lossy().into_owned()];
        self.arguments.splice(0..0, limited);
        self
    }

    pub async fn run(&self) -> Finished {
        let mut running = self.spawn();
        let code = running.wait(LONG_PATIENCE).await;
        Finished { code, stdout: read(&running.stdout), stderr: read(&running.stderr) }
    }

    /// On a host whose clock is an hour ahead (`+`) or behind (`-`).
    #[must_use]
    pub fn an_hour(self, which: &str) -> Self {
        let folders = std::fs::read_dir("/usr/lib").expect("a folder").flatten();
        let library = folders
            .map(|folder| folder.path().join("faketime/libfaketime.so.1"))
            .find(|library| library.exists())
            .expect("libfaketime is not installed; tests/run does that");
        self.env("LD_PRELOAD", library.to_string_lossy())
            .env("FAKETIME", format!("{which}1h"))
            // How long something takes is the same on every host.
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    /// On a host whose clock a test sets while the child runs: `file` holds the difference, `+2h`.
    #[must_use]
    pub fn clock_of(self, file: &Path) -> Self {
        let mut isobar = self.an_hour("+");
        // It would win over the file.
        isobar.environment.retain(|(name, _)| name != "FAKETIME");
        isobar.env("FAKETIME_TIMESTAMP_FILE", file.to_string_lossy()).env("FAKETIME_NO_CACHE", "1")
    }

    pub fn spawn(&self) -> Running {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let file = |what: &str| self.dir.join(format!("it-{number}.{what}"));
        let (stdout, stderr, stdin) = (file("stdout"), file("stderr"), file("stdin"));
        if let Some(input) = &self.input {
            std::fs::write(&stdin, input).expect("write the child's input");
        }
        let child = Guarded::start(&Spec {
            program: self.program.as_os_str(),
            arguments: self.arguments.iter().map(OsStr::new).collect(),
            environment: self.environment.clone(),
            working_dir: &self.dir,
            input: self.input.is_some().then_some(stdin.as_path()),
            stdout: stdout.clone(),
            stderr: stderr.clone(),
            last_signal: "KILL",
            remove: None,
        });
        Running { child, arguments: self.arguments.clone(), stdout, stderr }
    }
}

impl Finished {
    /// The one object that `--json` prints.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// Fails with everything that was said unless the exit code is the expected one.
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

impl Running {
    pub async fn kill9(&mut self) {
        self.child.kill9().await;
    }

    pub fn pid(&self) -> u32 {
        self.child.child_of("isobar")
    }

    /// From now on no file of the child may become larger than so many bytes.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let bytes = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let pid = self.child.child_of("isobar").to_string();
        let limit = format!("--fsize={bytes}:unlimited");
        let mut prlimit = std::process::Command::new("prlimit");
        let limited = prlimit.args(["--pid", &pid, &limit]).status().expect("prlimit");
        assert!(limited.success());
    }

    /// Resident memory and open files, as the kernel counts them.
    pub fn uses(&self) -> (u64, u64) {
        let pid = self.child.child_of("isobar");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|text| text.trim().strip_suffix(" kB")).expect("memory in kB");
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count();
        (kib.trim().parse::<u64>().expect("a number") * 1024, files as u64)
    }

    /// SIGTERM, the way in which every supervisor asks a process to finish.
    pub fn terminate(&mut self) {
        self.child.signal("TERM");
    }

    /// The exit code; panics with what was said when the child is still running at the limit.
    pub async fn wait(&mut self, limit: Duration) -> i32 {
        let code = within(limit, async || self.child.exit_code()).await;
        code.unwrap_or_else(|| {
            panic!(
                "waited {limit:?} in vain until `isobar {}` ends; it said last:\n{}",
                self.arguments.join(" "),
                tail(&self.stderr)
            )
        })
    }

    pub fn is_running(&mut self) -> bool {
        self.child.exit_code().is_none()
    }

    pub fn stdout_so_far(&self) -> String {
        read(&self.stdout)
    }

    pub fn stderr_so_far(&self) -> String {
        read(&self.stderr)
    }

    /// The first whole line of standard error that fits.
    pub async fn wait_for_line(&self, fits: impl Fn(&str) -> bool, limit: Duration) -> String {
        let line = within(limit, async || {
            let said = self.stderr_so_far();
            let whole = said.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            whole.map(str::trim_end).find(|line| fits(line)).map(str::to_owned)
        });
        line.await.unwrap_or_else(|| {
            panic!("waited {limit:?} in vain for a line that fits in:\n{}", tail(&self.stderr))
        })
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::wait::PATIENCE;

    #[tokio::test]
    async fn a_child_sees_only_the_environment_that_the_test_gives() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let shown = shell(dir.path(), "env; pwd")
            .env("REDIS_URL", "redis://given")
            .run()
            .await
            .expect_code(0);
        let names: Vec<&str> =
            shown.stdout.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        let known = [
            "PATH",
            "LC_ALL",
            "HOME",
            "TMPDIR",
            "PWD",
            "OLDPWD",
            "SHLVL",
            "_",
            "LLVM_PROFILE_FILE",
            "ISOBAR_DATA_DIR",
            "REDIS_URL",
        ];
        assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
        assert!(shown.stdout.contains("REDIS_URL=redis://given\n"));
        assert!(
            shown.stdout.contains(&*dir.path().canonicalize().expect("path").to_string_lossy())
        );
    }

    #[tokio::test]
    async fn a_child_can_be_fed_watched_terminated_and_killed() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let fed = shell(dir.path(), "cat; exit 3").input("{\"rows\":20}").run().await;
        assert_eq!((fed.code, fed.json()["rows"].as_u64()), (3, Some(20)));

        let patient =
            "trap 'echo draining; exit 0' TERM; echo up >&2; while :; do sleep 0.01; done";
        let mut running = shell(dir.path(), patient).spawn();
        assert_eq!(running.wait_for_line(|line| line == "up", PATIENCE).await, "up");
        assert!(running.is_running());
        running.terminate();
        assert_eq!(
            (running.wait(PATIENCE).await, running.stdout_so_far()),
            (0, "draining\n".to_owned())
        );

        let mut running = shell(dir.path(), patient).spawn();
        running.kill9().await;
        assert_eq!(running.wait(PATIENCE).await, 128 + 9);
    }

    /// The same machinery around a program whose behaviour the test can write down.
    fn shell(dir: &Path, script: &str) -> Isobar {
        Isobar { program: "/bin/sh".into(), ..Isobar::new(dir) }.args(["-c", script])
    }
}
