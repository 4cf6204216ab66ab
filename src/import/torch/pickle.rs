//! A pickle as plain data: the output of `torch.save` and `torch.jit.save`, read by an interpreter that runs
//! nothing.
//!
//! It supports numbers, texts, tuples, lists and dictionaries, and the names in `pickle_globals.rs`. A call of one
//! of them is recorded, never made; any other name is an error. Values are stored in one list and refer to
//! each other by index, so that no depth of nesting and no cycle costs more than its bytes.

mod machine;
mod value;

use super::super::error::Problem;
use machine::{Fault, Machine};
pub(super) use value::{Id, Value};

/// The longest pickle that is read, in bytes.
const MOST_BYTES: usize = 64 << 20;

/// A pickle that has been read.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    pub values: Vec<Value<'a>>,
    pub root: Id,
}

impl<'a> Pickle<'a> {
    /// Reads a whole pickle.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Problem> {
        if bytes.len() > MOST_BYTES {
            return Err(damaged(format!(
                "its pickle has {} bytes, more than {MOST_BYTES}",
                bytes.len()
            )));
        }
        let mut machine = Machine::new(bytes);
        loop {
            let at = bytes.len() - machine.bytes.len();
            match machine.step() {
                Ok(None) => {}
                Ok(Some(root)) => return Ok(Self { values: machine.values, root }),
                Err(Fault::Problem(problem)) => return Err(problem),
                Err(Fault::Rule(rule)) => {
                    return Err(damaged(format!("its pickle breaks at byte {at}: {rule}")));
                }
                Err(Fault::Unsupported(what)) => {
                    return Err(Problem::Unsupported {
                        format: "PyTorch",
                        message: format!("{what} at byte {at} of its pickle: {CURE}"),
                    });
                }
            }
        }
    }

    /// Returns a value by its index.
    pub(super) fn get(&self, id: Id) -> &Value<'a> {
        self.values.get(id as usize).unwrap_or(&Value::None)
    }

    /// Returns the name that is called, and its arguments.
    pub(super) fn call(&self, id: Id) -> Option<(&'a str, &'a str, &[Id])> {
        let Value::Call { of, arguments, .. } = *self.get(id) else { return None };
        match (self.get(of), self.get(arguments)) {
            (&Value::Global(module, name), Value::Tuple(arguments)) => {
                Some((module, name, arguments))
            }
            _ => None,
        }
    }
}

pub(super) fn damaged(message: impl ToString) -> Problem {
    Problem::Damaged { format: "PyTorch", message: message.to_string() }
}

/// The cure if a pickle has more than a state_dict needs.
const CURE: &str = "save model.state_dict() alone";

#[cfg(test)]
mod tests;
