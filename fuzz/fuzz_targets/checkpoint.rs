//! Checkpoints, with the input's checksum and with the correct one, which anyone can compute.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqfit::run::Checkpoint;
use sha2::{Digest, Sha256};

fuzz_target!(|bytes: &[u8]| {
    let _ = Checkpoint::from_bytes(bytes);
    let mark = b"\"sha256\":\"";
    let Some(at) = bytes.windows(mark.len()).position(|window| window == mark) else { return };
    let place = at + mark.len();
    let mut signed = bytes.to_vec();
    let Some(digits) = signed.get_mut(place..place + 64) else { return };
    digits.fill(b'0');
    let digest: String = Sha256::digest(&signed).iter().map(|byte| format!("{byte:02x}")).collect();
    signed[place..place + 64].copy_from_slice(digest.as_bytes());
    if let Ok(checkpoint) = Checkpoint::from_bytes(&signed) {
        // A checkpoint that was read can be written and read back.
        let again = checkpoint.to_bytes().expect("a checkpoint that was read is finite");
        assert_eq!(Checkpoint::from_bytes(&again).expect("a written checkpoint"), checkpoint);
    }
});
