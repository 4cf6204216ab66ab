//! The style sheet of the pages.

/// Embedded in each page; its digest is in the page's content security policy.
pub(in crate::report) const STYLE: &str = include_str!("style.css");
