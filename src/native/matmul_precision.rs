//! The precision of f32 matrix products on a GPU: f32 or TF32.

use super::{LibtorchError, check, ffi};

/// Allows or forbids rounding the inputs of matrix products to TF32, for the whole process. Dropping the
/// value restores the previous setting.
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
    fn drop_restores_the_previous_setting() -> Result<(), LibtorchError> {
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
