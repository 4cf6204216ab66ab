//! Classes that do not match, in messages.

/// Names shown in a message; the rest are counted.
const SHOWN: usize = 64;

/// Classes that do not match.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClassProblem {
    /// The data has samples of classes that the network does not know, or no class in common with it.
    #[error(
        "the classes of the data must be among those of the network, found {unknown}{common}: the \
         network's are {network}, the data's {data}; use the same names (in classes.txt, or by --target-names), or \
         leave these samples out",
        unknown = list(.unknown),
        common = if *.common { "" } else { " (no class in common)" },
        network = list(.network),
        data = list(.data)
    )]
    Unknown {
        /// The classes that it does not know.
        unknown: Vec<String>,
        /// Whether it knows any other.
        common: bool,
        /// The network's classes.
        network: Vec<String>,
        /// The data's classes.
        data: Vec<String>,
    },
    /// Labels or numbers of other names than the network's, or in another order.
    #[error(
        "the labels or numbers of the data must be those of the network, in its order, found {data}: the network's are \
         {network}; put the columns into this order, or correct the names",
        data = list(.data),
        network = list(.network)
    )]
    Columns {
        /// The network's names.
        network: Vec<String>,
        /// The data's names.
        data: Vec<String>,
    },
    /// Labels without names on one side and names on the other, in different numbers.
    #[error(
        "classes without names are matched by their place, which needs the same number of them, found \
         {data_count} in the data ({data}) and {network_count} in the network ({network}): name the data's classes in \
         classes.txt, or with --target-names",
        data_count = .data.len(),
        data = list(.data),
        network_count = .network.len(),
        network = list(.network)
    )]
    Count {
        /// The network's classes.
        network: Vec<String>,
        /// The data's classes.
        data: Vec<String>,
    },
}

/// Lists names for a message.
pub(super) fn list(names: &[String]) -> String {
    first(names, SHOWN)
}

/// Lists names for a message that is understood with a few of them.
pub(super) fn some(names: &[String]) -> String {
    first(names, 10)
}

fn first(names: &[String], most: usize) -> String {
    let shown = names.iter().take(most).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
