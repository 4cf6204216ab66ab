//! Training on the ranks other than 0, which write and print nothing.

use std::process::ExitCode;

use seqfit::data::Dataset;
use seqfit::group::{Group, broadcast_object, verify_consistent_across_ranks};
use seqfit::run::RunConfig;
use seqfit::{Device, FitConfig, Sequential, data, device};
use serde::{Deserialize, Serialize};

use super::super::loading;
use super::super::ranks::Ranks;
use super::super::signals::Signals;
use super::Args;

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
    let goes_on = args.resume.is_some();
    let asked = match args.device.chosen() {
        None if goes_on => device::parse(&plan.device)?,
        chosen => chosen.unwrap_or(Device::Cpu),
    };
    let device = device::own(asked)?;
    device::require(device)?;
    let base = if goes_on { plan.fit.clone() } else { FitConfig::default() };
    let mut fit = args.fit.over(&base, device.is_cuda())?;
    if goes_on && args.fit.epochs.is_none() {
        // A recipe's epochs apply only to new trainings.
        fit.epochs = plan.fit.epochs;
    }
    let request = match (args.data.request(), &plan.data.source) {
        (data::Request::Auto, Some(source)) if goes_on => {
            source.request(&data::Locations::from_env()?)?
        }
        (request, _) => request,
    };
    let stream = args.stream.stream;
    if stream.is_some() && !goes_on {
        fit = fit.for_streaming(device)?;
    }
    let stream = stream.or(plan.data.stream.filter(|_| goes_on));
    let data = loading::silent(&request, stream)?;
    // The plan has the classes as rank 0 has matched them.
    let data = match (goes_on, args.init_from.is_some()) {
        (true, _) => data.as_trained(&plan.data.classes, plan.data.source.as_ref())?,
        (false, true) => data.for_network(loading::names_of(&plan.data))?,
        (false, false) => data,
    };
    let network = match goes_on || args.init_from.is_some() {
        true => plan.network,
        false => args.network.of_data(&data.train)?,
    };
    let mut model = Sequential::from_spec(network, device, fit.seed)?;
    let fit = for_this_machine(fit, args);
    agree_on_test(group, &data.test)?;
    model.resume_distributed(group, None, &data.train, &fit, &mut [])?;
    // Rank 0 broadcasts whether the test set is evaluated.
    if broadcast_object(group, false)? {
        model.evaluate_distributed(group, &data.test)?;
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

/// Limits the threads to those available to each of several processes, even if the run began with more.
pub(super) fn for_this_machine(fit: FitConfig, args: &Args) -> FitConfig {
    if !args.ranks.distributed || args.fit.threads.is_some() {
        return fit;
    }
    let threads = fit.threads.map(|threads| threads.min(device::all_threads()));
    FitConfig { threads, ..fit }
}
