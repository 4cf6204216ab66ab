//! The ranks on one machine: what they share, and how to end them when they hang.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// The ranks on one machine, as seen from one of them.
#[derive(Clone, Debug)]
pub struct LocalRanks {
    /// This rank's number among them, from 0.
    pub local_rank: usize,
    /// The number of ranks on this machine.
    pub local_size: usize,
    /// The number of them that may run on exactly the same processors as this one.
    pub same_processors: usize,
    processes: Vec<Process>,
}

/// The data that a rank sends to the others about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LocalRank {
    /// A number that identifies the machine.
    machine: u64,
    process: Process,
    /// A number that identifies the set of processors it may use.
    processors: u64,
}

/// A process. Its number may be reused for another process after it has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Process {
    number: u64,
    /// Its start time, in arbitrary units.
    started: u64,
}

impl LocalRanks {
    /// Returns the local ranks of the given rank, from the data of all ranks.
    pub(super) fn of(rank: usize, all: &[LocalRank]) -> Self {
        let own = all.get(rank).copied().unwrap_or_default();
        let is_near = |theirs: &&LocalRank| theirs.machine == own.machine;
        let alike = |theirs: &&LocalRank| theirs.processors == own.processors;
        let near = || all.iter().filter(is_near);
        Self {
            local_rank: all.iter().take(rank).filter(is_near).count(),
            local_size: near().count(),
            same_processors: near().filter(alike).count(),
            processes: near().map(|theirs| theirs.process).collect(),
        }
    }

    /// Makes sure that the ranks on this machine and their launcher end. `MPI_Abort` asks the launcher to end
    /// all processes and waits until all hosts have done so, which across a broken link lasts as long as TCP
    /// retries: a quarter of an hour. Therefore a separate process, which is not ended with the ranks, soon
    /// ends the remaining ones: first the ranks, which may be stopped, and then the launcher, which is first
    /// sent SIGTERM.
    pub(super) fn end(&self) {
        const SCRIPT: &str = "\
            end() { [ \"$(cut -d' ' -f22 /proc/$2/stat)\" = \"$3\" ] && kill -$1 $2; }; \
            launcher=$1; started=$2; shift 2; sleep 0.8; \
            while [ $# -gt 0 ]; do end KILL $1 $2; shift 2; done; \
            sleep 0.6; end TERM $launcher $started; sleep 0.8; end KILL $launcher $started";
        let Some(launcher) = Process::launcher() else { return };
        let processes = [launcher].into_iter().chain(self.processes.iter().copied());
        let numbers = processes.flat_map(|process| [process.number, process.started]);
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "sh"]).args(numbers.map(|number| number.to_string()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // If it cannot be started, the ranks end whenever MPI gets to it.
        let _ = command.process_group(0).spawn();
    }
}

impl LocalRank {
    /// Describes this process.
    pub fn this() -> Self {
        let number = |text: Option<&str>| {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            hasher.finish()
        };
        // Drawn at random every time the machine boots, and the same in all of its containers.
        let machine = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let processors = status.lines().find(|line| line.starts_with("Cpus_allowed_list"));
        Self {
            machine: number(machine.as_deref()),
            process: Stat::of(std::process::id().into())
                .map(|stat| stat.process)
                .unwrap_or_default(),
            processors: number(processors),
        }
    }

    /// Returns the fields as numbers, for sending.
    pub fn numbers(self) -> [u64; 4] {
        [self.machine, self.process.number, self.process.started, self.processors]
    }

    /// Rebuilds the value from the numbers that were sent.
    pub fn of([machine, number, started, processors]: [u64; 4]) -> Self {
        Self { machine, process: Process { number, started }, processors }
    }
}

impl Process {
    /// Returns the nearest ancestor process that is a launcher.
    fn launcher() -> Option<Self> {
        const NAMES: [&str; 4] = ["mpirun", "mpiexec", "orterun", "prterun"];
        /// A rank's parent is the launcher itself, one of its helpers, or a shell of the user's.
        const LEVELS: usize = 4;
        let mut number = std::os::unix::process::parent_id().into();
        for _ in 0..LEVELS {
            let Stat { process, parent, name } = Stat::of(number)?;
            if NAMES.iter().any(|launcher| name.starts_with(launcher)) {
                return Some(process);
            }
            number = parent;
        }
        None
    }
}

/// A process's entry in `/proc`.
struct Stat {
    process: Process,
    parent: u64,
    /// The name of its executable.
    name: String,
}

impl Stat {
    fn of(number: u64) -> Option<Self> {
        // "123 (mpirun) S 100 …": the parent is the second field after the name, the start time the
        // twentieth.
        let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let parent = fields.nth(1)?.parse().ok()?;
        let started = fields.nth(17)?.parse().ok()?;
        Some(Self { process: Process { number, started }, parent, name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_ranks_are_those_on_the_same_machine() {
        let rank = |machine, processors| LocalRank { machine, processors, ..LocalRank::default() };
        let all = [rank(1, 7), rank(2, 7), rank(1, 8), rank(1, 7)];
        let seen = |rank| {
            let LocalRanks { local_rank, local_size, same_processors, .. } =
                LocalRanks::of(rank, &all);
            (local_rank, local_size, same_processors)
        };
        assert_eq!([0, 1, 2, 3].map(seen), [(0, 3, 2), (0, 1, 1), (1, 3, 1), (2, 3, 2)]);
        let this = LocalRank::this();
        assert_eq!(LocalRank::of(this.numbers()), this);
        assert_eq!(this.process.number, u64::from(std::process::id()));
        assert!(this.process.started > 0);
    }
}
