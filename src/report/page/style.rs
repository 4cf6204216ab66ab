//! The pages' style sheet.

/// Written into each page; its digest is in the page's policy.
pub(super) const STYLE: &str = include_str!("style.css");
