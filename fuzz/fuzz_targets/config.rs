//! `config.toml` of a run.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqfit::Summary;
use seqfit::run::{Identity, RunConfig};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(config) = RunConfig::from_toml(bytes) {
        // Everything that is accepted must be usable.
        Summary::new(&config.network).expect("a checked network");
        config.fit.check().expect("checked settings");
        Identity::of(&config).expect("plain data");
    }
});
