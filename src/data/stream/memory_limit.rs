//! The memory limit of a streamed data set.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The memory limit of the images of a streamed training set, in MiB: 64 by default. The
/// order of the samples depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamMemory(NonZeroU32);

impl StreamMemory {
    /// Returns a limit of `mib` MiB; none for 0.
    pub fn mib(mib: u32) -> Option<Self> {
        NonZeroU32::new(mib).map(Self)
    }

    /// Returns the limit in bytes.
    pub fn bytes(self) -> usize {
        (self.0.get() as usize).saturating_mul(1 << 20)
    }
}

impl Default for StreamMemory {
    fn default() -> Self {
        Self(NonZeroU32::MIN.saturating_add(63))
    }
}

impl fmt::Display for StreamMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for StreamMemory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rule = |_| format!("the memory is a whole number of MiB, at least 1, found {text:?}");
        text.parse().map(Self).map_err(rule)
    }
}
