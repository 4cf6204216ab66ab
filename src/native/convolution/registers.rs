//! The registers of a processor that kernels are compiled for.

use super::LANES;

/// Sixteen numbers in registers. Its functions need a processor that has these registers.
pub trait Lanes: Copy {
    /// The rows and vectors of a tile of sums that the registers hold, beside a few other vectors.
    const TILE: [usize; 2];

    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// Returns `self` + `a` · `b`.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
}

/// Code that is compiled for each kind of registers. Its indices were checked when it was made.
pub trait Kernel {
    unsafe fn run<L: Lanes>(self);
}

pub fn run(kernel: impl Kernel) {
    #[cfg(test)]
    match super::tests::REGISTERS.get() {
        super::tests::Registers::Own => {}
        super::tests::Registers::Wide => return unsafe { kernel.run::<super::tests::Wide>() },
        super::tests::Registers::Plain => return unsafe { kernel.run::<[f32; LANES]>() },
    }
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f")]
        fn avx512(kernel: impl Kernel) {
            unsafe { kernel.run::<std::arch::x86_64::__m512>() }
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(kernel: impl Kernel) {
            unsafe { kernel.run::<[std::arch::x86_64::__m256; 2]>() }
        }
        if is_x86_feature_detected!("avx512f") {
            return unsafe { avx512(kernel) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return unsafe { avx2(kernel) };
        }
    }
    unsafe { kernel.run::<[f32; LANES]>() }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lanes;
    use std::arch::x86_64::*;

    impl Lanes for __m512 {
        const TILE: [usize; 2] = [6, 4];

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { _mm512_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { _mm512_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self) }
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            unsafe { _mm512_fmadd_ps(a, b, self) }
        }
    }

    impl Lanes for [__m256; 2] {
        const TILE: [usize; 2] = [6, 1];

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { [_mm256_set1_ps(value); 2] }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe {
                _mm256_storeu_ps(to, self[0]);
                _mm256_storeu_ps(to.add(8), self[1]);
            }
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            unsafe { [_mm256_fmadd_ps(a[0], b[0], self[0]), _mm256_fmadd_ps(a[1], b[1], self[1])] }
        }
    }
}

impl Lanes for [f32; LANES] {
    const TILE: [usize; 2] = [2, 1];

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        [value; LANES]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { from.cast::<Self>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // Without an instruction for it, a fused product would be a call of a function.
        let fused = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
        std::array::from_fn(|i| match fused {
            true => a[i].mul_add(b[i], self[i]),
            false => a[i] * b[i] + self[i],
        })
    }
}
