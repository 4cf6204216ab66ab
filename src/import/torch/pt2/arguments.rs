//! The arguments of a node, by name. Errors are the reason that a node is no layer of seqfit, in words.

use super::program::{Argument, Node};

pub(super) struct Arguments<'a>(pub &'a Node);

impl<'a> Arguments<'a> {
    /// Returns an argument, unless it is not there.
    pub fn get(&self, name: &str) -> Option<&'a Argument> {
        self.0.inputs.iter().find(|input| input.name == name).map(|input| &input.arg)
    }

    /// Returns the name of the tensor that an argument is.
    pub fn tensor(&self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(Argument::tensor)
    }

    /// Returns a number, the default if the argument is not there.
    pub fn number(&self, name: &str, default: f64) -> Result<f64, String> {
        match self.get(name) {
            None => Ok(default),
            Some(argument) => argument
                .number()
                .ok_or_else(|| format!("whose {name} is not a number, but {}", argument.shown())),
        }
    }

    /// Checks that a number has the only value that seqfit has.
    pub fn number_is(&self, name: &str, default: f64, expected: f64) -> Result<(), String> {
        match self.number(name, default)? {
            found if found == expected => Ok(()),
            found => Err(format!("whose {name} is {found}, only {expected} is read")),
        }
    }

    /// Returns the sizes that an argument lists.
    pub fn ints(&self, name: &str) -> Result<&'a [i64], String> {
        let sizes = self.get(name).and_then(|argument| argument.as_ints.as_deref());
        sizes.ok_or_else(|| format!("whose {name} is not a list of sizes"))
    }

    /// Checks that there are no other arguments.
    pub fn only(&self, names: &[&str]) -> Result<(), String> {
        match self.0.inputs.iter().find(|input| !names.contains(&input.name.as_str())) {
            None => Ok(()),
            Some(other) => {
                let name: String = other.name.chars().take(40).collect();
                Err(format!("whose {name} is {}, which seqfit does not have", other.arg.shown()))
            }
        }
    }
}
