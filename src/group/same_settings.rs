//! Checks that all ranks were started with the same settings.

use super::{Group, GroupError};

/// A setting that must be the same on every rank: its name and its value as text.
pub type RankSetting = (String, String);

/// Compares `facts` across all ranks; every rank gets the same result.
///
/// # Errors
/// [`GroupError::Differs`]: the first setting, on the first rank, that differs from rank 0's.
pub fn verify_consistent_across_ranks(
    group: &dyn Group,
    facts: &[RankSetting],
) -> Result<(), GroupError> {
    if group.size() == 1 {
        return Ok(());
    }
    let unreadable = |error: serde_json::Error| GroupError::Unreadable(error.to_string());
    let own = serde_json::to_vec(facts).map_err(unreadable)?;
    let all = group.all_gather(&own)?;
    let parsed = all.iter().map(|bytes| serde_json::from_slice(bytes).map_err(unreadable));
    let all: Vec<Vec<RankSetting>> = parsed.collect::<Result<_, _>>()?;
    let Some((first, others)) = all.split_first() else { return Ok(()) };
    let value = |facts: &[RankSetting], what: &str| {
        let fact = facts.iter().find(|(name, _)| name == what);
        fact.map_or("nothing", |(_, value)| value).to_owned()
    };
    for (rank, other) in (1..).zip(others) {
        // Also settings that only one of the two ranks has.
        for (what, _) in first.iter().chain(other) {
            let (expected, found) = (value(first, what), value(other, what));
            if expected != found {
                return Err(GroupError::Differs { what: what.clone(), rank, expected, found });
            }
        }
    }
    Ok(())
}
