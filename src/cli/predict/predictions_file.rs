//! The file of predictions that `predict --out` writes: `.npy` or `.csv`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use seqfit::data::TargetKind;
use seqfit::tch::Tensor;
use seqfit::text::counted;
use seqfit::{OutputActivation, export, files};

use super::super::output::Usage;
use super::super::output_files::FileKind;

/// The columns of predictions.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    pub targets: TargetKind,
    /// What turns outputs into predictions.
    pub output: OutputActivation,
    /// The names of the classes, labels or numbers.
    pub names: &'a [String],
}

/// Predictions that are collected for a file.
pub struct PredictionsFile<'a> {
    path: PathBuf,
    columns: Columns<'a>,
    format: Format,
    /// The predictions, one after the other; of a table empty.
    values: Vec<f32>,
    samples: usize,
    /// The lines of a table.
    table: String,
}

/// The first columns of a table.
const HEAD: &str = "file,index";

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Npy,
    Csv,
}

impl<'a> PredictionsFile<'a> {
    /// Checks the name of a file to be written, and that it is none of the files that are read.
    pub fn new(path: &Path, columns: Columns<'a>, read: &[PathBuf]) -> Result<Self, Usage> {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let format = match ending.as_str() {
            "npy" => Format::Npy,
            "csv" => Format::Csv,
            _ => {
                return Err(Usage(format!(
                    "--out writes a file whose name ends in .npy or .csv, found {}",
                    path.display()
                )));
            }
        };
        let real = path.canonicalize().ok();
        if real.is_some() && read.iter().any(|file| file.canonicalize().ok() == real) {
            return Err(Usage(format!(
                "--out would replace the samples in {}: give another name",
                path.display()
            )));
        }
        let mut file = Self {
            path: path.to_owned(),
            columns,
            format,
            values: Vec::new(),
            samples: 0,
            table: String::new(),
        };
        file.table = file.head();
        Ok(file)
    }

    /// Returns the kind of file.
    pub fn kind(&self) -> FileKind {
        match self.format {
            Format::Npy => FileKind::Npy,
            Format::Csv => FileKind::Table(HEAD),
        }
    }

    /// Returns whether a row says which sample it is for.
    pub fn names_samples(&self) -> bool {
        self.format == Format::Csv
    }

    fn head(&self) -> String {
        let Columns { targets, names, .. } = self.columns;
        let mut head: Vec<String> = HEAD.split(',').map(ToOwned::to_owned).collect();
        match targets {
            TargetKind::Numbers => head.extend_from_slice(names),
            kind => {
                head.extend(kind.is_class().then(|| "class".to_owned()));
                head.extend(names.iter().map(|name| format!("probability_{name}")));
            }
        }
        line(head.iter().map(String::as_str))
    }

    /// Adds the predictions for the samples of a file.
    pub fn add(&mut self, path: &Path, predictions: &[Vec<f32>]) {
        self.samples += predictions.len();
        if self.format == Format::Npy {
            self.values.extend(predictions.iter().flatten());
            return;
        }
        let Columns { targets, output, names } = self.columns;
        let file = path.to_string_lossy();
        for (index, prediction) in predictions.iter().enumerate() {
            let values = output.by_name(prediction.clone(), names.len());
            let mut fields = vec![file.to_string(), index.to_string()];
            if targets.is_class() {
                fields.extend(names.get(likeliest(&values)).cloned());
            }
            fields.extend(values.iter().map(f32::to_string));
            self.table += &line(fields.iter().map(String::as_str));
        }
    }

    /// Writes the file, and returns a description of it.
    pub fn write(&self) -> anyhow::Result<String> {
        let path = &self.path;
        match self.format {
            Format::Csv => files::write(path, self.table.as_bytes())?,
            Format::Npy => {
                let rows = i64::try_from(self.samples)?;
                let values = Tensor::f_from_slice(&self.values)?.f_reshape([rows, -1])?;
                export::npy::save(&values, path)?;
            }
        }
        Ok(format!("wrote {}: {}", path.display(), counted(self.samples, "prediction")))
    }
}

/// Returns the index of the highest value; the first of several.
fn likeliest(values: &[f32]) -> usize {
    let better = |best: usize, i: usize| if values[i] > values[best] { i } else { best };
    (1..values.len()).fold(0, better)
}

/// Returns a line of a table (RFC 4180, with the line end of Unix).
fn line<'a>(fields: impl Iterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for (i, field) in fields.enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let _ = match field.contains([',', '"', '\n', '\r']) {
            true => write!(line, "{comma}\"{}\"", field.replace('"', "\"\"")),
            false => write!(line, "{comma}{field}"),
        };
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        let fields = ["a", "b,c", "say \"x\"", "", "d\ne"];
        assert_eq!(line(fields.into_iter()), "a,\"b,c\",\"say \"\"x\"\"\",,\"d\ne\"\n");
    }
}
