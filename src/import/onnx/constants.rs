//! The constant tensors of a graph: its initializers, and those of its nodes.

use std::borrow::Cow;
use std::collections::HashMap;

use super::super::ImportedTensor;
use super::super::affine::{Affine, decimal};
use super::super::dtype::Dtype;
use super::super::tensor_roles::shown;
use super::arguments::Arguments;
use super::graph::{Attribute, Node};
use super::step::{Constant, Item};
use super::tensor::Tensor;

/// All constant tensors of a graph, the initializers first.
pub(super) struct Constants<'a> {
    tensors: Vec<Cow<'a, Tensor>>,
    /// The names of those of nodes.
    names: Vec<&'a str>,
}

impl<'a> Constants<'a> {
    /// Returns the initializers, also by name.
    pub fn of(tensors: &'a [Tensor]) -> (Self, HashMap<&'a str, Item>) {
        let names = tensors.iter().enumerate().map(|(tensor, own)| {
            (own.tensor.name.as_str(), Item::Constant(Constant { tensor, transposed: false }))
        });
        let names = names.collect();
        (Self { tensors: tensors.iter().map(Cow::Borrowed).collect(), names: Vec::new() }, names)
    }

    /// Adds the constant of a node.
    pub fn add(&mut self, node: &'a Node<'a>) -> Result<Constant, String> {
        let own = |dtype: &str, shape, values, integers| {
            let dtype = if dtype == "F32" { Dtype::F32 } else { Dtype::Other(dtype.to_owned()) };
            let tensor = ImportedTensor { name: String::new(), dtype, shape, values };
            Cow::Owned(Tensor { tensor, integers, external: false })
        };
        let tensor = match &node.attributes[..] {
            [("value", Attribute::Tensor(tensor))] => Cow::Borrowed(&**tensor),
            [("value_float", Attribute::Float(value))] => {
                own("F32", Vec::new(), Some(vec![*value]), None)
            }
            [("value_int", Attribute::Int(value))] => {
                own("I64", Vec::new(), None, Some(vec![*value]))
            }
            [("value_ints", Attribute::Ints(values))] => {
                own("I64", vec![values.len()], None, Some(values.clone()))
            }
            _ => return Err("whose value is not a tensor or a number".to_owned()),
        };
        self.tensors.push(tensor);
        self.names.push(node.outputs.first().copied().unwrap_or(""));
        Ok(Constant { tensor: self.tensors.len() - 1, transposed: false })
    }

    /// Returns the name of a tensor.
    pub fn name(&self, constant: Constant) -> &str {
        match constant.tensor.checked_sub(self.tensors.len() - self.names.len()) {
            Some(of_node) => self.names[of_node],
            None => &self.tensor(constant).tensor.name,
        }
    }

    /// Returns the transpose of a matrix.
    pub fn transposed(&self, arguments: &Arguments<'_>) -> Result<Constant, String> {
        arguments.only(&["perm"])?;
        let constant = arguments.constant(0)?;
        match (arguments.ints("perm")?, self.tensor(constant).tensor.shape.len()) {
            (None | Some([1, 0]), 2) => Ok(constant.turned()),
            _ => Err("which does not transpose a matrix".to_owned()),
        }
    }

    pub fn tensor(&self, constant: Constant) -> &Tensor {
        &self.tensors[constant.tensor]
    }

    /// Checks that the numbers of a tensor are in this file.
    pub fn check_inside(&self, constant: Constant) -> Result<(), String> {
        match self.tensor(constant).external {
            false => Ok(()),
            true => Err(format!(
                "whose tensor {} is in another file: save it with the numbers inside, by \
                 torch.onnx.export(…, external_data=False) or onnx.save(onnx.load(FILE), NEW)",
                shown(self.name(constant))
            )),
        }
    }

    /// Returns the sizes of a matrix.
    pub fn sizes(&self, constant: Constant) -> Option<[usize; 2]> {
        match (&self.tensor(constant).tensor.shape[..], constant.transposed) {
            (&[rows, columns], false) | (&[columns, rows], true) => Some([rows, columns]),
            _ => None,
        }
    }

    /// Returns the numbers of a tensor, row by row as stored.
    pub fn values(&self, constant: Constant) -> Option<&[f32]> {
        self.tensor(constant).tensor.values.as_deref()
    }

    /// Returns the only number of a tensor, by its shortest decimal form.
    pub fn scalar(&self, constant: Constant) -> Option<f64> {
        match self.values(constant)? {
            [number] => Some(decimal(*number)),
            _ => None,
        }
    }

    /// Returns the numbers of a constant beside a value: one, or one for each of the `size` values of its last axis.
    pub fn numbers(&self, constant: Constant, size: usize) -> Result<Vec<f64>, String> {
        self.check_inside(constant)?;
        let tensor = &self.tensor(constant).tensor;
        match constant.transposed {
            true => Err(Affine::refused(&tensor.shape)),
            false => Affine::numbers(tensor, size),
        }
    }

    /// Returns the values of a list of integers.
    pub fn integers(&self, constant: Constant) -> Option<&[i64]> {
        self.tensor(constant).integers.as_deref()
    }

    pub fn is_float(&self, constant: Constant) -> bool {
        self.tensor(constant).tensor.dtype.size().is_some()
    }

    /// Returns whether it is a vector with one number for each row of a matrix.
    pub fn is_bias_of(&self, constant: Constant, matrix: Constant) -> bool {
        let shape = &self.tensor(constant).tensor.shape;
        let (last, others) = shape.split_last().unwrap_or((&0, &[]));
        others.iter().all(|&size| size == 1)
            && self.sizes(matrix).is_some_and(|[rows, _]| rows == *last)
    }
}
