//! A tensor as a pickle describes it: a view into a storage, which is a separate record.

use super::super::dtype::Dtype;
use super::super::error::Problem;
use super::pickle::{Id, Pickle, Value, damaged};
use crate::formats::Archive;
use crate::formats::MemoryBudget;
use crate::formats::{Order, count};

/// More axes than any tensor has: the product of their sizes would still have to be counted.
const MOST_AXES: usize = 64;

/// The location of a tensor's numbers.
#[derive(Clone, Debug)]
pub(super) struct View<'a> {
    /// The storage's name.
    key: &'a str,
    pub dtype: Dtype,
    /// Number of elements in the storage.
    length: usize,
    /// Offset of the tensor in it, in elements.
    offset: usize,
    pub shape: Vec<usize>,
    /// Distance of adjacent elements along each axis, in elements.
    strides: Vec<usize>,
    /// Whether the tensor's numbers are the negatives of the stored ones.
    negative: bool,
}

impl<'a> View<'a> {
    /// Returns the tensor or parameter at this index, if it is one.
    pub(super) fn at(pickle: &Pickle<'a>, id: Id) -> Result<Option<Self>, Problem> {
        let rule = || damaged("a tensor is a storage, an offset, sizes and strides");
        let Some((how, arguments)) = rebuilt(pickle, id) else { return Ok(None) };
        if !["_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3"].contains(&how) {
            return Ok(Some(Self::opaque(how)));
        }
        let [storage, offset, shape, strides, ref further @ ..] = arguments[..] else {
            return Err(rule());
        };
        let Value::Outside(storage) = *pickle.get(storage) else { return Err(rule()) };
        let (key, mut dtype, length) = storage_at(pickle, storage)?;
        // Version 3 has types that no storage is named after, before the metadata.
        let (kind, metadata) = match how.ends_with("v3") {
            true => (further.get(2), further.get(3)),
            false => (None, further.get(2)),
        };
        if let Some(Value::Global(_, name)) = kind.map(|&kind| pickle.get(kind)) {
            dtype = Dtype::Other((*name).to_owned());
        }
        let negative = match metadata {
            Some(&metadata) => is_negative(pickle, metadata, &dtype)?,
            None => false,
        };
        let offset = size(pickle.get(offset)).ok_or_else(rule)?;
        let (shape, strides) = (sizes(pickle, shape)?, sizes(pickle, strides)?);
        if shape.len() != strides.len() {
            return Err(rule());
        }
        let view = Self { key, dtype, length, offset, shape, strides, negative };
        view.check()?;
        Ok(Some(view))
    }

    /// Returns a tensor whose numbers fill a record, or are a part of one.
    pub(super) fn in_record(
        record: &'a str,
        dtype: Dtype,
        offset: usize,
        [shape, strides]: [Vec<usize>; 2],
        storages: &mut Storages<'_, '_>,
        budget: &mut MemoryBudget,
    ) -> Result<Self, Problem> {
        let length = storages.read(record, budget)?.len() / dtype.size().unwrap_or(1);
        if shape.len() != strides.len() || shape.len() > MOST_AXES {
            return Err(damaged("sizes and strides are as many, and at most 64"));
        }
        let view = Self { key: record, dtype, length, offset, shape, strides, negative: false };
        if view.dtype.size().is_some() {
            view.check()?;
        }
        Ok(view)
    }

    /// Returns whether there is a tensor or parameter at this index, valid or not.
    pub(super) fn is_at(pickle: &Pickle<'_>, id: Id) -> bool {
        rebuilt(pickle, id).is_some()
    }

    /// Returns a tensor of another kind (sparse, quantized, on "meta"): it is listed, and has no values here.
    fn opaque(how: &str) -> Self {
        let kind = how.trim_start_matches("_rebuild_").to_owned();
        let (shape, strides, dtype) = (Vec::new(), Vec::new(), Dtype::Other(kind));
        Self { key: "", dtype, length: 1, offset: 0, shape, strides, negative: false }
    }

    /// Returns whether this is a single number without a shape, as a loss is.
    pub(super) fn is_scalar(&self) -> bool {
        self.shape.is_empty() && !self.key.is_empty()
    }

    /// Checks that the last number is in the storage. An expanded tensor, with strides of 0, has more numbers than
    /// its storage; its memory is taken from the budget.
    fn check(&self) -> Result<(), Problem> {
        let outside = || {
            let Self { shape, strides, offset, length, key, .. } = self;
            damaged(format!(
                "a tensor of shape {shape:?} with strides {strides:?} from {offset} does not lie in \
                 storage {key:?} of {length} numbers"
            ))
        };
        let numbers = count(&self.shape).ok_or_else(outside)?;
        if numbers == 0 {
            return Ok(());
        }
        let last =
            self.shape.iter().zip(&self.strides).try_fold(self.offset, |last, (size, stride)| {
                last.checked_add((size - 1).checked_mul(*stride)?)
            });
        match last {
            Some(last) if last < self.length => Ok(()),
            _ => Err(outside()),
        }
    }

    /// Returns the values row by row, in any layout; none for a type that weights do not have.
    pub(super) fn load(
        &self,
        storages: &mut Storages<'_, '_>,
        order: Order,
        budget: &mut MemoryBudget,
    ) -> Result<Option<Vec<f32>>, Problem> {
        let mut values = self.stored(storages, order, budget)?;
        if self.negative {
            values.iter_mut().flatten().for_each(|value| *value = -*value);
        }
        Ok(values)
    }

    /// Returns the values as they lie in the storage, row by row.
    fn stored(
        &self,
        storages: &mut Storages<'_, '_>,
        order: Order,
        budget: &mut MemoryBudget,
    ) -> Result<Option<Vec<f32>>, Problem> {
        let Some(size) = self.dtype.size() else { return Ok(None) };
        let bytes = storages.read(self.key, budget)?;
        if self.length.checked_mul(size) != Some(bytes.len()) {
            let Self { key, length, .. } = self;
            let found = bytes.len();
            return Err(damaged(format!(
                "storage {key:?} must hold {length} numbers, found {found} bytes"
            )));
        }
        let numbers = count(&self.shape).unwrap_or(0);
        if numbers == 0 {
            return Ok(Some(Vec::new()));
        }
        if self.is_contiguous() {
            let from = self.offset * size;
            return self.dtype.decode(&bytes[from..from + numbers * size], order, budget);
        }
        let Some(stored) = self.dtype.decode(bytes, order, budget)? else { return Ok(None) };
        let mut values = budget.list(numbers)?;
        let mut place = vec![0; self.shape.len()];
        for _ in 0..numbers {
            let steps: usize =
                place.iter().zip(&self.strides).map(|(at, stride)| at * stride).sum();
            values.push(stored[self.offset + steps]);
            // Like an odometer: the last axis varies fastest.
            for (at, &size) in place.iter_mut().zip(&self.shape).rev() {
                *at += 1;
                if *at < size {
                    break;
                }
                *at = 0;
            }
        }
        Ok(Some(values))
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let fits = size <= 1 || stride == expected;
            expected *= size;
            fits
        })
    }
}

/// Returns the function that makes the tensor at this index, and its arguments: through parameters and tensors of
/// custom classes.
fn rebuilt<'p>(pickle: &'p Pickle<'_>, mut id: Id) -> Option<(&'p str, &'p [Id])> {
    // Each step goes to an argument, which could form a cycle.
    for _ in 0..8 {
        let (module, name, arguments) = pickle.call(id)?;
        match (module, name) {
            ("torch._tensor", "_rebuild_from_type_v2") => {
                let [function, _, own, ..] = *arguments else { return Some((name, arguments)) };
                return match (pickle.get(function), pickle.get(own)) {
                    (Value::Global("torch._utils", name), Value::Tuple(own)) => Some((name, own)),
                    _ => Some((name, arguments)),
                };
            }
            (
                "torch._utils",
                "_rebuild_parameter"
                | "_rebuild_parameter_with_state"
                | "_rebuild_device_tensor_from_cpu_tensor",
            )
            | ("torch.nn.parameter", "Parameter" | "Buffer") => id = *arguments.first()?,
            ("torch._utils", _) | ("torch", "Tensor") => return Some((name, arguments)),
            _ => return None,
        }
    }
    None
}

/// Returns whether a tensor's metadata says that its numbers are the negatives of the stored ones, as those of
/// `z.conj().imag` are.
///
/// # Errors
/// Any other metadata, by its name.
fn is_negative(pickle: &Pickle<'_>, metadata: Id, dtype: &Dtype) -> Result<bool, Problem> {
    // TorchScript states the dictionary's type, too.
    let pairs = match (pickle.call(metadata), pickle.get(metadata)) {
        (Some(("torch.jit._pickle", "restore_type_tag", &[dict, ..])), _) => pickle.get(dict),
        (_, own) => own,
    };
    let pairs = match pairs {
        Value::Dict(pairs) => &pairs[..],
        Value::None => &[],
        _ => return Err(damaged("a tensor's metadata is a dictionary")),
    };
    let mut negative = false;
    for &(key, value) in pairs {
        match (pickle.get(key), pickle.get(value)) {
            (_, Value::Bool(false)) => {}
            (Value::Text("neg"), Value::Bool(true)) => negative = true,
            // Of complex numbers, which are listed and never read.
            (Value::Text("conj"), _) if dtype.size().is_none() => {}
            (Value::Text(name), _) => return Err(unread(&format!("{name:?}"))),
            _ => return Err(unread("without a name")),
        }
    }
    Ok(negative)
}

fn unread(metadata: &str) -> Problem {
    let metadata: String = metadata.chars().take(80).collect();
    Problem::Unsupported {
        format: "PyTorch",
        message: format!(
            "a tensor with the metadata {metadata}: save plain copies, tensor.clone()"
        ),
    }
}

/// The records that hold tensors. The last one is kept: many tensors may share it.
pub(super) struct Storages<'a, 'b> {
    archive: &'a mut Archive<'b>,
    folder: String,
    last: Option<(String, Vec<u8>)>,
}

impl<'a, 'b> Storages<'a, 'b> {
    /// Creates a reader of the records in a folder of an archive.
    pub(super) fn new(archive: &'a mut Archive<'b>, folder: String) -> Self {
        Self { archive, folder, last: None }
    }

    fn read(&mut self, key: &str, budget: &mut MemoryBudget) -> Result<&[u8], Problem> {
        let last = self.last.take().filter(|(last, _)| last == key);
        let last = match last {
            Some(last) => last,
            None => {
                let bytes = self.archive.read(&format!("{}{key}", self.folder), budget)?;
                (key.to_owned(), bytes)
            }
        };
        Ok(&self.last.insert(last).1)
    }
}

/// Reads ("storage", type, key, place, length), the description of every storage.
fn storage_at<'a>(pickle: &Pickle<'a>, id: Id) -> Result<(&'a str, Dtype, usize), Problem> {
    let rule = || damaged("a storage is described by its type, its key and its length");
    let Value::Tuple(parts) = pickle.get(id) else { return Err(rule()) };
    let [kind, class, key, _, length, ..] = parts[..] else { return Err(rule()) };
    let (
        &Value::Text("storage"),
        &Value::Global("torch" | "torch.storage", class),
        &Value::Text(key),
        Some(length),
    ) = (pickle.get(kind), pickle.get(class), pickle.get(key), size(pickle.get(length)))
    else {
        return Err(rule());
    };
    let dtype = match class {
        "FloatStorage" => Dtype::F32,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "DoubleStorage" => Dtype::F64,
        other => Dtype::Other(other.trim_end_matches("Storage").to_owned()),
    };
    Ok((key, dtype, length))
}

fn sizes(pickle: &Pickle<'_>, id: Id) -> Result<Vec<usize>, Problem> {
    let rule = || damaged("sizes and strides are whole numbers of at least 0");
    let items = match (pickle.call(id), pickle.get(id)) {
        (Some(("torch", "Size", &[items])), _) => pickle.get(items),
        (_, own) => own,
    };
    let Value::Tuple(items) = items else { return Err(rule()) };
    if items.len() > MOST_AXES {
        return Err(rule());
    }
    items.iter().map(|&id| size(pickle.get(id)).ok_or_else(rule)).collect()
}

fn size(value: &Value<'_>) -> Option<usize> {
    match *value {
        Value::Int(number) => number.try_into().ok(),
        _ => None,
    }
}
