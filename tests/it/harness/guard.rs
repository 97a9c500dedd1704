//! A child process that never outlives the test process, not even when that is killed with -9.
//!
//! Every server and every `isobar` of the tests runs under `guard.sh`, a few lines of shell that
//! hold a pipe from this process. The kernel closes the pipe when this process ends, for whatever
//! reason, and the shell then ends its own child by its process id and removes its folder. No
//! `unsafe`, no `pkill`, nothing that could hit a process that we did not start.
//!
//! Output goes to files, so that nothing has to be read for the child to make progress and
//! everything that was said can be looked at at any time, after a kill as well.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use super::wait::{PATIENCE, until};

pub const SCRIPT: &str = include_str!("guard.sh");

/// What to start, and how it is to end when nobody asked it to.
pub struct Spec<'a> {
    pub program: &'a OsStr,
    pub arguments: Vec<&'a OsStr>,
    pub environment: Vec<(String, String)>,
    pub working_dir: &'a Path,
    pub input: Option<&'a Path>,
    pub stdout: PathBuf,
    pub stderr: PathBuf,
    /// The signal that ends the child when this process is gone: KILL, or QUIT for PostgreSQL,
    /// which would otherwise leave shared memory behind.
    pub last_signal: &'static str,
    /// Removed together with the child, unless the child ended before.
    pub remove: Option<&'a Path>,
}

#[derive(Debug)]
pub struct Guarded {
    shell: Child,
    signals: Option<ChildStdin>,
    exit: Option<i32>,
}

impl Guarded {
    pub fn start(spec: &Spec<'_>) -> Self {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "guard", spec.last_signal])
            .arg(spec.remove.unwrap_or(Path::new("")))
            .arg(spec.input.unwrap_or(Path::new("/dev/null")))
            .arg(spec.program)
            .args(&spec.arguments)
            .env_clear()
            .envs(spec.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(spec.working_dir)
            .stdin(Stdio::piped())
            .stdout(output_file(&spec.stdout))
            .stderr(output_file(&spec.stderr));
        // A Ctrl-C at the terminal is for the test process alone; the pipe tells the guard.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut shell = command.spawn().expect("start /bin/sh");
        let signals = shell.stdin.take();
        Self { shell, signals, exit: None }
    }

    /// Sends a signal by name. One that comes after the child's end is lost, as signals are.
    pub fn signal(&mut self, name: &str) {
        if let Some(pipe) = &mut self.signals {
            // A broken pipe says that the guard is gone, and so its child.
            let _ = writeln!(pipe, "{name}");
        }
    }

    /// The child's process id, found among the children of the shell by what it runs.
    pub fn child_of(&self, program: &str) -> u32 {
        let shell = self.shell.id();
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"));
        let children = children.expect("a running guard");
        let runs = |pid: &&str| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
            name.is_ok_and(|name| name.trim_end() == program)
        };
        let found = children.split_whitespace().find(runs).expect("a running child");
        found.parse().expect("a process id")
    }

    /// The exit code if the child has ended; 128 + n after signal n, as shells count.
    pub fn exit_code(&mut self) -> Option<i32> {
        if self.exit.is_none() {
            let status = self.shell.try_wait().expect("wait for the guard")?;
            self.exit = Some(status.code().unwrap_or(-1));
        }
        self.exit
    }

    pub async fn wait(&mut self, limit: Duration, what: &str) -> i32 {
        until(limit, what, async || self.exit_code().is_some()).await;
        self.exit_code().unwrap_or(-1)
    }

    pub async fn kill9(&mut self) -> i32 {
        self.signal("KILL");
        self.wait(PATIENCE, "a killed child is gone").await
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.signals.take());
        // Dropped in a synchronous place; still, no fixture may return while its server lives.
        let started = Instant::now();
        while self.exit_code().is_none() && started.elapsed() < PATIENCE {
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }
}

/// What any child of ours may know of the machine: nothing that a developer has set for Isobar.
pub fn clean_environment() -> Vec<(String, String)> {
    ["TMPDIR", "LLVM_PROFILE_FILE"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), inherited(name)?)))
        .chain([
            (
                "PATH".to_owned(),
                "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin".to_owned(),
            ),
            ("LC_ALL".to_owned(), "C".to_owned()),
        ])
        .collect()
}

/// A program that tests/run has put into this process' search path and children do not see.
pub fn program(name: &str) -> PathBuf {
    let folders = inherited("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed; tests/run does that"))
}

/// A number that whoever runs the tests has chosen.
pub fn chosen(name: &str) -> Option<i64> {
    let text = inherited(name)?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name}={text:?} is no number: {error}")))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the place for temporary files, coverage data and tools, and how long to try, are the test run's, not a setting"
)]
fn inherited(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn output_file(path: &Path) -> File {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap_or_else(|error| panic!("open {}: {error}", path.display()))
}

/// The end of an output file, for messages of a failed start.
pub fn tail(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_killed_parent_leaves_no_child_and_no_folder() {
        let home = tempfile::tempdir().expect("temporary folder");
        let folder = home.path().join("data");
        std::fs::create_dir(&folder).expect("folder");
        let fifo = home.path().join("pipe");
        let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
        assert!(made.success());

        // The parent holds the only writing end of the guard's pipe, as a test process does.
        let mut parent = Command::new("/bin/sh")
            .args(["-c", "exec 9>\"$1\"; exec sleep 600", "parent"])
            .arg(&fifo)
            .spawn()
            .expect("start the parent");
        let pid_file = home.path().join("pid");
        let mut guard = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "guard", "KILL"])
            .arg(&folder)
            .args(["/dev/null", "/bin/sh", "-c", "echo $$ >\"$1\"; exec sleep 600", "child"])
            .arg(&pid_file)
            .stdin(File::open(&fifo).expect("open the pipe"))
            .spawn()
            .expect("start the guard");
        let child =
            super::super::wait::eventually(PATIENCE, "the child says who it is", async || {
                std::fs::read_to_string(&pid_file).ok().filter(|pid| pid.ends_with('\n'))
            })
            .await;
        let child = child.trim();
        assert!(is_alive(child), "the child runs while its parent lives");

        parent.kill().expect("kill -9 of the parent");
        parent.wait().expect("the parent is gone");
        until(PATIENCE, "the guard has ended", async || guard.try_wait().expect("wait").is_some())
            .await;
        assert!(!is_alive(child), "the child {child} outlived its parent");
        assert!(!folder.exists(), "the folder outlived its parent");
    }

    #[tokio::test]
    async fn a_child_that_ends_by_itself_hands_on_its_code_and_keeps_its_folder() {
        let home = tempfile::tempdir().expect("temporary folder");
        let stderr = home.path().join("stderr");
        let mut guarded = Guarded::start(&Spec {
            program: OsStr::new("/bin/sh"),
            arguments: ["-c", "echo trouble >&2; exit 75"].map(OsStr::new).to_vec(),
            environment: clean_environment(),
            working_dir: home.path(),
            input: None,
            stdout: home.path().join("stdout"),
            stderr: stderr.clone(),
            last_signal: "KILL",
            remove: Some(home.path()),
        });
        assert_eq!(guarded.wait(PATIENCE, "the child ends").await, 75);
        assert_eq!(tail(&stderr), "trouble");
        assert!(home.path().exists());
    }

    fn is_alive(pid: &str) -> bool {
        let probe = Command::new("/bin/kill").args(["-0", pid]).stderr(Stdio::null()).status();
        probe.expect("kill -0").success()
    }
}
