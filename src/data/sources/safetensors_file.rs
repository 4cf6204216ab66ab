//! Arrays in a safetensors file, as `safetensors.numpy.save_file` writes them.

use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors};

use super::source_kind::SourceKind;
use crate::data::arrays::{Array, Failure, NamedArrays, decode, whole};
use crate::data::error::DataError;
use crate::data::sha256::{self, Sha256Hex};
use crate::data::source::SourceFile;
use crate::formats::npy::Header;
use crate::formats::{FormatProblem, MemoryBudget, Order};

pub(super) const SAFETENSORS: SourceKind =
    SourceKind::of_arrays::<File>("a safetensors file of arrays (.safetensors)", |path| {
        path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("safetensors"))
    });

/// A safetensors file in memory.
struct File {
    path: PathBuf,
    bytes: Vec<u8>,
    sha256: Sha256Hex,
    names: Vec<String>,
}

fn parse(bytes: &[u8]) -> Result<SafeTensors<'_>, FormatProblem> {
    SafeTensors::deserialize(bytes).map_err(|error| FormatProblem::Damaged {
        format: "safetensors",
        message: error.to_string(),
    })
}

impl NamedArrays for File {
    fn open(path: &Path) -> Result<Self, DataError> {
        let bytes = whole(path)?;
        let names =
            parse(&bytes).map(|file| file.names().into_iter().map(ToOwned::to_owned).collect());
        let mut names: Vec<String> = names.map_err(|problem| DataError::Arrays {
            path: path.to_owned(),
            problem: Box::new(problem.into()),
        })?;
        names.sort();
        let sha256 = sha256::sha256(&bytes[..]).map_err(|source| DataError::read(path, source))?;
        Ok(Self { path: path.to_owned(), bytes, sha256, names })
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn budget(&self) -> MemoryBudget {
        MemoryBudget::new(self.bytes.len(), MemoryBudget::TIMES)
    }

    fn read(&mut self, name: &str, budget: &mut MemoryBudget) -> Result<Array, Failure> {
        let file = parse(&self.bytes)?;
        let tensor = file.tensor(name).map_err(|error| FormatProblem::Damaged {
            format: "safetensors",
            message: error.to_string(),
        })?;
        let descr = match tensor.dtype() {
            Dtype::BOOL => "|b1".to_owned(),
            Dtype::U8 => "|u1".to_owned(),
            Dtype::I8 => "|i1".to_owned(),
            Dtype::U16 => "<u2".to_owned(),
            Dtype::I16 => "<i2".to_owned(),
            Dtype::F16 => "<f2".to_owned(),
            Dtype::U32 => "<u4".to_owned(),
            Dtype::I32 => "<i4".to_owned(),
            Dtype::F32 => "<f4".to_owned(),
            Dtype::U64 => "<u8".to_owned(),
            Dtype::I64 => "<i8".to_owned(),
            Dtype::F64 => "<f8".to_owned(),
            other => format!("{other:?}"),
        };
        let mut bytes = budget.list(tensor.data().len())?;
        bytes.extend_from_slice(tensor.data());
        let shape = tensor.shape().to_vec();
        let header = Header { descr, order: Order::Little, fortran: false, shape };
        Ok(decode(name, header, bytes, 0, budget)?)
    }

    fn files(&self) -> Vec<SourceFile> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        vec![SourceFile { name, sha256: self.sha256.clone() }]
    }
}
