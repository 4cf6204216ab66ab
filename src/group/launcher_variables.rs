//! Reads the environment variables that launchers set for the processes they start. Needed before MPI starts,
//! and in builds without MPI.

/// One of the processes that a launcher has started together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launched {
    /// Its rank, from 0.
    pub rank: usize,
    /// The number of ranks.
    pub ranks: usize,
}

/// The environment variables that hold a process's rank, which only launched processes have, and the number
/// of ranks.
const LAUNCHERS: [[&str; 2]; 4] = [
    // OpenMPI's mpirun
    ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"],
    // MPICH's and Intel's, and Slurm's srun with PMI2
    ["PMI_RANK", "PMI_SIZE"],
    // MVAPICH's
    ["MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"],
    // srun; after the launchers that may be used within a Slurm job
    ["SLURM_PROCID", "SLURM_NTASKS"],
];

/// Returns what the environment says about this process, or `None` if no launcher started it.
pub fn from_env() -> Option<Launched> {
    from(|name| std::env::var(name).ok())
}

fn from(variable: impl Fn(&str) -> Option<String>) -> Option<Launched> {
    let number = |name: &str| variable(name)?.parse::<usize>().ok();
    LAUNCHERS.iter().find_map(|[rank, ranks]| {
        let (rank, ranks) = (number(rank)?, number(ranks)?);
        (rank < ranks).then_some(Launched { rank, ranks })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launched(variables: &[(&str, &str)]) -> Option<Launched> {
        from(|name| {
            let found = variables.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_rank_is_read_from_the_launchers_variables() {
        let expected = Some(Launched { rank: 3, ranks: 6 });
        let open_mpi = [("OMPI_COMM_WORLD_RANK", "3"), ("OMPI_COMM_WORLD_SIZE", "6")];
        assert_eq!(launched(&open_mpi), expected);
        let slurm = [("SLURM_PROCID", "3"), ("SLURM_NTASKS", "6")];
        assert_eq!(launched(&slurm), expected);
        // mpirun within a job script, which is itself a task.
        let within = [&open_mpi[..], &[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "1")]].concat();
        assert_eq!(launched(&within), expected);
        // A job's shell knows how many tasks there will be, but is not one of them.
        assert_eq!(launched(&slurm[1..]), None);
        assert_eq!(launched(&[]), None);
        assert_eq!(launched(&[("PMI_RANK", "0"), ("PMI_SIZE", "many")]), None);
        assert_eq!(launched(&[("PMI_RANK", "2"), ("PMI_SIZE", "2")]), None);
    }
}
