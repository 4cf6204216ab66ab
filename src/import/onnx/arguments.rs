//! The inputs and attributes of a node.

use std::collections::HashMap;

use super::super::affine::decimal;
use super::super::tensor_roles::shown;
use super::graph::{Attribute, Node};
use super::step::{Constant, Item};
use crate::layers::Activation;

/// A node with its inputs.
pub(super) struct Arguments<'n> {
    node: &'n Node<'n>,
    items: Vec<Option<Item>>,
}

impl<'n> Arguments<'n> {
    /// Finds the inputs of a node, which nodes before it have made.
    pub fn of(node: &'n Node<'_>, names: &HashMap<&str, Item>) -> Result<Self, String> {
        let item = |&name: &&str| match (name, names.get(name)) {
            ("", _) => Ok(None),
            (_, Some(&item)) => Ok(Some(item)),
            (_, None) => {
                Err(format!("which takes {}, and no node before it makes that", shown(name)))
            }
        };
        let items = node.inputs.iter().map(item).collect::<Result<_, _>>()?;
        if node.outputs.iter().skip(1).any(|name| !name.is_empty()) {
            return Err("which has several outputs".to_owned());
        }
        Ok(Self { node, items })
    }

    /// Returns the first input.
    pub fn first(&self) -> Result<Item, String> {
        self.item(0)
    }

    pub fn item(&self, number: usize) -> Result<Item, String> {
        let item = self.items.get(number).copied().flatten();
        item.ok_or_else(|| format!("which lacks input {}", number + 1))
    }

    /// Returns an input that must be a constant.
    pub fn constant(&self, number: usize) -> Result<Constant, String> {
        match self.item(number)? {
            Item::Constant(constant) => Ok(constant),
            Item::Value(_) => Err(format!("whose input {} is not a constant", number + 1)),
        }
    }

    /// Returns an input that may be absent and must be a constant.
    pub fn optional(&self, number: usize) -> Result<Option<Constant>, String> {
        match self.items.get(number) {
            None | Some(None) => Ok(None),
            Some(Some(_)) => self.constant(number).map(Some),
        }
    }

    /// Checks that the node has no other attributes.
    pub fn only(&self, names: &[&str]) -> Result<(), String> {
        match self.node.attributes.iter().find(|(name, _)| !names.contains(name)) {
            None => Ok(()),
            Some((name, _)) => Err(format!("which has the attribute {}", shown(name))),
        }
    }

    pub fn int(&self, name: &str, default: i64) -> Result<i64, String> {
        match self.node.attribute(name) {
            None => Ok(default),
            Some(Attribute::Int(int)) => Ok(*int),
            Some(_) => Err(format!("whose attribute {name} is not an integer")),
        }
    }

    /// Returns an attribute, if the node has it.
    pub fn attribute(&self, name: &str) -> Option<&Attribute<'n>> {
        self.node.attribute(name)
    }

    /// Returns a list of integers, if the node has it.
    pub fn ints(&self, name: &str) -> Result<Option<&[i64]>, String> {
        match self.node.attribute(name) {
            None => Ok(None),
            Some(Attribute::Ints(list)) => Ok(Some(list)),
            Some(_) => Err(format!("whose attribute {name} is not a list of integers")),
        }
    }

    /// Checks that an attribute has the only value that is read.
    pub fn int_is(&self, name: &str, default: i64, expected: i64) -> Result<(), String> {
        match self.int(name, default)? {
            found if found == expected => Ok(()),
            found => Err(format!("whose {name} is {found}, only {expected} is read")),
        }
    }

    /// Returns a number as f64, by its shortest decimal form.
    pub fn number(&self, name: &str, default: f64) -> Result<f64, String> {
        match self.node.attribute(name) {
            None => Ok(default),
            Some(Attribute::Float(number)) => Ok(decimal(*number)),
            Some(_) => Err(format!("whose attribute {name} is not a number")),
        }
    }

    fn number_is(&self, name: &str, default: f64, expected: f64) -> Result<(), String> {
        let found = self.number(name, default)?;
        match (found - expected).abs() < 1e-6 {
            true => Ok(()),
            false => Err(format!("whose {name} is {found}, that of seqfit's is {expected}")),
        }
    }

    /// Returns the activation that the node is.
    pub fn activation(&self, opset: i64) -> Result<Activation, String> {
        let (activation, attributes): (Activation, &[&str]) = match self.node.operator {
            "Relu" => (Activation::Relu, &[]),
            "Tanh" => (Activation::Tanh, &[]),
            "Sigmoid" => (Activation::Sigmoid, &[]),
            "Softplus" => (Activation::Softplus, &[]),
            "Mish" => (Activation::Mish, &[]),
            "Swish" => (Activation::Silu, &["alpha"]),
            "LeakyRelu" => (Activation::LeakyRelu, &["alpha"]),
            "Elu" => (Activation::Elu, &["alpha"]),
            "Selu" => (Activation::Selu, &["alpha", "gamma"]),
            "HardSigmoid" => (Activation::HardSigmoid, &["alpha", "beta"]),
            "Gelu" => (Activation::Gelu, &["approximate"]),
            "Softmax" => (Activation::Softmax, &["axis"]),
            _ => return Err("which is no layer of seqfit".to_owned()),
        };
        self.only(attributes)?;
        match activation {
            Activation::Silu | Activation::Elu => self.number_is("alpha", 1.0, 1.0)?,
            Activation::LeakyRelu => self.number_is("alpha", 0.01, 0.2)?,
            Activation::Selu => {
                self.number_is("alpha", 1.673_263_2, 1.673_263_2)?;
                self.number_is("gamma", 1.050_701, 1.050_701)?;
            }
            Activation::HardSigmoid => {
                self.number_is("alpha", 0.2, 1.0 / 6.0)?;
                self.number_is("beta", 0.5, 0.5)?;
            }
            Activation::Gelu => match self.node.attribute("approximate") {
                None | Some(Attribute::Text(b"none")) => {}
                Some(_) => return Err("which is the approximation of GELU by tanh".to_owned()),
            },
            // Before opset 13 all axes from this one on; the outputs are vectors.
            Activation::Softmax => match self.int("axis", if opset < 13 { 1 } else { -1 })? {
                1 | -1 => {}
                axis => return Err(format!("whose axis is {axis}, only the last is read")),
            },
            _ => {}
        }
        Ok(activation)
    }
}
