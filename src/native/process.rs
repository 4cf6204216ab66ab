//! Copies of this process, and its end.

use std::ffi::c_void;
use std::io;

use rustix::process::{Pid, WaitOptions, waitpid};

unsafe extern "C" {
    /// `fork(2)`.
    safe fn fork() -> i32;
    /// `on_exit(3)` of glibc.
    #[cfg(target_env = "gnu")]
    fn on_exit(work: extern "C" fn(i32, *mut c_void), argument: *mut c_void) -> i32;
    /// `_exit(2)`.
    safe fn _exit(code: i32) -> !;
}

/// Ends this process without libtorch's destructors when it exits, which take 0.1 s to free memory that the system
/// frees anyway. Files and standard output must have been written.
pub fn skip_destructors() {
    extern "C" fn end(code: i32, _: *mut c_void) {
        _exit(code)
    }
    // SAFETY: `end` may be called at any time, and ignores its argument. If it is not registered, destructors are run.
    #[cfg(target_env = "gnu")]
    unsafe {
        on_exit(end, std::ptr::null_mut());
    }
}

/// A copy of this process that this one waits for.
#[derive(Debug)]
pub struct ProcessCopy(Pid);

/// Starts a copy of this process. Returns `None` in the copy.
///
/// # Errors
/// The system's error, or more than one thread: a copy has only the one that calls this, and would wait forever for
/// locks that others hold.
pub fn copy_process() -> io::Result<Option<ProcessCopy>> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        let rule = format!("a process is copied while it has one thread, found {threads}");
        return Err(io::Error::other(rule));
    }
    match fork() {
        0 => Ok(None),
        id => Pid::from_raw(id)
            .filter(|_| id > 0)
            .map(|id| Some(ProcessCopy(id)))
            .ok_or_else(io::Error::last_os_error),
    }
}

impl ProcessCopy {
    /// Waits for the end of the copy and returns its exit code, or the negative number of the signal that ended it.
    ///
    /// # Errors
    /// The system's error.
    pub fn wait(self) -> io::Result<i32> {
        loop {
            match waitpid(Some(self.0), WaitOptions::empty()) {
                Ok(Some((_, status))) => {
                    let signal = status.terminating_signal().map(|signal| -signal);
                    return Ok(status.exit_status().or(signal).unwrap_or(-1));
                }
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
