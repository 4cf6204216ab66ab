//! The declarations of `csrc/seqfit.h`, one to one.

use std::ffi::{c_char, c_double, c_void};

use torch_sys::C_tensor;

/// `SeqfitModule`, only used through a pointer.
#[repr(C)]
pub struct Module {
    _private: [u8; 0],
}

/// `SeqfitGraph`, only used through a pointer.
#[repr(C)]
pub struct Graph {
    _private: [u8; 0],
}

/// `SeqfitStream`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    pub id: i64,
    pub device: i32,
}

unsafe extern "C" {
    pub fn seqfit_free(message: *mut c_char);

    pub fn seqfit_built_against() -> *const c_char;
    pub fn seqfit_built_abi() -> u64;
    pub fn seqfit_library_path() -> *mut c_char;

    pub fn seqfit_adam(
        parameters: *const *mut C_tensor,
        gradients: *const *mut C_tensor,
        first_moments: *const *mut C_tensor,
        second_moments: *const *mut C_tensor,
        n: usize,
        step: *mut C_tensor,
        rate: *const C_tensor,
        learning_rate: c_double,
        beta1: c_double,
        beta2: c_double,
        epsilon: c_double,
        weight_decay: c_double,
    ) -> *mut c_char;
    pub fn seqfit_sgd(
        parameters: *const *mut C_tensor,
        gradients: *const *mut C_tensor,
        momenta: *const *mut C_tensor,
        n: usize,
        rate: *const C_tensor,
        learning_rate: c_double,
        momentum: c_double,
        nesterov: bool,
        weight_decay: c_double,
        first_step: bool,
    ) -> *mut c_char;

    pub fn seqfit_to_cuda(
        tensor: *const C_tensor,
        device: i32,
        copy: *mut *mut C_tensor,
    ) -> *mut c_char;

    pub fn seqfit_bernoulli(tensor: *mut C_tensor, probability: c_double, seed: u64)
    -> *mut c_char;
    pub fn seqfit_normal(tensor: *mut C_tensor, seed: u64) -> *mut c_char;

    pub fn seqfit_allow_tf32(allow: bool, before: *mut bool) -> *mut c_char;

    pub fn seqfit_graph_new(device: i32, graph: *mut *mut Graph) -> *mut c_char;
    pub fn seqfit_graph_free(graph: *mut Graph) -> *mut c_char;
    pub fn seqfit_graph_begin(graph: *mut Graph) -> *mut c_char;
    pub fn seqfit_graph_end(graph: *mut Graph) -> *mut c_char;
    pub fn seqfit_graph_replay(graph: *mut Graph) -> *mut c_char;
    pub fn seqfit_stream_new(device: i32, stream: *mut Stream) -> *mut c_char;
    pub fn seqfit_stream_handle(device: i32, handle: *mut *mut c_void) -> *mut c_char;
    pub fn seqfit_stream_exchange(stream: *mut Stream) -> *mut c_char;

    pub fn seqfit_module_new(name: *const c_char, module: *mut *mut Module) -> *mut c_char;
    pub fn seqfit_module_free(module: *mut Module) -> *mut c_char;
    pub fn seqfit_module_parameter(
        module: *mut Module,
        name: *const c_char,
        value: *const C_tensor,
    ) -> *mut c_char;
    pub fn seqfit_module_buffer(
        module: *mut Module,
        name: *const c_char,
        value: *const C_tensor,
    ) -> *mut c_char;
    pub fn seqfit_module_child(
        module: *mut Module,
        name: *const c_char,
        child: *const Module,
    ) -> *mut c_char;
    pub fn seqfit_module_ints(
        module: *mut Module,
        name: *const c_char,
        values: *const i64,
        n: usize,
    ) -> *mut c_char;
    pub fn seqfit_module_strings(
        module: *mut Module,
        name: *const c_char,
        values: *const *const c_char,
        n: usize,
    ) -> *mut c_char;
    pub fn seqfit_module_float(
        module: *mut Module,
        name: *const c_char,
        value: c_double,
    ) -> *mut c_char;
    pub fn seqfit_module_define(module: *mut Module, source: *const c_char) -> *mut c_char;
    pub fn seqfit_module_archive(
        module: *const Module,
        extra_name: *const c_char,
        extra_content: *const c_char,
        take: extern "C" fn(*mut c_void, *const c_char, usize),
        context: *mut c_void,
    ) -> *mut c_char;
}
