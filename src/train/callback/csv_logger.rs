//! A CSV table of the epochs that grows during training.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Callback, CallbackError, Flow, Plan, Rollback, Training};
use crate::atomic_files::{self, WriteError};
use crate::train::history::{EpochRecord, History};

/// Writes each epoch's record to a CSV file as it ends, like Keras's `CSVLogger`: the columns are those
/// of [`History::to_csv`]. An existing file is replaced when training begins; a run that resumes begins
/// with the lines of its earlier epochs.
///
/// A full disk never ends the training: the table is written again with the next epoch, and
/// [`failure`](Self::failure) says whether it is complete.
#[derive(Debug)]
pub struct CsvLogger {
    path: PathBuf,
    history: History,
    failure: Option<WriteError>,
}

impl CsvLogger {
    /// Returns a logger that writes to `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), history: History::default(), failure: None }
    }

    /// Checks that a table can be written to `path`: writes an empty one if there is no file, and leaves
    /// an existing file as it is.
    ///
    /// # Errors
    /// The reason it cannot.
    pub fn check(path: &Path) -> Result<(), WriteError> {
        match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                atomic_files::write(path, History::default().to_csv().as_bytes())
            }
            _ if !path.is_file() => atomic_files::write(path, &[]),
            bytes => {
                let at = |source| WriteError::new(path, 0, source);
                OpenOptions::new().append(true).open(path).map_err(at)?;
                atomic_files::write(path, &bytes.map_err(at)?)
            }
        }
    }

    /// Returns the path of the table.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the reason the table is not complete, if it is not.
    pub fn failure(&self) -> Option<&WriteError> {
        self.failure.as_ref()
    }

    fn rewrite(&mut self) {
        self.failure = atomic_files::write(&self.path, self.history.to_csv().as_bytes()).err();
    }

    fn append(&mut self, line: &str) {
        let file = OpenOptions::new().append(true).open(&self.path);
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        self.failure =
            written.err().map(|source| WriteError::new(&self.path, line.len() as u64, source));
    }
}

impl Callback for CsvLogger {
    fn on_train_begin(&mut self, training: &mut Training, _: &Plan) -> Result<(), CallbackError> {
        self.history = training.history().clone();
        self.rewrite();
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        _: &mut Training,
        record: &EpochRecord,
    ) -> Result<Flow, CallbackError> {
        let columns = self.history.metrics();
        let is_new = record.metrics.keys().any(|name| !columns.contains(name.as_str()));
        let line = History::csv_line(record, &columns);
        self.history.epochs.push(record.clone());
        match self.failure {
            None if !is_new => self.append(&line),
            // The file may end in half a line, or has too few columns.
            _ => self.rewrite(),
        }
        Ok(Flow::Continue)
    }

    fn on_rollback(&mut self, rollback: &Rollback) -> Result<(), CallbackError> {
        if self.history.epochs.len() >= rollback.epoch {
            self.history.epochs.truncate(rollback.epoch - 1);
            self.rewrite();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{plan, tell, with_training};
    use super::*;

    #[test]
    fn every_epoch_is_there_as_soon_as_it_ends() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("log.csv");
        fs::write(&path, "of another run")?;
        let mut logger = CsvLogger::new(&path);
        let lines = || fs::read_to_string(&path).unwrap().lines().count();
        with_training(|training| {
            logger.on_train_begin(training, &plan(0)).unwrap();
            assert_eq!(lines(), 1);
            tell(&mut logger, training, 1, &[0.5, 0.25]);
            let back = |epoch| Rollback { epoch, batch: None, learning_rate: 1.0, rollbacks: 1 };
            logger.on_rollback(&back(3)).unwrap();
            assert_eq!(lines(), 3);
            logger.on_rollback(&back(2)).unwrap();
            assert_eq!(lines(), 2);
            tell(&mut logger, training, 2, &[0.125]);
        });
        assert_eq!(lines(), 3);
        assert_eq!(fs::read_to_string(&path)?, logger.history.to_csv());
        assert!(logger.failure().is_none());
        Ok(())
    }

    #[test]
    fn a_failed_write_is_repeated_with_the_next_epoch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later/log.csv");
        let mut logger = CsvLogger::new(&path);
        with_training(|training| {
            logger.on_train_begin(training, &plan(0)).unwrap();
            tell(&mut logger, training, 1, &[0.5]);
            let failure = logger.failure().map(ToString::to_string).unwrap_or_default();
            assert!(failure.contains("log.csv cannot be written"), "{failure}");
            fs::create_dir(path.parent().unwrap()).unwrap();
            tell(&mut logger, training, 2, &[0.25]);
        });
        assert!(logger.failure().is_none());
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
    }
}
