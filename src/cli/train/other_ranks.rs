//! Training on the ranks other than 0, which write and print nothing.

use std::process::ExitCode;

use seqfit::data::Dataset;
use seqfit::group::{Group, broadcast_object, verify_consistent_across_ranks};
use seqfit::run::RunConfig;
use seqfit::{Measures, Sequential, device};
use serde::{Deserialize, Serialize};

use super::super::distributed::Ranks;
use super::super::load_data;
use super::super::signals::Signals;
use super::args::Args;

/// The plan that rank 0 broadcasts before it trains.
#[derive(Serialize, Deserialize)]
pub(super) enum Plan {
    /// Do nothing: the run is finished.
    Nothing,
    /// Train a run with this config.
    Train(Box<RunConfig>),
}

/// Trains with rank 0.
pub(super) fn follow(args: &Args, ranks: &Ranks) -> anyhow::Result<ExitCode> {
    // Launchers pass a signal to all ranks. Rank 0 handles it, and this rank continues until rank 0 stops it.
    let _signals = Signals::watch()?;
    let group = ranks.group();
    let Plan::Train(plan) = broadcast_object(group, Plan::Nothing)? else {
        return Ok(ExitCode::SUCCESS);
    };
    // From this rank's own options, not the plan: training fails if they differ from rank 0's.
    let resumed = args.resume.is_some().then_some(&*plan);
    let device = args.device(resumed)?;
    device::require(device)?;
    let fit = args.fit(resumed, device)?;
    let data = load_data::silent(&args.request(resumed)?, args.stream(resumed))?;
    let usual = match resumed {
        None => args.with_usual_recipe(&data.source)?,
        Some(_) => None,
    };
    let (args, fit) = match &usual {
        Some((usual, _)) => (usual, usual.fit(None, device)?),
        None => (args, fit),
    };
    // The plan has the classes as rank 0 has matched them.
    let data = match (resumed, args.init_from.is_some()) {
        (Some(_), _) => data.as_trained(&plan.data.classes, plan.data.source.as_ref())?,
        (None, true) => data.for_network(load_data::names_of(&plan.data))?,
        (None, false) => data,
    };
    let fit = args.fit.for_targets(fit, data.train.target_kind())?;
    let network = match args.resume.is_some() || args.init_from.is_some() {
        true => plan.network,
        false => args.network()?.fitted(&data, &fit)?,
    };
    let mut model = Sequential::from_spec(network, device, fit.seed)?;
    let fit = args.for_this_machine(fit);
    agree_on_test(group, &data.test)?;
    model.resume_distributed(group, None, &data.train, &fit, &mut [])?;
    // Rank 0 broadcasts whether the test set is evaluated.
    if broadcast_object(group, false)? {
        let metrics = fit.test_metrics(data.test.target_kind());
        let measures = Measures { loss: Some(&fit.loss), metrics: &metrics };
        model.evaluate_distributed(group, &data.test, measures)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Checks that all ranks have the same test data, before they train for hours; training checks everything else itself.
pub(super) fn agree_on_test(group: &dyn Group, test: &Dataset) -> anyhow::Result<()> {
    match group.size() {
        1 => Ok(()),
        _ => Ok(verify_consistent_across_ranks(group, &test.facts("test data")?)?),
    }
}
