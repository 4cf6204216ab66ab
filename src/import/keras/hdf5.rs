//! Keras's weights in HDF5: `.weights.h5`, and `.h5` from before Keras 3. The optimizer's are left out.

use hdf5_pure::{AttrValue, DType, Dataset, File, Group, Layout as Storage};
use serde_json::Value;

use super::places::{Attributes, Layout};
use super::weights::describe;
use crate::export::keras::datatype;
use crate::formats::{MemoryBudget, Order, count};
use crate::import::detect_format::Format;
use crate::import::dtype::Dtype;
use crate::import::error::Problem;
use crate::import::model_card::{CARD, Card};
use crate::import::{Imported, ImportedTensor};

/// Maximum depth of groups, and maximum number of groups and tensors in total: Keras nests a handful.
const DEEPEST: usize = 16;
const MOST_OBJECTS: usize = 1 << 14;

/// Reads a file, with the description of its network, if that is stored elsewhere.
pub(in crate::import) fn read(bytes: Vec<u8>, config: Option<Value>) -> Result<Imported, Problem> {
    let mut budget = MemoryBudget::new(bytes.len(), MemoryBudget::TIMES);
    check_whole(&bytes)?;
    // The bytes are copied once more for each tensor, and the file's own tables are read from them.
    let file = File::from_bytes(bytes).map_err(damaged)?;
    let mut walk = Walk {
        tensors: Vec::new(),
        card: None,
        layout: Layout::default(),
        objects: 0,
        budget: &mut budget,
    };
    walk.group(&file.root(), "", 0)?;
    let Walk { tensors, card, layout, .. } = walk;
    let imported = Imported { card, ..Imported::new(Format::KerasWeights, tensors) };
    describe(imported, &layout, config)
}

/// Checks that the file has the length that its superblock announces.
fn check_whole(bytes: &[u8]) -> Result<(), Problem> {
    // Versions 0 and 1 have sizes of tables and flags before the addresses.
    let place = match bytes.get(8) {
        Some(0) => 40,
        Some(1) => 44,
        _ => 28,
    };
    let end = bytes.get(place..place + 8).and_then(|end| end.try_into().ok());
    let end = end.map_or(u64::MAX, u64::from_le_bytes);
    match (bytes.len() as u64) < end {
        true => Err(Problem::Cut {
            format: "HDF5",
            message: format!("it announces {end} bytes, found {}", bytes.len()),
        }),
        false => Ok(()),
    }
}

struct Walk<'a> {
    tensors: Vec<ImportedTensor>,
    card: Option<Card>,
    layout: Layout,
    objects: usize,
    budget: &'a mut MemoryBudget,
}

impl Walk<'_> {
    fn group(&mut self, group: &Group, prefix: &str, depth: usize) -> Result<(), Problem> {
        self.count(depth)?;
        let attributes = self.attributes(group)?;
        self.layout.groups.insert(prefix.trim_end_matches('/').to_owned(), attributes);
        for name in group.datasets().map_err(damaged)? {
            self.count(depth)?;
            let dataset = group.dataset(&name).map_err(damaged)?;
            self.layout.groups.insert(format!("{prefix}{name}"), Attributes::new());
            self.dataset(&dataset, format!("{prefix}{name}"))?;
        }
        for name in group.groups().map_err(damaged)? {
            if depth == 0 && ["optimizer", "optimizer_weights"].contains(&name.as_str()) {
                continue;
            }
            let inner = group.group(&name).map_err(damaged)?;
            self.group(&inner, &format!("{prefix}{name}/"), depth + 1)?;
        }
        Ok(())
    }

    /// Returns the texts among a group's attributes. An unreadable description must not be ignored.
    fn attributes(&mut self, group: &Group) -> Result<Attributes, Problem> {
        let mut texts = Attributes::new();
        for (name, value) in group.attrs().map_err(damaged)? {
            if let Some(list) = list(value) {
                for text in &list {
                    self.budget.take::<u8>(text.len())?;
                }
                texts.insert(name, list);
            }
        }
        let described = |name: &String| ["model_config", "layer_names"].contains(&name.as_str());
        let names = group.attr_datatypes().map_err(damaged)?;
        match names.keys().find(|name| described(name) && !texts.contains_key(*name)) {
            Some(name) => Err(Problem::Unsupported {
                format: "HDF5",
                message: format!("its attribute {name:?} is not text: save the model again"),
            }),
            None => Ok(texts),
        }
    }

    /// Counts groups and tensors: links may form cycles.
    fn count(&mut self, depth: usize) -> Result<(), Problem> {
        self.objects += 1;
        if depth > DEEPEST || self.objects > MOST_OBJECTS {
            return Err(damaged("its groups are nested too deep, or hold too much"));
        }
        Ok(())
    }

    /// Reads the card that seqfit writes; an unreadable one counts as none.
    fn card(&mut self, dataset: &Dataset) -> Result<(), Problem> {
        if let Some(size) = stored(dataset)?.and_then(|size| usize::try_from(size).ok()) {
            // The library's two copies.
            self.budget.take::<u8>(2 * size.min(usize::MAX / 2))?;
            let texts = dataset.read_string().map_err(damaged)?;
            self.card = texts.first().and_then(|text| Card::read(text.as_bytes()));
        }
        Ok(())
    }

    fn dataset(&mut self, dataset: &Dataset, name: String) -> Result<(), Problem> {
        let sizes = dataset.shape().map_err(damaged)?;
        let shape: Option<Vec<usize>> = sizes.iter().map(|&size| size.try_into().ok()).collect();
        let numbers = shape.as_deref().and_then(count);
        let (Some(shape), Some(numbers)) = (shape, numbers) else {
            return Err(damaged(format!("dataset {name:?} cannot have shape {sizes:?}")));
        };
        let dtype = match dataset.dtype().map_err(damaged)? {
            DType::F32 => Dtype::F32,
            DType::F64 => Dtype::F64,
            DType::Other(found) if *found == datatype(true) => Dtype::F16,
            DType::String if name == CARD => return self.card(dataset),
            other => Dtype::Other(other.to_string().chars().take(40).collect()),
        };
        let Some(size) = dtype.size() else {
            self.tensors.push(ImportedTensor { name, dtype, shape, values: None });
            return Ok(());
        };
        let stored = match stored(dataset)? {
            Some(size) => size,
            None if numbers == 0 => 0,
            None => {
                return Err(Problem::Unsupported {
                    format: "HDF5",
                    message: format!(
                        "dataset {name:?} lies in chunks: save the model again, without compression"
                    ),
                });
            }
        };
        if numbers.checked_mul(size).map(|bytes| bytes as u64) != Some(stored) {
            return Err(damaged(format!(
                "dataset {name:?} of shape {shape:?} needs {size} bytes per number, found {stored} bytes"
            )));
        }
        // The library's own copy, and ours.
        self.budget.take::<u8>(numbers * size)?;
        self.budget.take::<f32>(numbers)?;
        let values = match (numbers, &dtype) {
            (0, _) => Vec::new(),
            (_, Dtype::F32) => dataset.read_f32().map_err(damaged)?,
            (_, Dtype::F16) => {
                let bytes = dataset.read_raw().map_err(damaged)?;
                dtype.decode(&bytes, Order::Little, self.budget)?.unwrap_or_default()
            }
            _ => {
                dataset.read_f64().map_err(damaged)?.into_iter().map(|value| value as f32).collect()
            }
        };
        if values.len() != numbers {
            return Err(damaged(format!(
                "dataset {name:?} needs {numbers} numbers, found {}",
                values.len()
            )));
        }
        self.tensors.push(ImportedTensor { name, dtype, shape, values: Some(values) });
        Ok(())
    }
}

/// Returns the size of a dataset stored in one piece, as Keras writes it: chunks could claim any size.
fn stored(dataset: &Dataset) -> Result<Option<u64>, Problem> {
    Ok(match dataset.layout().map_err(damaged)? {
        Storage::Contiguous { address: Some(_), size } | Storage::Compact { size } => Some(size),
        _ => None,
    })
}

/// Returns a text, or a list of texts, as a list.
fn list(value: AttrValue) -> Option<Vec<String>> {
    Some(match value {
        AttrValue::String(text)
        | AttrValue::StringSized { value: text, .. }
        | AttrValue::AsciiString(text)
        | AttrValue::AsciiStringSized { value: text, .. }
        | AttrValue::VarLenString(text)
        | AttrValue::VarLenAsciiString(text) => vec![text],
        AttrValue::StringArray(list)
        | AttrValue::StringArraySized { values: list, .. }
        | AttrValue::AsciiStringArray(list)
        | AttrValue::AsciiStringArraySized { values: list, .. }
        | AttrValue::VarLenStringArray(list)
        | AttrValue::VarLenAsciiStringArray(list) => list,
        // NumPy has no type for an empty list of texts.
        AttrValue::F64Array(list) if list.is_empty() => Vec::new(),
        _ => return None,
    })
}

fn damaged(message: impl ToString) -> Problem {
    Problem::Damaged { format: "HDF5", message: message.to_string() }
}
