//! Request bodies, with limits on the size of each, the size of all together, and the time.

use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Limits;
use super::error_response::Problem;

/// A body, and its part of the memory budget, which is held as long as the body.
#[derive(Debug)]
pub struct Read {
    pub bytes: Vec<u8>,
    _share: Option<OwnedSemaphorePermit>,
}

/// The memory budget for all bodies.
#[derive(Clone, Debug)]
pub struct Bodies {
    budget: Arc<Semaphore>,
    limits: Limits,
}

impl Bodies {
    pub fn new(limits: &Limits) -> Self {
        Self { budget: Arc::new(Semaphore::new(limits.bodies)), limits: limits.clone() }
    }

    /// Reads the whole body.
    ///
    /// # Errors
    /// A body that is too long, too slow or cut off, or that does not fit into the memory budget.
    pub async fn read(&self, body: Body) -> Result<Read, Problem> {
        let declared = body.size_hint().exact();
        if declared.is_some_and(|length| length > self.limits.body as u64) {
            return Err(self.too_long(declared));
        }
        match timeout(self.limits.body_time, self.collect(body, declared)).await {
            Ok(read) => read,
            Err(_) => Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "time",
                format!(
                    "a body must arrive within {} seconds, found one that takes longer: send it faster",
                    self.limits.body_time.as_secs_f64()
                ),
            )),
        }
    }

    async fn collect(&self, mut body: Body, declared: Option<u64>) -> Result<Read, Problem> {
        let mut bytes = Vec::new();
        let mut permit: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                return Err(Problem::bad(
                    "body",
                    "a body must be complete, found one that was cut off",
                ));
            };
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > self.limits.body {
                return Err(self.too_long(None));
            }
            let more = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let more = Arc::clone(&self.budget).try_acquire_many_owned(more);
            let more = more.map_err(|_| {
                Problem::busy(
                    "the memory for all requests together is limited, found no room for this one: try \
                     again in a moment",
                )
            })?;
            match &mut permit {
                None => permit = Some(more),
                Some(permit) => permit.merge(more),
            }
            if bytes.is_empty() {
                // A client may declare any length: reserve no more than a usual first frame.
                bytes.reserve(declared.unwrap_or(0).min(1 << 16) as usize);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Read { bytes, _share: permit })
    }

    fn too_long(&self, declared: Option<u64>) -> Problem {
        let most = self.limits.body;
        let found = declared.map_or("more".to_owned(), |length| length.to_string());
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body",
            format!(
                "a body may have at most {most} bytes, found {found}: send fewer samples at once, or smaller pictures"
            ),
        )
    }
}
