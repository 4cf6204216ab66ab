//! Data for the commands that need some: with bars while it comes, and the notice that it may carry.

use seqfit::data::{self, Loaded, Locations, Request, StreamMemory};
use seqfit::run::Run;

use super::progress;

/// The data that was asked for, in memory or streamed; what there is to say about it is said, as when there
/// is no network and it is the digits.
pub fn asked(
    request: &Request,
    stream: Option<StreamMemory>,
    quiet: bool,
) -> anyhow::Result<Loaded> {
    let loaded = resolve(request, stream, quiet)?;
    if let Some(notice) = &loaded.source.notice {
        progress::notice(notice);
    }
    Ok(loaded)
}

/// The same without a word, for processes beside the one that prints.
pub fn silent(request: &Request, stream: Option<StreamMemory>) -> anyhow::Result<Loaded> {
    resolve(request, stream, true)
}

/// The data to look at a run with: what was asked for, or without a word about it the run's own, which must
/// be the very same, and is streamed if it was in training.
pub fn of_run(
    run: &Run,
    asked: Request,
    stream: Option<StreamMemory>,
    quiet: bool,
) -> anyhow::Result<Loaded> {
    let own = match (&asked, &run.config().data.source) {
        (Request::Auto, None) => anyhow::bail!(
            "{} was imported, and nothing is known of its data: add --dataset or --data-dir",
            run.path().display()
        ),
        (Request::Auto, own) => own.as_ref(),
        _ => None,
    };
    let request = match own {
        Some(source) => source.request(&Locations::from_env()?)?,
        None => asked,
    };
    let stream = stream.or(own.and(run.config().data.stream));
    let loaded = resolve(&request, stream, quiet)?;
    own.map_or(Ok(()), |source| source.check_same(&loaded.source))?;
    Ok(loaded)
}

fn resolve(request: &Request, stream: Option<StreamMemory>, quiet: bool) -> anyhow::Result<Loaded> {
    let locations = Locations::from_env()?;
    if let Some(memory) = stream {
        return Ok(data::stream(request, &locations, memory)?);
    }
    Ok(progress::with_downloads(quiet, |told| data::resolve(request, &locations, told))?)
}
