//! The weights of a network that a file describes completely.

use std::collections::HashSet;

use super::check_finite::finite;
use super::described::{Described, Layout, Source};
use super::error::Problem;
use super::file_contents::ImportedTensor;
use super::tensor_roles::shown;
#[cfg(feature = "keras")]
use crate::export::KerasLayout;
use crate::formats::MemoryBudget;
use crate::model::{NamedVariable, Spec};
use crate::native::reserved;
use crate::tensors::{HostTensor, Tensors};

impl Described {
    /// Counts the numbers of its weights that are not in the file against the memory that the file may take.
    ///
    /// # Errors
    /// More memory than that.
    pub fn count_memory(&self, budget: &mut MemoryBudget) -> Result<(), Problem> {
        let mut seen = HashSet::new();
        for (variable, source) in self.spec.variables()?.iter().zip(&self.sources) {
            // A tensor that several layers share is copied for each.
            let is_whole = match source {
                Source::Filled(_) | Source::Tensor { layout: Layout::Repeated(_), .. } => false,
                Source::Tensor { tensor, .. } => seen.insert(*tensor),
            };
            if !is_whole {
                budget.take::<f32>(variable.variable.count().unwrap_or(usize::MAX))?;
            }
        }
        Ok(())
    }

    /// Returns the weights under the names of `spec`, a network with the same variables.
    ///
    /// # Errors
    /// Variables of other shapes, each listed; numbers that are not finite, or too little memory.
    pub fn weights(&self, spec: &Spec, tensors: &[ImportedTensor]) -> Result<Tensors, Problem> {
        let wanted = spec.variables()?;
        let own = self.shapes(&wanted, tensors)?;
        let is_same =
            |i: &usize| own.get(*i) == wanted.get(*i).map(|variable| &variable.variable.shape);
        let count = own.len().max(wanted.len());
        let lines = (0..count).filter(|i| !is_same(i)).map(|i| {
            let name = wanted.get(i).map_or("nothing".to_owned(), |variable| {
                format!("{} {:?}", variable.name, variable.variable.shape)
            });
            let found = match (self.sources.get(i), own.get(i)) {
                (Some(Source::Tensor { tensor, .. }), Some(shape)) => {
                    let name = tensors.get(*tensor).map_or("", |tensor| &tensor.name);
                    format!("{} {shape:?}", shown(name))
                }
                (Some(Source::Filled(number)), Some(shape)) => format!("only {number} {shape:?}"),
                _ => "nothing".to_owned(),
            };
            format!("expected {name}, found {found}")
        });
        let lines: Vec<String> = lines.collect();
        if !lines.is_empty() {
            return Err(Problem::Mismatch(lines));
        }
        let named = wanted.into_iter().zip(&self.sources).map(|(variable, source)| {
            let shape = variable.variable.shape;
            let values = source.values(shape.iter().product(), tensors)?;
            Ok((variable.name, HostTensor::new(shape, values)))
        });
        named.collect()
    }
}

impl Described {
    /// Returns the shapes of its variables: without the shape of a sample, those of their tensors.
    fn shapes(
        &self,
        wanted: &[NamedVariable],
        tensors: &[ImportedTensor],
    ) -> Result<Vec<Vec<usize>>, Problem> {
        if !self.spec.input_shape.is_empty() {
            let own = self.spec.variables()?.into_iter();
            return Ok(own.map(|variable| variable.variable.shape).collect());
        }
        let shape = |(i, source): (usize, &Source)| match source {
            Source::Tensor { tensor, .. } => tensors.get(*tensor).map(|own| own.shape.clone()),
            Source::Filled(_) => wanted.get(i).map(|variable| variable.variable.shape.clone()),
        };
        let shapes = self.sources.iter().enumerate().map(shape);
        Ok(shapes.map(Option::unwrap_or_default).collect())
    }
}

impl Source {
    /// Returns the values of the variable: `count` of them.
    fn values(&self, count: usize, tensors: &[ImportedTensor]) -> Result<Vec<f32>, Problem> {
        let stored = match self {
            Self::Filled(_) => &[],
            Self::Tensor { tensor, .. } => finite(tensors.get(*tensor).ok_or(Problem::Unknown)?)?,
        };
        let mut values = reserved(count).map_err(|bytes| Problem::Memory { bytes })?;
        match *self {
            Self::Filled(number) => values.resize(count, number),
            Self::Tensor { layout: Layout::AsStored, .. } => values.extend_from_slice(stored),
            Self::Tensor { layout: Layout::Repeated(times), .. } => {
                values.extend(std::iter::repeat_n(stored.first().unwrap_or(&0.0), times));
            }
            #[cfg(feature = "keras")]
            Self::Tensor { layout: Layout::Keras { shape, filters }, .. } => {
                values.extend(KerasLayout::of(&shape, filters).places().map(|place| stored[place]));
            }
            #[cfg(feature = "onnx")]
            Self::Tensor { layout: Layout::Transposed([rows, columns]), .. } => values.extend(
                (0..rows)
                    .flat_map(|row| (0..columns).map(move |column| stored[column * rows + row])),
            ),
        }
        Ok(values)
    }
}
