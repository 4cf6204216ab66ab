//! `seqfit export`: writes a run's network as files for other programs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use clap::builder::{PossibleValue, TypedValueParser};
use seqfit::export::{self, Format, Options};
use seqfit::{Device, files};

use super::output::{self, Usage, print_status};
use super::output_files::{self, FileKind, OutputFile};
use super::parse_values::value_of;
use super::run_options::RunOptions;

/// Options of `seqfit export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    run: RunOptions,
    /// The formats, separated by commas or the option repeated
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "torchscript",
        value_parser = format()
    )]
    format: Vec<Format>,
    /// The file to write, or with several formats the folder to write them into; an existing file is
    /// replaced [default: model.pt, model.pt2, model.state_dict.pt, model.export.safetensors, model.onnx or
    /// model.weights.h5 in the run folder]
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// What to include in the model besides the network; for torchscript, pt2 and onnx
    #[arg(long, value_enum, value_name = "WHAT")]
    with: Option<Extra>,
    /// Write the weights as f16: half the size
    #[arg(long)]
    half: bool,
    /// Print the Python code that loads the written files
    #[arg(long)]
    python: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Extra {
    /// The model takes raw pixels, u8 from 0 to 255, or numbers as they are, and returns what `seqfit predict` does:
    /// probabilities, or the numbers of a regression
    Preprocessing,
}

/// Parses the name of a format.
fn format() -> impl TypedValueParser<Value = Format> {
    let help = |format| match format {
        Format::TorchScript => "For torch.jit.load in Python and torch::jit::load in C++",
        Format::Pt2 => "For torch.export.load",
        Format::StateDict => "For torch.load and nn.Sequential(...).load_state_dict",
        Format::Safetensors => "For safetensors.torch.load_file",
        Format::Onnx => "For onnxruntime and others",
        Format::Keras => "For load_weights of a Keras 3 model",
        _ => "",
    };
    // The names of what they are for, where that is one format.
    let others: fn(Format) -> &'static [&'static str] = |format| match format {
        Format::TorchScript => &["torch.jit", "torch.jit.script"],
        Format::Pt2 => &["torch.export"],
        Format::StateDict => &["state_dict"],
        Format::Onnx => &["onnxruntime"],
        _ => &[],
    };
    let value = |f: Format| PossibleValue::new(f.name()).help(help(f)).aliases(others(f));
    value_of(Format::ALL.iter().map(|&format| (value(format), format)).collect())
}

/// Runs `seqfit export`.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let options = Options { preprocessing: args.with.is_some(), half: args.half };
    let mut formats: Vec<Format> = Vec::new();
    for format in args.format {
        if !formats.contains(&format) {
            formats.push(format);
        }
    }
    let run = args.run.open()?;
    let checkpoint = args.run.checkpoint();
    let place = |format: Format| {
        let own = run.export_path(format, options, checkpoint);
        match &args.out {
            None => own,
            Some(file) if formats.len() == 1 => file.clone(),
            Some(folder) => folder.join(own.file_name().unwrap_or_default()),
        }
    };
    let places: Vec<(Format, PathBuf)> = formats.iter().map(|&f| (f, place(f))).collect();
    // Every error that can be detected is reported before the first file is written.
    for (format, path) in &places {
        format.check(options, path).map_err(|error| Usage(error.to_string()))?;
    }
    if let Some(folder) = args.out.as_ref().filter(|out| formats.len() > 1 && !out.is_dir()) {
        let folder = folder.display();
        let rule = "with several formats --out must name an existing folder";
        return Err(Usage(format!("{rule}, found {folder}: create it, or omit --out")).into());
    }
    let files = places.iter().map(|(_, path)| OutputFile {
        option: if args.out.is_some() { "--out" } else { "export" },
        path,
        kind: FileKind::Network,
    });
    output_files::check(&files.collect::<Vec<_>>())?;
    let model = args.run.load(&run, Device::Cpu)?;
    let card = match checkpoint {
        None => run.card()?,
        Some(_) => run.checkpoint_card()?,
    };
    let encoded = places.iter().map(|&(format, _)| export::encode(&model, format, &card, options));
    let encoded = encoded.collect::<Result<Vec<_>, _>>()?;
    for ((_, path), bytes) in places.iter().zip(encoded) {
        files::write(path, &bytes)?;
        print_status(format_args!("wrote {}", path.display()));
    }
    if args.python {
        let snippets = places.iter().map(|(format, path)| {
            export::python(*format, &card, options, &path.display().to_string())
        });
        output::print(&snippets.collect::<Result<Vec<_>, _>>()?.join("\n"))?;
    } else {
        let formats: Vec<&str> = formats.iter().map(|format| format.name()).collect();
        let mut again = format!("{} --format {}", args.run.quoted(), formats.join(","));
        for (given, option) in
            [(args.with.is_some(), " --with preprocessing"), (args.half, " --half")]
        {
            again += if given { option } else { "" };
        }
        if let Some(out) = &args.out {
            again += &format!(" --out {}", output::quoted(out));
        }
        output::next(format_args!("seqfit export {again} --python"));
    }
    Ok(ExitCode::SUCCESS)
}
