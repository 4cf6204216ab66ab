//! Loads data for the commands that need it, with progress bars during downloads and any notice that the data has.

use seqfit::Metric;
use seqfit::data::{
    self, ClassNames, DataError, FeatureKind, Loaded, LoadedTest, Locations, PathRequest,
    PictureOptions, PictureShape, Request, StreamMemory, StreamProblem, TargetKind,
};
use seqfit::run::{DataConfig, Figures, Run, RunConfig};

use super::output::{Usage, print_status};
use super::progress;

/// Loads the requested data, into memory or streamed, and prints its notice and notes. There is a notice, for
/// example, when there is no network and the digits are used instead.
pub fn asked(
    request: &Request,
    stream: Option<StreamMemory>,
    quiet: bool,
) -> anyhow::Result<Loaded> {
    let loaded = resolve(request, stream, quiet)?;
    announce(&loaded);
    Ok(loaded)
}

/// Like [`asked`], for shards: the pictures in a folder are read when they are written.
pub fn to_shard(request: &Request) -> anyhow::Result<Loaded> {
    let locations = Locations::from_env()?;
    let loaded =
        progress::with_downloads(false, |bars| data::resolve_to_shard(request, &locations, bars));
    let loaded = loaded.map_err(|error| of_pictures(error, request))?;
    announce(&loaded);
    Ok(loaded)
}

fn announce(loaded: &Loaded) {
    if let Some(notice) = &loaded.source.notice {
        progress::notice(notice);
    }
    note(&loaded.notes);
}

/// Adds the option that leaves out a picture that cannot be used to an error, unless the request has it already.
pub fn of_pictures(error: DataError, request: &Request) -> anyhow::Error {
    with_hint(error, skips_bad(request))
}

/// Like [`asked`], but prints nothing, for the processes besides the one that prints.
pub fn silent(request: &Request, stream: Option<StreamMemory>) -> anyhow::Result<Loaded> {
    resolve(request, stream, true)
}

/// Prints notes about data.
pub fn note(notes: &[String]) {
    for note in notes {
        let line = format!("note: {note}");
        print_status(line);
    }
}

/// Returns a note on an R² below 0 with its cause, if that is known.
pub fn note_on_r2(figures: &Figures, cause: Option<String>) -> Option<String> {
    let name = Metric::R2.name();
    figures.metrics.get(&name).filter(|&&r2| r2 < 0.0)?;
    let cause = cause.map(|cause| format!("; {cause}")).unwrap_or_default();
    Some(format!(
        "note: {name} is below 0: predicting the mean of the targets would be better{cause}"
    ))
}

/// Loads the test data for a run: the requested data, or by default the run's own.
///
/// The run's own data must be identical to that of training, and is streamed if it was streamed in training.
pub fn of_run(
    run: &Run,
    asked: Request,
    stream: Option<StreamMemory>,
    quiet: bool,
) -> anyhow::Result<LoadedTest> {
    if asked == Request::Auto && run.config().data.source.is_none() {
        anyhow::bail!(
            "{} was imported, and its file does not say which data it was trained on: add --dataset, \
             --data-dir or --data",
            run.path().display()
        );
    }
    let loaded = test_of(run.config(), asked, stream, quiet)?;
    note(&loaded.notes);
    Ok(loaded)
}

/// Like [`of_run`], but takes the run's config, and does not print the notes.
pub fn test_of(
    run: &RunConfig,
    asked: Request,
    stream: Option<StreamMemory>,
    quiet: bool,
) -> anyhow::Result<LoadedTest> {
    let (locations, trained_on) = (Locations::from_env()?, &run.data);
    if let Request::Path(PathRequest { targets: Some(kind), .. }) = &asked
        && *kind != trained_on.targets
    {
        let network = trained_on.targets;
        let rule = format!("the network predicts {network}, found --task for {kind}: leave it out");
        return Err(Usage(rule).into());
    }
    let requested = as_images(asked, run);
    let asked = of_kind(requested.clone(), trained_on.targets);
    let Some(own) = trained_on.source.as_ref().filter(|_| asked == Request::Auto) else {
        let load = |asked: &Request| match stream {
            Some(memory) => data::stream_test(asked, &locations, memory),
            None => {
                progress::with_downloads(quiet, |bars| data::resolve_test(asked, &locations, bars))
            }
        };
        let network = trained_on.targets;
        let loaded = load(&asked).or_else(|error| {
            // Of another kind they may be what they should be.
            if requested != asked
                && let Ok(other) = load(&requested)
            {
                same_kind(network, other.test.target_kind())?;
            }
            Err(with_hint(error, skips_bad(&asked)))
        })?;
        same_features(trained_on.features, loaded.test.feature_kind())?;
        same_kind(network, loaded.test.target_kind())?;
        return Ok(loaded.for_network(names_of(trained_on))?);
    };
    let request = of_kind(own.request(&locations)?, trained_on.targets);
    let loaded = resolve(&request, stream.or(trained_on.stream), quiet)?;
    own.check_same(&loaded.source)?;
    Ok(loaded.as_trained(&trained_on.classes, Some(own))?.into())
}

/// Returns the request, with pictures in folders made into images as those that a run was trained on where nothing else
/// was asked for.
fn as_images(asked: Request, run: &RunConfig) -> Request {
    let named = match &asked {
        Request::Dir(path) => PathRequest::new(path),
        Request::Path(asked) => asked.clone(),
        _ => return asked,
    };
    let shape =
        PictureShape::of(&run.network.input_shape).filter(|_| run.data.features.is_pixels());
    let Some(shape) = shape.filter(|_| data::is_picture_folder(&named.path)) else { return asked };
    let own = PictureOptions {
        size: Some(shape.size()),
        preparation: run.data.preparation,
        gray: Some(!shape.color),
        skip_bad: false,
    };
    Request::Path(PathRequest { pictures: named.pictures.or(own), ..named })
}

/// Returns the request, with the kind of the network's targets if it names none.
pub fn of_kind(asked: Request, kind: data::TargetKind) -> Request {
    match asked {
        Request::Path(asked) => {
            Request::Path(PathRequest { targets: asked.targets.or(Some(kind)), ..asked })
        }
        other => other,
    }
}

/// Checks that data has the kind of targets that a network predicts.
fn same_kind(network: TargetKind, found: TargetKind) -> anyhow::Result<()> {
    anyhow::ensure!(
        network == found,
        "the network predicts {network}, found data whose targets are {found}: choose data of its kind",
    );
    Ok(())
}

/// Returns the error of data, a mistake on the command line if the data is of a kind that --stream is not for.
fn of_stream(error: DataError) -> anyhow::Error {
    match error {
        DataError::Stream {
            problem: StreamProblem::Other { .. } | StreamProblem::BuiltIn { .. },
            ..
        } => Usage::of(error).into(),
        error => error.into(),
    }
}

/// Checks that data has the kind of features that a network was trained on: pixels are scaled, and numbers are not.
pub fn same_features(network: FeatureKind, found: FeatureKind) -> anyhow::Result<()> {
    anyhow::ensure!(
        network == found,
        "the network takes {network}, found data of {found}: choose data of its kind",
    );
    Ok(())
}

/// Returns the names of the classes that a run's network predicts.
pub fn names_of(trained_on: &DataConfig) -> ClassNames<'_> {
    ClassNames::new(&trained_on.classes, trained_on.source.as_ref())
}

fn resolve(request: &Request, stream: Option<StreamMemory>, quiet: bool) -> anyhow::Result<Loaded> {
    let locations = Locations::from_env()?;
    if let Some(memory) = stream {
        return data::stream(request, &locations, memory).map_err(of_stream);
    }
    progress::with_downloads(quiet, |bars| data::resolve(request, &locations, bars))
        .map_err(|error| with_hint(error, is_recorded(request) || skips_bad(request)))
}

/// Returns whether a request says completely how pictures are read, as the record of a run does: it takes no options.
fn is_recorded(request: &Request) -> bool {
    let Request::Path(PathRequest { pictures, .. }) = request else { return false };
    pictures.size.is_some() && pictures.preparation.is_some() && pictures.gray.is_some()
}

fn skips_bad(request: &Request) -> bool {
    matches!(request, Request::Path(PathRequest { pictures, .. }) if pictures.skip_bad)
}

/// Adds the option that leaves out a picture that cannot be used, unless it would not help.
fn with_hint(error: DataError, is_useless: bool) -> anyhow::Error {
    match error {
        DataError::Image { .. } if !is_useless => {
            anyhow::anyhow!("{error} (--skip-bad leaves out pictures that cannot be used)")
        }
        error => of_stream(error),
    }
}
