//! The class of each sample by its name.

use std::collections::BTreeSet;

use super::problem::ArraysProblem;
use super::read;
use super::text::Text;
use crate::data::class_problem::list;

/// Text as targets: the name of each sample's class.
pub(super) struct NamedClasses {
    /// The array.
    pub key: String,
    pub text: Text,
    /// Its shape, for the places in messages.
    pub shape: Vec<usize>,
}

impl NamedClasses {
    /// Returns the error for the string `at`.
    fn wrong(&self, rule: String, at: usize) -> ArraysProblem {
        let place = read::place(at, &self.shape, false);
        ArraysProblem::Text { key: self.key.clone(), rule, found: self.text.shown(at), place }
    }

    /// Returns the names that occur.
    ///
    /// # Errors
    /// Text that is not Unicode.
    pub fn names(&self) -> Result<BTreeSet<String>, ArraysProblem> {
        let names = self.text.distinct();
        names.map_err(|at| self.wrong("names of classes must be Unicode".to_owned(), at))
    }

    /// Returns the class of each sample, an index into `names`.
    ///
    /// # Errors
    /// A name that is not among them.
    pub fn classes(&self, names: &[String]) -> Result<Vec<u8>, ArraysProblem> {
        let rule = || format!("the names of classes are {}", list(names));
        self.text.indices(names).map_err(|at| self.wrong(rule(), at))
    }
}
