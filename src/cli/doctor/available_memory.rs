//! The memory that a process may still allocate.

use serde::Serialize;

/// Peak of the tutorial on MNIST (docs/speed.md, "The whole command").
const NEEDED: u64 = 200 << 20;

/// Memory in bytes; `None` for what the system does not report.
#[derive(Debug, Serialize)]
pub struct Memory {
    /// Available on the machine.
    pub available_bytes: Option<u64>,
    /// Left for the container or service within the limit of its control group.
    pub limit_bytes: Option<u64>,
    /// Limit on the address space of a process (`ulimit -v`).
    pub address_space_bytes: Option<u64>,
}

impl Memory {
    /// Reads the values from the system.
    pub fn read() -> Self {
        Self {
            available_bytes: text("/proc/meminfo").and_then(|text| available(&text)),
            limit_bytes: control_group(),
            address_space_bytes: address_space(),
        }
    }

    /// Returns the problem and its fix if the memory is too little for training on MNIST.
    pub fn problem(&self) -> Option<String> {
        let (left, whose, cure) = match (self.available_bytes, self.limit_bytes) {
            (available, Some(limit)) if available.is_none_or(|available| limit < available) => {
                (limit, "this container or service", "raise its limit")
            }
            (Some(available), _) => (available, "this machine", "end other programs"),
            _ => return None,
        };
        (left < NEEDED).then(|| {
            format!(
                "training on MNIST takes {} MiB of memory, and {whose} has {} MiB left: {cure}",
                NEEDED >> 20,
                left >> 20
            )
        })
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
    fn the_tightest_limit_is_named() {
        let memory = |available, limit| Memory {
            available_bytes: available,
            limit_bytes: limit,
            address_space_bytes: None,
        };
        let (few, many) = (Some(50 << 20), Some(1 << 40));
        assert_eq!(memory(many, many).problem(), None);
        assert_eq!(memory(None, None).problem(), None);
        let said = memory(few, many).problem().unwrap();
        assert!(said.ends_with("this machine has 50 MiB left: end other programs"), "{said}");
        for available in [many, None] {
            let said = memory(available, few).problem().unwrap();
            assert!(said.contains("this container or service has 50 MiB left"), "{said}");
        }
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:    2048 kB\n"), Some(2 << 20));
    }
}
