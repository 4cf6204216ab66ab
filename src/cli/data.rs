//! `seqfit data`: lists, downloads, prepares and verifies data sets.

use std::fmt::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use seqfit::FitConfig;
use seqfit::data::{
    self, ArrayKeys, DatasetName, Locations, PathRequest, PictureOptions, Preparation, Request,
    TargetKind, Verdict, catalog,
};
use seqfit::recipe::Recipe;

use super::data_options::{self, DataOptions, array_keys};
use super::image_options::{pack_note, preparation};
use super::output::Usage;
use super::output_files::{self, FileKind, OutputFile};
use super::parse_values::{self, Names, Numbers};
use super::{load_data, output, progress, train};

/// Options of `seqfit data`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the known data sets, and where they are on this machine
    List,
    /// Download a known data set into the cache folder
    Fetch {
        /// mnist, fashion-mnist, kmnist, cifar10, cifar100 or emnist-letters, which brings -balanced, -byclass, -bymerge,
        /// -digits and -mnist with it (digits are built in)
        #[arg(value_parser = data_options::dataset_to_fetch)]
        name: DatasetName,
    },
    /// Draw training images beside their augmented versions
    Preview(PreviewArgs),
    /// Make a data set from your pictures: a folder per class, PNG or JPEG files of any size
    Pack(PackArgs),
    /// Write a data set as shards, which train --stream reads without loading them into memory
    Shard(ShardArgs),
    /// Check every file of a data set: its format, and its checksum where one is known
    Verify {
        /// A known data set, a folder or a .npz file; ./mnist is a folder [default: all known ones on this
        /// machine]
        #[arg(value_name = "NAME|DIR|FILE")]
        what: Option<PathBuf>,
        /// The names of the arrays in its files if they are others, as in train: x_train=images,y_train=labels
        #[arg(long, value_name = "KEY=NAME,…", requires = "what", value_parser = array_keys)]
        keys: Option<ArrayKeys>,
        /// Kind of the targets in arrays, as in train: one class (also as one-hot rows), several labels (0 or 1 each) or numbers
        /// [default: what their type and shape suggest]
        #[arg(long, value_name = "KIND", requires = "what", value_parser = parse_values::task())]
        task: Option<TargetKind>,
        /// Names of the targets in arrays, as in train: of classes, labels or numbers
        #[arg(long, value_name = "NAME,…", requires = "what", value_parser = parse_values::names)]
        target_names: Option<Names>,
    },
}

/// Options of `seqfit data preview`.
#[derive(Debug, clap::Args)]
struct PreviewArgs {
    #[command(flatten)]
    data: DataOptions,
    /// The recipe whose augmentation is shown [default: photos for photographs, else best]
    #[arg(long, value_name = "NAME|FILE")]
    recipe: Option<PathBuf>,
    /// Override the recipe's numbers: rotation=9,scale=0.1,shift=1.5,shear=0.1,elastic=0.3
    #[arg(long, value_name = "KEY=X,…", value_parser = parse_values::numbers)]
    augment: Option<Numbers>,
    /// The training's seed
    #[arg(long, value_name = "N", default_value = "0", value_parser = parse_values::seed)]
    seed: u64,
    /// Number of images
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    samples: u16,
    /// Number of epochs shown for each image
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=100))]
    epochs: u16,
    /// The PNG file to write; an existing file is replaced
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Options of `seqfit data pack`.
#[derive(Debug, clap::Args)]
struct PackArgs {
    /// The folder with a subfolder of pictures for each class; or with the folders train and test, which have those
    #[arg(value_name = "DIR")]
    pictures: PathBuf,
    /// The folder to write, for seqfit train --data-dir; it must be new or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Height and width of the images [default: 28x28; in color their own if all have the same up to 96, else 64x64, or
    /// 32x32 for small ones]
    #[arg(long, visible_alias = "image-size", value_name = "HxW", value_parser = parse_values::picture_size)]
    size: Option<parse_values::Size>,
    /// Turn pictures gray, even if they are in color
    #[arg(long)]
    gray: bool,
    /// Fraction of each class used for testing, if there are no train and test folders; drawn by the seed
    #[arg(long, value_name = "SHARE", default_value = "0.2", value_parser = parse_values::share)]
    test_share: f64,
    /// Seed that selects the pictures for testing
    #[arg(long, value_name = "N", default_value = "0", value_parser = parse_values::seed)]
    seed: u64,
    /// How pictures become images, which train, predict and serve follow later: raw (of --size, taken
    /// unchanged), digit (one sign, found, cropped and centered, bright on black) or resize (the whole
    /// picture, scaled to --size) [default: resize for pictures in color; of gray ones raw if all have this size, digit
    /// if nearly all show a single sign, else resize]
    #[arg(long, value_name = "KIND", value_parser = preparation(), hide_possible_values = true)]
    prepare: Option<Preparation>,
    /// The same as --prepare raw
    #[arg(long, conflicts_with = "prepare")]
    raw: bool,
    /// Skip pictures that cannot be used, and name them
    #[arg(long)]
    skip_bad: bool,
}

/// Options of `seqfit data shard`.
#[derive(Debug, clap::Args)]
struct ShardArgs {
    #[command(flatten)]
    data: DataOptions,
    /// The folder to write, for seqfit train --stream --data-dir; it must be new or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number of shards for the training images [default: one per 256 MiB]
    #[arg(long, value_name = "N", value_parser = parse_values::count)]
    shards: Option<NonZeroUsize>,
}

/// Runs `seqfit data`.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let locations = Locations::from_env()?;
    match args.command {
        Command::List => list(&locations),
        Command::Fetch { name } => fetch(name, &locations),
        Command::Preview(args) => preview(&args),
        Command::Pack(args) => pack(&args),
        Command::Shard(args) => shard(&args),
        Command::Verify { what, keys, task, target_names } => {
            verify(what.as_deref(), keys, task, target_names, &locations)
        }
    }
}

fn list(locations: &Locations) -> anyhow::Result<ExitCode> {
    let mut out = String::new();
    for entry in catalog::all() {
        let place = place(entry, locations)?;
        let ([train, test], shape) = (entry.samples, entry.picture_shape());
        writeln!(out, "{}: {}", entry.name, entry.title)?;
        writeln!(out, "    {train} training and {test} test images of {shape}")?;
        writeln!(out, "    {}; {}", entry.licence, entry.attribution)?;
        writeln!(out, "    {place}")?;
    }
    output::print(&out)?;
    Ok(ExitCode::SUCCESS)
}

/// Returns where a known data set is, and whether verification finds it usable.
fn place(entry: &catalog::Entry, locations: &Locations) -> anyhow::Result<String> {
    let here = [locations.own(entry.name), locations.cached(entry.name)];
    let folder = match here.into_iter().flatten().find(|folder| folder.is_dir()) {
        _ if entry.files.is_empty() => return Ok("built in".to_owned()),
        Some(folder) => folder,
        None => return Ok(format!("not here: seqfit data fetch {}", entry.name)),
    };
    let reports = data::verify(&Request::Named(entry.name), locations)?;
    let folder = folder.display();
    let bad = reports.iter().filter(|report| !report.is_right()).count();
    let unchecked = reports.iter().filter(|report| report.verdict == Verdict::Usable).count();
    Ok(match (bad, unchecked) {
        (0, 0) => format!("here: {folder}"),
        (0, _) => format!("here: {folder} (cannot be checked: no checksum of such files is known)"),
        (bad, _) => format!(
            "not usable: {bad} of {} files in {folder} are missing or wrong: seqfit data verify {}",
            reports.len(),
            entry.name
        ),
    })
}

fn fetch(name: DatasetName, locations: &Locations) -> anyhow::Result<ExitCode> {
    let fetched = progress::with_downloads(false, |update| data::fetch(name, locations, update))?;
    let mut out = String::new();
    match fetched {
        Some(folder) => writeln!(out, "{name} is in {}", folder.display())?,
        None => writeln!(out, "{name} is built in: there is nothing to fetch")?,
    }
    output::print(&out)?;
    output::next(format_args!("seqfit train --dataset {name}"));
    Ok(ExitCode::SUCCESS)
}

fn preview(args: &PreviewArgs) -> anyhow::Result<ExitCode> {
    let changes = |Recipe { fit, .. }: Recipe| {
        let augment = train::over(&fit.augment, args.augment.as_ref(), "--augment")?;
        FitConfig { augment, ..fit }.check().map_err(|error| Usage(error.to_string()))?;
        anyhow::Ok(augment)
    };
    let mut augment = changes(match &args.recipe {
        Some(recipe) => train::load_recipe(recipe)?,
        None => Recipe::named("best")?,
    })?;
    let file = [OutputFile { option: "--out", path: &args.out, kind: FileKind::Png }];
    output_files::check(&file)?;
    let data = load_data::asked(&args.data.request(), None, false)?;
    output_files::check_not_read(&file, &data.source)?;
    if args.recipe.is_none()
        && let Some(usual) = Recipe::usual_for(&data.source)?
    {
        augment = changes(usual)?;
    }
    let (samples, epochs) = (args.samples.into(), args.epochs.into());
    data::preview(&data.train, augment, args.seed, samples, epochs)?.save_png(&args.out)?;
    output::print_status(format_args!("wrote {}", args.out.display()));
    Ok(ExitCode::SUCCESS)
}

fn pack(args: &PackArgs) -> anyhow::Result<ExitCode> {
    data::check_free(&args.out)?;
    let chosen = args.prepare.or(args.raw.then_some(Preparation::Raw));
    if args.test_share == 0.0 {
        let rule = "--test-share must be above 0, found 0: without test images a network cannot be \
                    evaluated";
        return Err(Usage(rule.to_owned()).into());
    }
    let asked = PictureOptions {
        size: args.size.map(|size| size.0),
        preparation: chosen,
        gray: args.gray.then_some(true),
        skip_bad: args.skip_bad,
    };
    let drawn = (args.test_share, args.seed);
    let packed = progress::with_bar("pictures", |update| {
        data::pack::from_pictures_suggested(&args.pictures, asked, drawn, update)
    });
    let packed = packed.map_err(|error| match error {
        data::DataError::Image { .. } => {
            anyhow::anyhow!("{error} (--skip-bad leaves out pictures that cannot be used)")
        }
        error => error.into(),
    })?;
    let shape = packed.train.any_pictures_for("data pack")?;
    if chosen.is_none() && !shape.color {
        output::print_status(pack_note(packed.train.preparation()));
    }
    for (_, why) in &packed.skipped {
        output::print_status(format_args!("left out: {why}"));
    }
    load_data::note(&packed.notes);
    data::save_dir(&packed.train, &packed.test, &args.out)?;
    let (train, test) = (packed.train.class_counts(), packed.test.class_counts());
    let mut out = String::new();
    for ((name, train), test) in packed.train.classes().iter().zip(&train).zip(&test) {
        writeln!(out, "{name}: {train} training and {test} test images")?;
    }
    writeln!(out, "{}: {} images of {shape}", args.out.display(), packed.images())?;
    output::print(&out)?;
    let recipe = if shape.color { " --recipe photos" } else { "" };
    output::next(format_args!("seqfit train --data-dir {}{recipe}", output::quoted(&args.out)));
    Ok(ExitCode::SUCCESS)
}

fn shard(args: &ShardArgs) -> anyhow::Result<ExitCode> {
    const BYTES: usize = 256 << 20;
    data::check_free(&args.out)?;
    let request = args.data.request();
    let data::Loaded { train, test, source, .. } = load_data::to_shard(&request)?;
    let shape = train.any_pictures_for("data shard")?;
    let by_size = || train.len().saturating_mul(shape.values()).div_ceil(BYTES);
    let shards = args.shards.map_or_else(by_size, NonZeroUsize::get);
    let written = progress::with_bar("images", |update| {
        data::save_shards(&train, &test, shards, &args.out, update)
    });
    written.map_err(|error| load_data::of_pictures(error, &request))?;
    let (out, train, test) = (args.out.display(), train.len(), test.len());
    output::print(&format!(
        "{out}: {train} training images in {shards} shards, {test} test images\n"
    ))?;
    let out = output::quoted(&args.out);
    // The shards do not say what their pictures show.
    let recipe = Recipe::usual_for(&source)?.map(|recipe| format!(" --recipe {}", recipe.name));
    let recipe = recipe.unwrap_or_default();
    output::next(format_args!("seqfit train --stream --data-dir {out}{recipe}"));
    Ok(ExitCode::SUCCESS)
}

fn verify(
    what: Option<&Path>,
    keys: Option<ArrayKeys>,
    task: Option<TargetKind>,
    names: Option<Names>,
    locations: &Locations,
) -> anyhow::Result<ExitCode> {
    let is_described = keys.is_some() || task.is_some() || names.is_some();
    let request = match what {
        None => Request::Auto,
        Some(path) => match path.to_string_lossy().parse() {
            Ok(name) => Request::Named(name),
            // A bare name that is not a folder's is a misspelled one.
            Err(error) if path.components().count() == 1 && !path.exists() => {
                return Err(Usage(format!("{} does not exist, and {error}", path.display())).into());
            }
            Err(_) => {
                let keys = keys.unwrap_or_default();
                let target_names = names.map(|Names(names)| names);
                let request = PathRequest::new(path);
                Request::Path(PathRequest { keys, targets: task, target_names, ..request })
            }
        },
    };
    if is_described && !matches!(request, Request::Path(_)) {
        let rule = "--keys, --task and --target-names describe arrays, found a known data set: leave them out";
        return Err(Usage(rule.to_owned()).into());
    }
    let reports = data::verify(&request, locations)?;
    let mut out = String::new();
    match (&request, reports.is_empty()) {
        (Request::Named(name), true) => {
            writeln!(out, "{name} is built in, and intact if seqfit is")?
        }
        (_, true) => writeln!(out, "no data set is here: seqfit data fetch mnist gets one")?,
        (_, false) => {}
    }
    for report in &reports {
        let holds = report.holds.as_ref().map(|holds| format!("{holds}, ")).unwrap_or_default();
        let verdict = match &report.verdict {
            Verdict::Known(name) => format!("{holds}as published for {name}"),
            Verdict::Usable => format!("{holds}well-formed, no checksum is known"),
            Verdict::Wrong(why) => format!("WRONG: {why}"),
            Verdict::Missing => "MISSING".to_owned(),
            Verdict::TestOnly => {
                format!("{holds}only test data, for evaluate; train needs training data, too")
            }
        };
        writeln!(out, "{}: {verdict}", report.path.display())?;
        load_data::note(&report.notes);
    }
    output::print(&out)?;
    let right = reports.iter().all(data::FileReport::is_right);
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
