//! The memory that a process may still allocate.

use std::fmt;

use serde::Serialize;

use crate::message_text::significant;

/// Memory in bytes; `None` for what the system does not report.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FreeMemory {
    /// Available on the machine.
    pub available_bytes: Option<u64>,
    /// Left for the container or service within the limit of its control group.
    pub limit_bytes: Option<u64>,
    /// Limit on the address space of a process (`ulimit -v`).
    pub address_space_bytes: Option<u64>,
}

/// What limits the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryOwner {
    /// The machine, with its other programs.
    Machine,
    /// The control group of a container or service.
    ControlGroup,
}

impl fmt::Display for MemoryOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Machine => "this machine",
            Self::ControlGroup => "this container or service",
        })
    }
}

/// Memory that is not there, before it is asked for: Linux grants it, and ends the program when it is used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} would take {} of memory, and {owner} has {} left: use fewer units or features",
    gigabytes(*.needed),
    gigabytes(*.left)
)]
pub struct TooLittleMemory {
    /// The purpose of the memory.
    pub what: String,
    /// Bytes that it takes.
    pub needed: u64,
    /// Bytes that are left.
    pub left: u64,
    /// Whose they are.
    pub owner: MemoryOwner,
}

/// Returns an amount in words: "1.25 GB".
pub(crate) fn gigabytes(bytes: u64) -> String {
    format!("{} GB", significant(bytes as f64 / 1e9))
}

impl FreeMemory {
    /// Reads the values from the system.
    pub fn read() -> Self {
        Self {
            available_bytes: text("/proc/meminfo").and_then(|text| available(&text)),
            limit_bytes: control_group(),
            address_space_bytes: address_space(),
        }
    }

    /// Returns the bytes that are left on the machine or in the control group, whichever are fewer.
    pub fn left(&self) -> Option<(u64, MemoryOwner)> {
        let machine = self.available_bytes.map(|bytes| (bytes, MemoryOwner::Machine));
        let group = self.limit_bytes.map(|bytes| (bytes, MemoryOwner::ControlGroup));
        machine.into_iter().chain(group).min_by_key(|(bytes, _)| *bytes)
    }
}

/// Amounts below this are not compared with what is left, which takes a moment to find out.
const SMALL: u64 = 1 << 28;

/// Checks that `needed` bytes are left.
///
/// # Errors
/// [`TooLittleMemory`], with `what` they are for. Never if the system does not report what is left.
pub(crate) fn check_left(
    needed: u64,
    what: impl FnOnce() -> String,
) -> Result<(), TooLittleMemory> {
    if needed < SMALL {
        return Ok(());
    }
    match FreeMemory::read().left() {
        Some((left, owner)) if needed > left => {
            Err(TooLittleMemory { what: what(), needed, left, owner })
        }
        _ => Ok(()),
    }
}

fn text(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// Returns the memory left within the tightest limit, from this process's control group (version 2) upward.
fn control_group() -> Option<u64> {
    let groups = text("/proc/self/cgroup")?;
    let own =
        groups.lines().find_map(|line| line.strip_prefix("0::"))?.trim_matches('/').to_owned();
    let levels = std::path::Path::new(&own).ancestors();
    levels
        .filter_map(|level| {
            let folder = std::path::Path::new("/sys/fs/cgroup").join(level);
            let number = |name: &str| text(folder.join(name).to_str()?)?.trim().parse::<u64>().ok();
            Some(number("memory.max")?.saturating_sub(number("memory.current")?))
        })
        .min()
}

#[cfg(target_os = "linux")]
fn address_space() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::As).current
}

#[cfg(not(target_os = "linux"))]
fn address_space() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tighter_limit_counts() {
        let memory = |available, limit| FreeMemory {
            available_bytes: available,
            limit_bytes: limit,
            address_space_bytes: None,
        };
        assert_eq!(memory(None, None).left(), None);
        assert_eq!(memory(Some(5), Some(9)).left(), Some((5, MemoryOwner::Machine)));
        assert_eq!(memory(Some(9), Some(5)).left(), Some((5, MemoryOwner::ControlGroup)));
        assert_eq!(memory(None, Some(5)).left(), Some((5, MemoryOwner::ControlGroup)));
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:    2048 kB\n"), Some(2 << 20));
    }

    #[test]
    fn memory_that_is_not_there_is_refused() {
        assert_eq!(check_left(1, || unreachable!()), Ok(()));
        let error = check_left(u64::MAX, || "a network".to_owned());
        if FreeMemory::read().left().is_some() {
            let said = error.unwrap_err().to_string();
            assert!(said.starts_with("a network would take 1.845e10 GB of memory, and "), "{said}");
        }
    }
}
