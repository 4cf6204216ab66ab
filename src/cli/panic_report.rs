//! The last resort: a panic is a bug in seqfit, and is reported in one line; a file has the details.

use std::backtrace::Backtrace;
use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::PanicHookInfo;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::SIGXFSZ;

use super::output::print_status;

/// Runs `work`; a panic in it, or in one of its threads, prints one line.
///
/// Exceeding a limit on the size of files becomes an error of the write that exceeds it, like a full disk, instead
/// of a signal that ends the process.
pub fn guarded(work: impl FnOnce() -> ExitCode) -> ExitCode {
    let limit = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    if let Err(error) = limit {
        print_status(format_args!("note: a limit on the size of files would end seqfit: {error}"));
    }
    std::panic::set_hook(Box::new(|info| {
        let message = message(info);
        let first = message.lines().next().unwrap_or("");
        let short: String = first.chars().take(200).collect();
        match write_log(&log(info, &message)) {
            Some(path) => print_status(format_args!(
                "error: this is a bug in seqfit ({short}): please report it with {}",
                path.display()
            )),
            None => print_status(format_args!(
                "error: this is a bug in seqfit ({short}): please report it"
            )),
        }
    }));
    // After a panic nothing that `work` has used is looked at again.
    let work = std::panic::AssertUnwindSafe(work);
    std::panic::catch_unwind(work).unwrap_or(ExitCode::FAILURE)
}

fn message(info: &PanicHookInfo) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}

fn log(info: &PanicHookInfo, message: &str) -> String {
    let mut log = format!("seqfit {}\n", env!("CARGO_PKG_VERSION"));
    let arguments: Vec<_> = std::env::args_os().collect();
    // Writing to a String cannot fail.
    let _ = writeln!(log, "process: {}", std::process::id());
    let _ = writeln!(log, "arguments: {arguments:?}");
    let _ = writeln!(log, "thread: {}", std::thread::current().name().unwrap_or("without a name"));
    let _ =
        writeln!(log, "place: {}", info.location().map_or("unknown".into(), ToString::to_string));
    let _ = writeln!(log, "message: {message}\n\n{}", Backtrace::force_capture());
    log
}

/// Writes the log into the folder for temporary files, so that no bug adds files to a run's folder. The file is
/// always a new one, even if another user has put links there.
fn write_log(log: &str) -> Option<PathBuf> {
    let mut file = tempfile::Builder::new().prefix("seqfit-").suffix(".log").tempfile().ok()?;
    file.write_all(log.as_bytes()).ok()?;
    file.into_temp_path().keep().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_exit_code_and_a_file() {
        let before = std::panic::take_hook();
        let code = guarded(|| panic!("first line\nsecond line"));
        std::panic::set_hook(before);
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
        let own = format!("process: {}\n", std::process::id());
        let mut logs = std::fs::read_dir(std::env::temp_dir()).unwrap().filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?;
            if !name.starts_with("seqfit-") || !name.ends_with(".log") {
                return None;
            }
            let log = std::fs::read_to_string(&path).ok()?;
            log.contains(&own).then_some((path, log))
        });
        let (path, log) = logs.next().unwrap();
        std::fs::remove_file(path).unwrap();
        assert!(log.contains("message: first line\nsecond line"), "{log}");
        assert!(log.contains("panic_report.rs:"), "{log}");
    }
}
