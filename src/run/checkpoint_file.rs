//! A checkpoint: a snapshot of a training run as one safetensors file with a checksum inside.
//!
//! The header's `__metadata__` has two entries: `state`, a JSON object with everything that is not a tensor,
//! and `sha256`, the digest of the whole file computed with 64 zeros in place of the digest itself. Tensors
//! are called `weights.NAME`, `average.NAME`, `moments.0.NAME`, `moments.1.NAME` and `callbacks.KEY.NAME`.
//! Those of the rollback point, the state at the beginning of the epoch (only with `--on-nan rollback`), have
//! the same names with the prefix `anchor.`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use super::checkpoint_problem::CheckpointError;
use super::checkpoint_problem::{FORMAT, MOST_STATE};
use super::run_identity::Identity;
use crate::tensors::{self, HostTensor, Tensors};
use crate::train::{CallbackState, Snapshot, State};

const STATE: &str = "state";
const SHA256: &str = "sha256";
const DIGEST: usize = 64;
const ROLLBACK_POINT: &str = "anchor.";

/// A snapshot and the run it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Everything that determines the run's outcome, as it was when the run started.
    pub identity: Identity,
    /// The state of the run.
    pub snapshot: Arc<Snapshot>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    identity: Identity,
    snapshot: Part,
    anchor: Option<Part>,
}

/// A snapshot without its tensors.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    state: State,
    callbacks: BTreeMap<String, Value>,
}

impl Part {
    fn of(snapshot: &Snapshot) -> Self {
        let callbacks = snapshot.callbacks.iter();
        Self {
            state: snapshot.state.clone(),
            callbacks: callbacks.map(|(key, state)| (key.clone(), state.value.clone())).collect(),
        }
    }

    fn with(self, tensors: Tensors) -> Result<Snapshot, CheckpointError> {
        let callbacks = self.callbacks.into_iter();
        let mut snapshot = Snapshot {
            state: self.state,
            weights: Tensors::new(),
            average: Tensors::new(),
            moments: Default::default(),
            callbacks: callbacks
                .map(|(key, value)| (key, CallbackState { value, tensors: Tensors::new() }))
                .collect(),
            rollback_point: None,
        };
        for (name, tensor) in tensors {
            let place = match name.split_once('.') {
                Some(("weights", rest)) => Some((&mut snapshot.weights, rest)),
                Some(("average", rest)) => Some((&mut snapshot.average, rest)),
                Some(("moments", rest)) => match rest.split_once('.') {
                    Some(("0", rest)) => Some((&mut snapshot.moments[0], rest)),
                    Some(("1", rest)) => Some((&mut snapshot.moments[1], rest)),
                    _ => None,
                },
                Some(("callbacks", rest)) => rest.split_once('.').and_then(|(key, rest)| {
                    Some((&mut snapshot.callbacks.get_mut(key)?.tensors, rest))
                }),
                _ => None,
            };
            let Some((list, rest)) = place else { return Err(CheckpointError::Name(name)) };
            list.insert(rest.to_owned(), tensor);
        }
        Ok(snapshot)
    }
}

/// Returns the tensors of a snapshot with their names in a file.
fn named<'a>(snapshot: &'a Snapshot, prefix: &str) -> Vec<(String, &'a HostTensor)> {
    let lists = [
        ("weights.".to_owned(), &snapshot.weights),
        ("average.".to_owned(), &snapshot.average),
        ("moments.0.".to_owned(), &snapshot.moments[0]),
        ("moments.1.".to_owned(), &snapshot.moments[1]),
    ];
    let callbacks = snapshot.callbacks.iter();
    let callbacks = callbacks.map(|(key, state)| (format!("callbacks.{key}."), &state.tensors));
    let named = lists.into_iter().chain(callbacks).flat_map(|(place, tensors)| {
        tensors.iter().map(move |(name, tensor)| (format!("{prefix}{place}{name}"), tensor))
    });
    named.collect()
}

impl Checkpoint {
    /// Encodes the checkpoint as the bytes of a file.
    ///
    /// # Errors
    /// Numbers that are not finite.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        let rollback_point = self.snapshot.rollback_point.as_deref();
        let header = Header {
            format: FORMAT,
            identity: self.identity.clone(),
            snapshot: Part::of(&self.snapshot),
            anchor: rollback_point.map(Part::of),
        };
        let mut all = named(&self.snapshot, "");
        all.extend(rollback_point.into_iter().flat_map(|snapshot| named(snapshot, ROLLBACK_POINT)));
        let state = serde_json::to_string(&header)?;
        if state.len() > MOST_STATE {
            return Err(CheckpointError::Long(state.len()));
        }
        let metadata =
            HashMap::from([(STATE.to_owned(), state), (SHA256.to_owned(), "0".repeat(DIGEST))]);
        let named = all.iter().map(|(name, tensor)| (name.as_str(), *tensor));
        let mut bytes = tensors::encode(named, metadata)?;
        let place = digest_place(&bytes).ok_or(CheckpointError::NoChecksum)?;
        let digest = digest_without(&bytes, place);
        bytes[place..place + DIGEST].copy_from_slice(digest.as_bytes());
        Ok(bytes)
    }

    /// Reads the output of [`to_bytes`](Self::to_bytes); the checksum covers every byte. The memory used is
    /// bounded by the length of `bytes`.
    ///
    /// # Errors
    /// The first problem found.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let place = digest_place(bytes).ok_or(CheckpointError::NoChecksum)?;
        let found = digest_without(bytes, place);
        let expected = &bytes[place..place + DIGEST];
        if expected != found.as_bytes() {
            let expected = String::from_utf8_lossy(expected).into_owned();
            return Err(CheckpointError::Checksum { expected, found });
        }
        let (mut tensors, mut metadata) = tensors::decode(bytes)?;
        let text = metadata.remove(STATE).unwrap_or_default();
        if text.len() > MOST_STATE {
            return Err(CheckpointError::Long(text.len()));
        }
        let Format { format } = serde_json::from_str(&text)?;
        if format != FORMAT {
            return Err(CheckpointError::Format(format));
        }
        let header: Header = serde_json::from_str(&text)?;
        let rollback_tensors: Tensors = {
            let names: Vec<String> =
                tensors.keys().filter(|name| name.starts_with(ROLLBACK_POINT)).cloned().collect();
            let taken = names.into_iter().filter_map(|name| {
                let tensor = tensors.remove(&name)?;
                Some((name[ROLLBACK_POINT.len()..].to_owned(), tensor))
            });
            taken.collect()
        };
        let mut snapshot = header.snapshot.with(tensors)?;
        snapshot.rollback_point = match header.anchor {
            Some(anchor) => Some(Arc::new(anchor.with(rollback_tensors)?)),
            None => match rollback_tensors.into_keys().next() {
                Some(name) => return Err(CheckpointError::Name(format!("{ROLLBACK_POINT}{name}"))),
                None => None,
            },
        };
        Ok(Self { identity: header.identity, snapshot: Arc::new(snapshot) })
    }
}

/// Read first, because the other fields of another format version are unknown.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Returns the offset of the checksum's 64 digits. The header is JSON, which escapes the quotation marks
/// inside other entries, so this pattern occurs only once.
fn digest_place(bytes: &[u8]) -> Option<usize> {
    let length = u64::from_le_bytes(*bytes.first_chunk()?);
    let end = usize::try_from(length).ok()?.checked_add(8)?;
    let header = bytes.get(8..end)?;
    let mark = format!("\"{SHA256}\":\"");
    let at = header.windows(mark.len()).position(|window| window == mark.as_bytes())?;
    let place = 8 + at + mark.len();
    (place + DIGEST <= end).then_some(place)
}

fn digest_without(bytes: &[u8], place: usize) -> String {
    let mut sha256 = Sha256::new();
    sha256.update(&bytes[..place]);
    sha256.update([b'0'; DIGEST]);
    sha256.update(&bytes[place + DIGEST..]);
    sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tensor(values: &[f32]) -> HostTensor {
        HostTensor::new(vec![values.len()], values.to_vec())
    }

    fn snapshot(step: u64, rollback_point: Option<Arc<Snapshot>>) -> Snapshot {
        let tensors = |x: f32| Tensors::from([("1.weight".to_owned(), tensor(&[x, -0.0]))]);
        let state = State { step, learning_rate: 0.1 + 0.2, ..State::default() };
        let remembered =
            CallbackState { value: serde_json::json!({"best": 0.5}), tensors: tensors(9.0) };
        Snapshot {
            state,
            weights: tensors(step as f32),
            average: tensors(0.5),
            moments: [tensors(1e-30), Tensors::new()],
            callbacks: BTreeMap::from([("early_stopping".to_owned(), remembered)]),
            rollback_point,
        }
    }

    fn checkpoint() -> Checkpoint {
        let rollback_point = Some(Arc::new(snapshot(3, None)));
        let identity = Identity::from_value(serde_json::json!({"note": "\"sha256\":\"x"}));
        Checkpoint { identity, snapshot: Arc::new(snapshot(7, rollback_point)) }
    }

    #[test]
    fn a_checkpoint_round_trips_bit_for_bit() {
        let checkpoint = checkpoint();
        let read = Checkpoint::from_bytes(&checkpoint.to_bytes().unwrap()).unwrap();
        assert_eq!(read, checkpoint);
        let zero = read.snapshot.weights["1.weight"].values[1];
        assert_eq!(zero.to_bits(), (-0.0f32).to_bits());
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_detected() {
        let bytes = checkpoint().to_bytes().unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(Checkpoint::from_bytes(&damaged).is_err(), "bit {bit} of byte {at}");
            }
            assert!(Checkpoint::from_bytes(&bytes[..at]).is_err(), "cut to {at}");
        }
        assert!(Checkpoint::from_bytes(&[&bytes[..], b"x"].concat()).is_err());
    }

    /// Inserts a correct checksum, which anyone can compute.
    fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
        if let Some(place) = digest_place(&bytes) {
            let digest = digest_without(&bytes, place);
            bytes[place..place + DIGEST].copy_from_slice(digest.as_bytes());
        }
        bytes
    }

    #[test]
    fn crafted_checkpoints_are_refused() {
        let tensors = [("weights.a", tensor(&[1.0])), ("virus", tensor(&[1.0]))];
        let file = |n: usize, state: &str| {
            let metadata = [("state", state), ("sha256", &"0".repeat(64))];
            let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
            let named = tensors[..n].iter().map(|(name, tensor)| (*name, tensor));
            signed(tensors::encode(named, HashMap::from(metadata)).unwrap())
        };
        let good = serde_json::to_string(&Header {
            format: FORMAT,
            identity: Identity::from_value(Value::Null),
            snapshot: Part { state: State::default(), callbacks: BTreeMap::new() },
            anchor: None,
        });
        let good = good.unwrap();
        assert!(Checkpoint::from_bytes(&file(1, &good)).is_ok());
        for (bytes, message) in [
            (file(2, &good), "found \"virus\""),
            (file(1, "{}"), "missing field"),
            (file(1, ""), "EOF"),
            (file(1, &good.replace("\"format\":1", "\"format\":2")), "must be 1, found 2"),
            (file(1, &good.replace("\"step\":0", "\"step\":-1")), "invalid value"),
            (file(1, &good.replace("\"step\":0", "\"step\":1,\"x\":1")), "unknown field"),
            (file(1, &"[".repeat(10_000)), "invalid type"),
        ] {
            let error = Checkpoint::from_bytes(&bytes).unwrap_err().to_string();
            assert!(error.contains(message), "{error} for {message}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            prop_assert!(Checkpoint::from_bytes(&bytes).is_err());
        }

        #[test]
        fn signed_nonsense_is_refused_without_panic(
            header in "\\{\"__metadata__\":\\{\"sha256\":\"0{64}\"(,\"state\":\"[a-z{}\\[\\]:]{0,20}\")?\\}\\}",
        ) {
            let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
            prop_assert!(Checkpoint::from_bytes(&signed(bytes)).is_err());
        }
    }
}
