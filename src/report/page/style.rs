//! The pages' style sheet.

/// Written into each page; its digest is in the page's policy.
pub(in crate::report) const STYLE: &str = include_str!("style.css");
