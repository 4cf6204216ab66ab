//! `--distributed`: runs this process as one of several that mpirun or srun has started.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
#[cfg(feature = "mpi")]
use seqfit::device;
use seqfit::group::{Group, SingleProcess};
#[cfg(feature = "mpi")]
use seqfit::group::{
    LocalRanks,
    launcher_variables::{self, Launched},
};

use super::output::Usage;
use super::parse_values;

/// Options of commands that can be distributed over several processes.
#[derive(Clone, Debug, Args)]
pub struct RankOptions {
    /// Work data-parallel with the other processes that mpirun or srun has started, each on its part of every
    /// batch: mpirun -n 4 seqfit train --distributed
    #[arg(long)]
    pub distributed: bool,
    /// End the whole job when a process keeps the others waiting for this time, such as 90s or 10m [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = parse_values::duration, requires = "distributed")]
    rank_timeout: Option<Duration>,
}

const TIMEOUT: Duration = Duration::from_secs(60);

/// This process, and the others that work with it.
pub enum Ranks {
    /// There are no others.
    One(SingleProcess),
    #[cfg(feature = "mpi")]
    Mpi(Box<mpi::Watched>),
}

impl RankOptions {
    /// Connects to the other processes with `--distributed`; each machine's processors are divided between its ranks.
    pub fn meet(&self) -> anyhow::Result<Ranks> {
        if !self.distributed {
            return Ok(Ranks::One(SingleProcess));
        }
        Ranks::by_mpi(self.rank_timeout.unwrap_or(TIMEOUT))
    }
}

impl Ranks {
    #[cfg(feature = "mpi")]
    fn by_mpi(timeout: Duration) -> anyhow::Result<Self> {
        let Some(Launched { rank, ranks }) = launcher_variables::from_env() else {
            return Err(Usage(
                "--distributed needs processes to work with, and no launcher has started this one: start them \
                 with 'mpirun -n 4 seqfit train --distributed …', or with srun"
                    .to_owned(),
            )
            .into());
        };
        let mpi = mpi::start(timeout, rank)?;
        let found = mpi.size();
        if found != ranks {
            drop(mpi);
            if rank > 0 {
                // Rank 0 prints the reason.
                std::process::exit(2);
            }
            return Err(Usage(format!(
                "the launcher has started {ranks} processes, and MPI must find the same number, found {found}: use \
                 the mpirun of the MPI that this seqfit was built with; with Slurm the --mpi that it supports (srun \
                 --mpi=list; --mpi=pmix for OpenMPI, --mpi=pmi2 for MPICH)"
            ))
            .into());
        }
        let &LocalRanks { local_rank, local_size, same_processors, .. } = mpi.local_ranks();
        device::share_machine(local_rank, local_size, same_processors);
        Ok(Self::Mpi(Box::new(mpi::Watched::new(mpi))))
    }

    #[cfg(not(feature = "mpi"))]
    fn by_mpi(_: Duration) -> anyhow::Result<Self> {
        Err(Usage(
            "--distributed needs MPI, which this seqfit is built without: install an MPI (Debian: apt install \
             libopenmpi-dev openmpi-bin libclang-dev) and build with 'cargo build --release --features mpi'"
                .to_owned(),
        )
        .into())
    }

    /// Returns the process group.
    pub fn group(&self) -> &dyn Group {
        match self {
            Self::One(alone) => alone,
            #[cfg(feature = "mpi")]
            Self::Mpi(watched) => &**watched,
        }
    }

    /// Describes how long the exchange with the other ranks took; returns `None` if there are no others.
    pub fn exchanged(&self) -> Option<String> {
        match self {
            Self::One(_) => None,
            #[cfg(feature = "mpi")]
            Self::Mpi(watched) => Some(watched.in_words()),
        }
    }

    /// Returns whether this is the process that writes and prints.
    pub fn is_first(&self) -> bool {
        self.group().rank() == 0
    }

    /// Does this process's part of the work, and ends together with the others. An error ends all processes, and is
    /// printed by one of them.
    pub fn together(
        self,
        work: impl FnOnce(&Self) -> anyhow::Result<ExitCode>,
    ) -> anyhow::Result<ExitCode> {
        let done = work(&self);
        #[cfg(feature = "mpi")]
        if let Self::Mpi(watched) = &self
            && watched.size() > 1
        {
            // MPI's own finalization would wait forever for a rank that hangs before it.
            let ended = done.as_ref().ok().map(|_| watched.all_gather(&[]));
            let error = match ended {
                Some(Err(error)) => Err(error.into()),
                _ => Ok(()),
            };
            if let (Err(error), _) | (Ok(_), Err(error)) = (&done, &error) {
                mpi::end_all(error, watched);
            }
        }
        done
    }
}

#[cfg(feature = "mpi")]
mod mpi {
    use std::cell::Cell;
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use seqfit::group::{Group, GroupError, Mpi};
    use seqfit::{Device, EvaluateError, TrainError};
    use tch::Tensor;

    /// MPI's ranks, with the time that their all-reduces take: except for a few, these are the ones of the steps.
    pub struct Watched {
        mpi: Mpi,
        sums: Cell<u64>,
        bytes: Cell<u64>,
        time: Cell<Duration>,
    }

    impl Watched {
        pub fn new(mpi: Mpi) -> Self {
            Self { mpi, sums: Cell::default(), bytes: Cell::default(), time: Cell::default() }
        }

        fn watch<T>(&self, bytes: usize, sum: impl FnOnce() -> T) -> T {
            let begun = Instant::now();
            let done = sum();
            self.time.set(self.time.get() + begun.elapsed());
            self.sums.set(self.sums.get() + 1);
            self.bytes.set(self.bytes.get() + bytes as u64);
            done
        }

        pub fn in_words(&self) -> String {
            let (sums, bytes, time) = (self.sums.get(), self.bytes.get(), self.time.get());
            format!(
                "exchange: {:.3} s of the training in {sums} sums of {} bytes over {} ranks, waiting for \
                 others included",
                time.as_secs_f64(),
                bytes.checked_div(sums).unwrap_or(0),
                self.size(),
            )
        }
    }

    impl Group for Watched {
        fn rank(&self) -> usize {
            self.mpi.rank()
        }

        fn size(&self) -> usize {
            self.mpi.size()
        }

        fn all_reduce(&self, values: &mut [f32]) -> Result<(), GroupError> {
            self.watch(size_of_val(values), || self.mpi.all_reduce(values))
        }

        fn is_device_aware(&self, device: Device) -> bool {
            self.mpi.is_device_aware(device)
        }

        fn all_reduce_tensor(&self, tensor: &Tensor) -> Result<(), GroupError> {
            self.watch(size_of::<f32>() * tensor.numel(), || self.mpi.all_reduce_tensor(tensor))
        }

        fn all_gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>, GroupError> {
            self.mpi.all_gather(own)
        }

        fn broadcast(&self, bytes: &mut Vec<u8>) -> Result<(), GroupError> {
            self.mpi.broadcast(bytes)
        }
    }

    /// Starts MPI, which waits for all processes. After the timeout, the first process that has started reports it.
    pub fn start(timeout: Duration, rank: usize) -> Result<Mpi, GroupError> {
        let (started, watch) = mpsc::channel::<()>();
        let patience = Mpi::patience(timeout) + Duration::from_secs(rank as u64);
        std::thread::spawn(move || {
            if watch.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
                super::super::output::print_status(format_args!(
                    "error: rank {rank} has started, and MPI could not connect it with all others within {} s: one \
                     of them may hang, or hosts may not reach each other; raise --rank-timeout to wait longer",
                    timeout.as_secs_f64()
                ));
                signal_hook::low_level::exit(1);
            }
        });
        let mpi = Mpi::start(timeout)?;
        drop(started);
        Ok(mpi)
    }

    /// Prints an error, unless another process does, and ends all processes.
    pub fn end_all(error: &anyhow::Error, watched: &Watched) -> ! {
        /// Time given to another process to report the error and to end this one.
        const PATIENCE: Duration = Duration::from_secs(3);
        let (own, group_error) = (watched.rank(), group_error(error));
        // A training error occurs on all ranks: rank 0 reports it, and how to resume.
        let reporter = group_error.map_or(Some(0), GroupError::teller).unwrap_or(own);
        if reporter != own {
            std::thread::sleep(PATIENCE);
        }
        // Group errors name the rank themselves.
        let whose = (own > 0 && group_error.is_none()).then(|| format!("rank {own}"));
        super::super::report_of(error, whose.as_deref());
        watched.mpi.abort()
    }

    /// Returns the group error, if that is the cause.
    fn group_error(error: &anyhow::Error) -> Option<&GroupError> {
        error.chain().find_map(|cause| {
            let evaluation = match cause.downcast_ref() {
                Some(TrainError::Group(group)) => return Some(group),
                Some(TrainError::Mismatch(evaluation)) => Some(evaluation),
                _ => cause.downcast_ref(),
            };
            match evaluation {
                Some(EvaluateError::Group(group)) => Some(group),
                _ => cause.downcast_ref(),
            }
        })
    }
}
