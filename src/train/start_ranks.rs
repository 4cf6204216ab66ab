//! The coordination of ranks outside of training steps: they check that they have begun with the same
//! data and settings, and get the snapshot that rank 0 resumes from.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::snapshot::{Snapshot, State};
use super::step::{Step, broadcast};
use super::{FitConfig, FitData, TrainError};
use crate::group::{self, Group, RankSetting, broadcast_object};
use crate::libtorch;
use crate::model::Sequential;
use crate::tensors::Tensors;

/// Checks that all ranks have the same program, data, settings and network. Weights may differ: those of
/// rank 0 are used.
pub(super) fn verify_consistent_across_ranks(
    group: &dyn Group,
    model: &Sequential,
    data: &FitData,
    config: &FitConfig,
) -> Result<(), TrainError> {
    if group.size() == 1 {
        return Ok(());
    }
    let fact = |what: &str, value: &str| (what.to_owned(), value.to_owned());
    let mut facts = vec![
        fact("version of seqfit", env!("CARGO_PKG_VERSION")),
        fact("version of libtorch", &libtorch::version()),
        fact("kind of device", if model.device().is_cuda() { "cuda" } else { "cpu" }),
        fact(
            "MPI support for GPU memory",
            if group.is_device_aware(model.device()) { "yes" } else { "no" },
        ),
    ];
    let mut resolved = config.clone().resolved(model.spec(), model.device());
    // The number of threads depends on the machine.
    resolved.threads = None;
    for (what, value) in [
        ("setting", serde_json::to_value(&resolved)),
        ("network", serde_json::to_value(model.spec())),
    ] {
        let unwritable =
            |error: serde_json::Error| group::GroupError::Unreadable(error.to_string());
        flatten(what, &value.map_err(unwritable)?, &mut facts);
    }
    facts.extend(data.train.facts("training data")?);
    if let Some(validation) = data.validation {
        facts.extend(validation.facts("validation data")?);
    }
    Ok(group::verify_consistent_across_ranks(group, &facts)?)
}

/// Appends every value of a tree to `facts`, with the path to it.
fn flatten(place: &str, value: &Value, facts: &mut Vec<RankSetting>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                flatten(&format!("{place} {name}"), value, facts);
            }
        }
        Value::Array(values) => {
            for (i, value) in values.iter().enumerate() {
                flatten(&format!("{place} {}", i + 1), value, facts);
            }
        }
        value => facts.push((place.to_owned(), value.to_string())),
    }
}

/// A snapshot without its tensors and without the states of callbacks, which only rank 0 has.
#[derive(Serialize, Deserialize)]
struct Outline {
    state: State,
    has_average: bool,
    has_moments: [bool; 2],
    rollback_point: Option<Box<Outline>>,
}

impl Outline {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            state: snapshot.state.clone(),
            has_average: !snapshot.average.is_empty(),
            has_moments: snapshot.moments.each_ref().map(|tensors| !tensors.is_empty()),
            rollback_point: snapshot
                .rollback_point
                .as_deref()
                .map(|rollback_point| Box::new(Self::of(rollback_point))),
        }
    }
}

/// Returns the snapshot that rank 0 resumes from, on the other ranks; none if it begins from scratch.
pub(super) fn from_rank_0(
    group: &dyn Group,
    step: &mut Step,
    snapshot: Option<&Snapshot>,
) -> Result<Option<Snapshot>, TrainError> {
    if group.size() == 1 {
        return Ok(None);
    }
    let Some(outline) = broadcast_object(group, snapshot.map(Outline::of))? else {
        return Ok(None);
    };
    let model = step.model()?;
    let weights = model.weights()?;
    let mut trained = weights.clone();
    trained.retain(|name, _| model.parameters().any(|(own, _)| own == name));
    let received = receive(group, outline, [&weights, &trained], snapshot)?;
    Ok((group.rank() > 0).then_some(received))
}

fn receive(
    group: &dyn Group,
    outline: Outline,
    [weights, trained]: [&Tensors; 2],
    local: Option<&Snapshot>,
) -> Result<Snapshot, TrainError> {
    // Buffers have neither moments nor an average.
    let tensors =
        |like: Option<&Tensors>, local: Option<&Tensors>| -> Result<Tensors, TrainError> {
            let mut tensors = local.or(like).cloned().unwrap_or_default();
            broadcast(group, &mut tensors)?;
            Ok(tensors)
        };
    let like = |is_there: bool| is_there.then_some(trained);
    let average = like(outline.has_average);
    let [first, second] = outline.has_moments.map(like);
    let all = tensors(Some(weights), local.map(|local| &local.weights))?;
    let average = tensors(average, local.map(|local| &local.average))?;
    let moments = [
        tensors(first, local.map(|local| &local.moments[0]))?,
        tensors(second, local.map(|local| &local.moments[1]))?,
    ];
    let local = local.and_then(|local| local.rollback_point.as_deref());
    let rollback_point = match outline.rollback_point {
        None => None,
        Some(rollback_point) => {
            Some(Arc::new(receive(group, *rollback_point, [weights, trained], local)?))
        }
    };
    let callbacks = std::collections::BTreeMap::new();
    let weights = all;
    Ok(Snapshot { state: outline.state, weights, average, moments, callbacks, rollback_point })
}
