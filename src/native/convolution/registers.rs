//! The registers of a processor that kernels are compiled for.

/// The numbers of a vector, which the sizes of channels are rounded up to.
pub const LANES: usize = 16;

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
    match simulated::REGISTERS.get() {
        simulated::Registers::Own => {}
        simulated::Registers::Wide => return unsafe { kernel.run::<simulated::Wide>() },
        simulated::Registers::Plain => return unsafe { kernel.run::<[f32; LANES]>() },
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
    use crate::native::convolution::registers::Lanes;
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

/// Registers of other processors, for tests.
#[cfg(test)]
pub mod simulated {
    use crate::native::convolution::registers::{LANES, Lanes};
    use std::cell::Cell;

    /// The registers that a test computes with.
    #[derive(Clone, Copy, Debug)]
    pub enum Registers {
        /// This processor's.
        Own,
        /// With tiles like those of AVX-512.
        Wide,
        /// Those of any processor.
        Plain,
    }

    thread_local! {
        pub static REGISTERS: Cell<Registers> = const { Cell::new(Registers::Own) };
    }

    #[derive(Clone, Copy)]
    pub struct Wide([f32; LANES]);

    impl Lanes for Wide {
        const TILE: [usize; 2] = [6, 4];

        unsafe fn splat(value: f32) -> Self {
            Self([value; LANES])
        }

        unsafe fn load(from: *const f32) -> Self {
            unsafe { Self(Lanes::load(from)) }
        }

        unsafe fn store(self, to: *mut f32) {
            unsafe { self.0.store(to) }
        }

        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            unsafe { Self(self.0.add_product(a.0, b.0)) }
        }
    }
}
