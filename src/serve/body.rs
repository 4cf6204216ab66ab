//! The bodies of requests: bounded one by one, all together, and in time.

use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Limits;
use super::problem::Problem;

/// A body, and its share of the memory for bodies, which lives as long.
#[derive(Debug)]
pub struct Read {
    pub bytes: Vec<u8>,
    _share: Option<OwnedSemaphorePermit>,
}

/// The memory for all bodies.
#[derive(Clone, Debug)]
pub struct Bodies {
    budget: Arc<Semaphore>,
    limits: Limits,
}

impl Bodies {
    pub fn new(limits: &Limits) -> Self {
        Self { budget: Arc::new(Semaphore::new(limits.bodies)), limits: limits.clone() }
    }

    /// The whole body.
    ///
    /// # Errors
    /// One that is too long, comes too slowly or not to its end, or has no room beside the others.
    pub async fn read(&self, body: Body) -> Result<Read, Problem> {
        let told = body.size_hint().exact();
        if told.is_some_and(|told| told > self.limits.body as u64) {
            return Err(self.too_long(told));
        }
        match timeout(self.limits.body_time, self.collect(body, told)).await {
            Ok(read) => read,
            Err(_) => Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "time",
                format!(
                    "a body must come within {} seconds, found one that takes longer: send it faster",
                    self.limits.body_time.as_secs_f64()
                ),
            )),
        }
    }

    async fn collect(&self, mut body: Body, told: Option<u64>) -> Result<Read, Problem> {
        let mut bytes = Vec::new();
        let mut share: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                return Err(Problem::bad(
                    "body",
                    "a body must come whole, found one that was cut off",
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
                    "all requests together may take so much memory, found no room for this one: try \
                     again in a moment",
                )
            })?;
            match &mut share {
                None => share = Some(more),
                Some(share) => share.merge(more),
            }
            if bytes.is_empty() {
                // Not on the word of a client alone: no more than comes with a usual first frame.
                bytes.reserve(told.unwrap_or(0).min(1 << 16) as usize);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Read { bytes, _share: share })
    }

    fn too_long(&self, told: Option<u64>) -> Problem {
        let most = self.limits.body;
        let found = told.map_or("more".to_owned(), |told| told.to_string());
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body",
            format!("a body may have {most} bytes, found {found}: send fewer or smaller images"),
        )
    }
}
