//! Products of f32 matrices on a GPU, in f32 or in TF32.

use super::{LibtorchError, check, ffi};

/// Lets them round their factors to TF32, or forbids it, for the whole process and as long as this
/// lives; then it is as it was before.
#[derive(Debug)]
pub struct Tf32(bool);

impl Tf32 {
    pub fn allow(allow: bool) -> Result<Self, LibtorchError> {
        let mut before = false;
        // SAFETY (here and below): a live pointer.
        check(unsafe { ffi::seqfit_allow_tf32(allow, &mut before) })?;
        Ok(Self(before))
    }
}

impl Drop for Tf32 {
    fn drop(&mut self) {
        let mut before = false;
        let _ = check(unsafe { ffi::seqfit_allow_tf32(self.0, &mut before) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_before_when_it_ends() -> Result<(), LibtorchError> {
        let allowed = || -> Result<bool, LibtorchError> { Ok(Tf32::allow(false)?.0) };
        assert!(!allowed()?);
        let outer = Tf32::allow(true)?;
        let inner = Tf32::allow(false)?;
        assert!(inner.0);
        drop(inner);
        drop(outer);
        assert!(!allowed()?);
        Ok(())
    }
}
