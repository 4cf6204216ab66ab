//! A process's place among those that a launcher has started, as its environment tells: before MPI is asked,
//! and where it is not built in.

/// A process's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// How many processes were started together.
    pub ranks: usize,
    /// This one's number among those of the same machine, from 0.
    pub local_rank: usize,
    /// How many are on the same machine.
    pub local_ranks: usize,
}

/// What a launcher tells its processes by.
struct Launcher {
    /// A process's number among all: only those that it has started have one.
    rank: &'static str,
    /// How many there are.
    ranks: &'static str,
    local_rank: &'static str,
    local_ranks: &'static str,
}

const LAUNCHERS: [Launcher; 4] = [
    // OpenMPI's mpirun
    Launcher {
        rank: "OMPI_COMM_WORLD_RANK",
        ranks: "OMPI_COMM_WORLD_SIZE",
        local_rank: "OMPI_COMM_WORLD_LOCAL_RANK",
        local_ranks: "OMPI_COMM_WORLD_LOCAL_SIZE",
    },
    // MPICH's and Intel's
    Launcher {
        rank: "PMI_RANK",
        ranks: "PMI_SIZE",
        local_rank: "MPI_LOCALRANKID",
        local_ranks: "MPI_LOCALNRANKS",
    },
    // MVAPICH's
    Launcher {
        rank: "MV2_COMM_WORLD_RANK",
        ranks: "MV2_COMM_WORLD_SIZE",
        local_rank: "MV2_COMM_WORLD_LOCAL_RANK",
        local_ranks: "MV2_COMM_WORLD_LOCAL_SIZE",
    },
    // Slurm's srun
    Launcher {
        rank: "SLURM_PROCID",
        ranks: "SLURM_NTASKS",
        local_rank: "SLURM_LOCALID",
        // "4", "2(x3)"
        local_ranks: "SLURM_STEP_TASKS_PER_NODE",
    },
];

/// The place that this process's environment tells; none where no launcher has started it.
pub fn from_env() -> Option<Place> {
    from(|name| std::env::var(name).ok())
}

fn from(variable: impl Fn(&str) -> Option<String>) -> Option<Place> {
    let number = |name: &str| -> Option<usize> {
        let text = variable(name)?;
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse().ok()
    };
    LAUNCHERS.iter().find_map(|launcher| {
        number(launcher.rank)?;
        let ranks = number(launcher.ranks).filter(|&ranks| ranks > 0)?;
        let local_rank = number(launcher.local_rank).unwrap_or(0);
        let local_ranks = number(launcher.local_ranks).unwrap_or(1).max(1);
        Some(Place { ranks, local_rank, local_ranks })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(variables: &[(&str, &str)]) -> Option<Place> {
        from(|name| {
            let found = variables.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn launchers_tell_a_process_its_place() {
        let expected = Some(Place { ranks: 6, local_rank: 1, local_ranks: 2 });
        let open_mpi = [
            ("OMPI_COMM_WORLD_RANK", "3"),
            ("OMPI_COMM_WORLD_SIZE", "6"),
            ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
        ];
        assert_eq!(place(&open_mpi), expected);
        let slurm = [
            ("SLURM_PROCID", "3"),
            ("SLURM_NTASKS", "6"),
            ("SLURM_LOCALID", "1"),
            ("SLURM_STEP_TASKS_PER_NODE", "2(x3)"),
        ];
        assert_eq!(place(&slurm), expected);
        // A job's shell knows how many there will be, and is none of them.
        assert_eq!(place(&slurm[1..]), None);
        assert_eq!(place(&[]), None);
        assert_eq!(place(&[("PMI_RANK", "0"), ("PMI_SIZE", "many")]), None);
    }
}
