//! Open files: how many this process may have, which bounds its connections.
//!
//! A service manager often starts a process with a limit of 1,024 and allows it to raise that. A server
//! that reaches the limit can accept nothing, not even a probe.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as the operating system allows, and returns it.
pub fn raise_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(_) => current,
    };
    // `None` means unlimited.
    limit.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX))
}
