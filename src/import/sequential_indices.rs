//! The modules without tensors between the layers, inferred from the numbers of an `nn.Sequential`.
//!
//! "0.weight", "2.weight" leave room for one module, an activation; "0.weight", "3.weight" for an activation
//! and a Dropout. Consecutive numbers leave none: a Sequential has no activation there, a ModuleList may have
//! one. More room, or custom modules in a list, cannot be explained by a guess.

use super::error::Problem;

/// The widest gap that an activation and a Dropout explain.
const WIDEST: u64 = 3;
/// The highest number that Flatten and a Dropout before the first layer explain.
const FIRST: u64 = 2;

/// Checks that one activation between all layers explains the numbers.
///
/// # Errors
/// Numbers that it does not explain; consecutive ones are allowed only if the activation was given.
pub(super) fn check(owners: &[String], activation: bool) -> Result<(), Problem> {
    if let Some(owner) = owners.iter().find(|owner| is_in_a_block(owner)) {
        return Err(Problem::Numbering(format!(
            "{owner:?} is a part of a custom module, which may do more than one layer after the other"
        )));
    }
    let places: Vec<_> = owners.iter().map(|owner| place(owner)).collect();
    if let Some(Some((_, first))) = places.first()
        && *first > FIRST
    {
        return Err(Problem::Numbering(format!(
            "{first} modules without tensors come before {:?}",
            owners[0]
        )));
    }
    let mut neighbors = Vec::new();
    for (pair, names) in places.windows(2).zip(owners.windows(2)) {
        let (Some((parent, from)), Some((other, to))) = (&pair[0], &pair[1]) else { continue };
        if parent != other {
            continue;
        }
        match to.saturating_sub(*from) {
            0 | 1 => neighbors.push(format!("{:?} and {:?}", names[0], names[1])),
            gap if gap > WIDEST => {
                return Err(Problem::Numbering(format!(
                    "{} modules without tensors lie between {:?} and {:?}",
                    gap - 1,
                    names[0],
                    names[1]
                )));
            }
            _ => {}
        }
    }
    match neighbors.first() {
        Some(_) if activation && neighbors.len() + 1 == owners.len() => Ok(()),
        Some(names) => Err(Problem::Neighbors(names.clone())),
        None => Ok(()),
    }
}

/// "net.3" → ("net", 3)
fn place(owner: &str) -> Option<(&str, u64)> {
    let (parent, number) = owner.rsplit_once('.').unwrap_or(("", owner));
    Some((parent, number.parse().ok()?))
}

/// Returns whether a name comes after a number, as "linear" in "blocks.0.linear".
fn is_in_a_block(owner: &str) -> bool {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = owner.split('.').skip_while(|part| !is_number(part));
    parts.into_iter().any(|part| !is_number(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(owners: &[&str], activation: bool) -> Option<String> {
        let owners: Vec<String> = owners.iter().map(|&owner| owner.to_owned()).collect();
        check(&owners, activation).err().map(|error| error.to_string())
    }

    #[test]
    fn numbers_that_one_activation_explains_are_taken() {
        for owners in [
            &["1", "3", "5"][..],
            &["0", "3", "6"],
            &["1", "4", "6"],
            &["fc1", "fc2"],
            &["module.net.0", "module.net.2"],
            &["features.1", "features.3", "head"],
            &["0.0", "1.0", "2"],
            &["2"],
        ] {
            assert_eq!(error(owners, false), None, "{owners:?}");
        }
        assert_eq!(error(&["layers.0", "layers.1"], true), None);
    }

    #[test]
    fn numbers_that_it_does_not_explain_are_an_error() {
        for (owners, activation, message) in [
            (&["0", "2", "3"][..], true, "\"2\" and \"3\""),
            (&["0", "1"], false, "\"0\" and \"1\""),
            (&["0", "4"], true, "3 modules without tensors lie between \"0\" and \"4\""),
            (&["3", "5"], true, "3 modules without tensors come before \"3\""),
            (&["0.fc", "1.fc"], true, "\"0.fc\" is a part"),
        ] {
            let error = error(owners, activation).unwrap();
            assert!(error.contains(message), "{owners:?}: {error}");
        }
    }
}
