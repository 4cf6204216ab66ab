//! Weight files in safetensors.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqfit::tensors;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((tensors, _)) = tensors::decode(bytes) {
        for tensor in tensors.values() {
            assert_eq!(tensor.values.len(), tensor.shape.iter().product::<usize>());
            assert!(tensor.values.iter().all(|value| value.is_finite()));
        }
    }
});
