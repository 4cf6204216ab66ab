//! Data for the commands that need some: with bars while it comes, and the notice that it may carry.

use seqfit::data::{self, ClassNames, Loaded, LoadedTest, Locations, Request, StreamMemory};
use seqfit::run::{DataConfig, Run};

use super::output::print_status;
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
    note(&loaded.notes);
    Ok(loaded)
}

/// The same without a word, for processes beside the one that prints.
pub fn silent(request: &Request, stream: Option<StreamMemory>) -> anyhow::Result<Loaded> {
    resolve(request, stream, true)
}

/// Prints remarks on data.
pub fn note(notes: &[String]) {
    for note in notes {
        let line = format!("note: {note}");
        print_status(line);
    }
}

/// The test data to look at a run with: of what was asked for, or without a word about it the run's own, which
/// must be the very same, and is streamed if it was in training.
pub fn of_run(
    run: &Run,
    asked: Request,
    stream: Option<StreamMemory>,
    quiet: bool,
) -> anyhow::Result<LoadedTest> {
    if asked == Request::Auto && run.config().data.source.is_none() {
        anyhow::bail!(
            "{} was imported, and nothing is known of its data: add --dataset or --data-dir",
            run.path().display()
        );
    }
    let loaded = test_of(&run.config().data, asked, stream, quiet)?;
    note(&loaded.notes);
    Ok(loaded)
}

/// As [`of_run`], from the run's records, without printing the remarks.
pub fn test_of(
    trained_on: &DataConfig,
    asked: Request,
    stream: Option<StreamMemory>,
    quiet: bool,
) -> anyhow::Result<LoadedTest> {
    let locations = Locations::from_env()?;
    let Some(own) = trained_on.source.as_ref().filter(|_| asked == Request::Auto) else {
        let loaded = match stream {
            Some(memory) => data::stream_test(&asked, &locations, memory)?,
            None => progress::with_downloads(quiet, |bars| {
                data::resolve_test(&asked, &locations, bars)
            })?,
        };
        return Ok(loaded.for_network(names_of(trained_on))?);
    };
    let loaded = resolve(&own.request(&locations)?, stream.or(trained_on.stream), quiet)?;
    own.check_same(&loaded.source)?;
    Ok(loaded.as_trained(&trained_on.classes, Some(own))?.into())
}

/// The classes that a run's network answers with.
pub fn names_of(trained_on: &DataConfig) -> ClassNames<'_> {
    ClassNames::new(&trained_on.classes, trained_on.source.as_ref())
}

fn resolve(request: &Request, stream: Option<StreamMemory>, quiet: bool) -> anyhow::Result<Loaded> {
    let locations = Locations::from_env()?;
    if let Some(memory) = stream {
        return Ok(data::stream(request, &locations, memory)?);
    }
    Ok(progress::with_downloads(quiet, |bars| data::resolve(request, &locations, bars))?)
}
