//! The callbacks of a run, called one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::callback::{Callback, CallbackError, Flow, SnapshotTrigger, Training};
use super::snapshot::{CallbackState, Snapshot, State};
use super::step::Step;
use super::{SnapshotError, TrainError};

/// The combined requests of all callbacks: each may request something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Requests {
    /// At least one callback returned [`Flow::Stop`].
    pub stop: bool,
    /// At least one callback returned [`Flow::Interrupt`].
    pub interrupt: bool,
}

/// All callbacks of a run.
pub(super) struct CallbackList<'a, 'c>(&'a mut [&'c mut dyn Callback]);

impl<'a, 'c> CallbackList<'a, 'c> {
    pub fn new(callbacks: &'a mut [&'c mut dyn Callback]) -> Self {
        Self(callbacks)
    }

    pub fn each(
        &mut self,
        mut what: impl FnMut(&mut dyn Callback) -> Result<(), CallbackError>,
    ) -> Result<(), TrainError> {
        self.0.iter_mut().try_for_each(|callback| what(*callback)).map_err(TrainError::Callback)
    }

    pub fn dispatch(
        &mut self,
        step: &mut Step,
        state: &State,
        mut what: impl FnMut(&mut dyn Callback, &mut Training) -> Result<(), CallbackError>,
    ) -> Result<(), TrainError> {
        let mut training = Training::new(step, &state.history);
        self.each(|callback| what(callback, &mut training))
    }

    /// Calls every callback, even when one has already requested a stop, and combines their requests.
    pub fn dispatch_and_collect(
        &mut self,
        step: &mut Step,
        state: &State,
        mut what: impl FnMut(&mut dyn Callback, &mut Training) -> Result<Flow, CallbackError>,
    ) -> Result<Requests, TrainError> {
        let mut requests = Requests::default();
        self.dispatch(step, state, |callback, training| {
            let flow = what(callback, training)?;
            requests.stop |= flow == Flow::Stop;
            requests.interrupt |= flow == Flow::Interrupt;
            Ok(())
        })?;
        Ok(requests)
    }

    pub fn send_snapshot(&mut self, snapshot: Option<&Arc<Snapshot>>) -> Result<(), TrainError> {
        match snapshot {
            Some(snapshot) => self.each(|callback| callback.on_snapshot(snapshot)),
            None => Ok(()),
        }
    }

    pub fn want_snapshot(&mut self, trigger: SnapshotTrigger) -> bool {
        // Every callback is asked, since one may count the calls.
        self.0.iter_mut().fold(false, |wanted, callback| callback.wants_snapshot(trigger) | wanted)
    }

    /// Returns the callbacks that have state, each with a unique key.
    fn keyed(&self) -> Vec<(usize, String)> {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let mut keys = Vec::new();
        for (i, callback) in self.0.iter().enumerate() {
            if let Some(key) = callback.key() {
                let count = seen.entry(key).or_default();
                *count += 1;
                let number = if *count > 1 { format!("_{count}") } else { String::new() };
                keys.push((i, format!("{key}{number}")));
            }
        }
        keys
    }

    pub fn states(&self) -> Result<BTreeMap<String, CallbackState>, TrainError> {
        let keyed = self.keyed().into_iter();
        keyed.map(|(i, key)| Ok((key, self.0[i].state().map_err(TrainError::Callback)?))).collect()
    }

    pub fn restore(
        &mut self,
        step: &mut Step,
        state: &State,
        states: &BTreeMap<String, CallbackState>,
    ) -> Result<(), TrainError> {
        let mut training = Training::new(step, &state.history);
        let keyed = self.keyed();
        let expected: BTreeSet<&String> = keyed.iter().map(|(_, key)| key).collect();
        if !expected.iter().copied().eq(states.keys()) {
            let expected = expected.into_iter().cloned().collect();
            let found = states.keys().cloned().collect();
            return Err(SnapshotError::Callbacks { expected, found }.into());
        }
        for (i, key) in keyed {
            if let Some(state) = states.get(&key) {
                self.0[i].restore(&mut training, state).map_err(|source| {
                    TrainError::Snapshot(SnapshotError::Callback { key, source })
                })?;
            }
        }
        Ok(())
    }
}
