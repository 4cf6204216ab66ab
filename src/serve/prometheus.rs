//! Metrics for Prometheus.

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use axum::http::StatusCode;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// The media type of [`Metrics::text`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics, which every thread may update.
#[derive(Debug)]
pub struct Metrics {
    requests: Family<Route, Counter>,
    seconds: Histogram,
    batches: Histogram,
    queue: Gauge<i64, AtomicI64>,
    connections: Gauge<i64, AtomicI64>,
    turned_away: Counter<u64, AtomicU64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    path: &'static str,
    code: u16,
}

impl Metrics {
    /// Creates metrics that are all zero.
    pub fn new() -> Self {
        // 0.25 ms to 8 s, and 1 to 1024 samples, in powers of 2.
        let powers = |first: f64, count: i32| (0..count).map(move |i| first * 2f64.powi(i));
        Self {
            requests: Family::default(),
            seconds: Histogram::new(powers(0.000_25, 16)),
            batches: Histogram::new(powers(1.0, 11)),
            queue: Gauge::default(),
            connections: Gauge::default(),
            turned_away: Counter::default(),
        }
    }

    /// Counts a request that was answered. `path` is one of the known routes.
    pub fn request(&self, path: &'static str, code: StatusCode, took: Duration) {
        self.requests.get_or_create(&Route { path, code: code.as_u16() }).inc();
        if path == "/predict" {
            self.seconds.observe(took.as_secs_f64());
        }
    }

    /// Counts a batch of samples.
    pub fn batch(&self, samples: usize) {
        self.batches.observe(samples as f64);
    }

    /// Counts a connection that was opened.
    pub fn connected(&self) {
        self.connections.inc();
    }

    /// Counts a connection that was closed.
    pub fn disconnected(&self) {
        self.connections.dec();
    }

    /// Counts a connection that was refused because too many were open.
    pub fn turned_away(&self) {
        self.turned_away.inc();
    }

    /// Returns all metrics as OpenMetrics text, with the network's `info` and the number of samples `waiting`
    /// in the queue.
    pub fn text(&self, info: Vec<(&'static str, String)>, waiting: usize) -> String {
        self.queue.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        let mut registry = Registry::with_prefix("seqfit");
        registry.register("model", "The network that is served", Info::new(info));
        registry.register(
            "http_requests",
            "Requests answered, by path and status",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "predict_duration",
            "Time from the head of a request to /predict to its response",
            Unit::Seconds,
            self.seconds.clone(),
        );
        registry.register("batch_samples", "Samples per batch", self.batches.clone());
        registry.register(
            "queue_samples",
            "Samples that are queued or being predicted",
            self.queue.clone(),
        );
        registry.register("connections", "Connections that are open", self.connections.clone());
        registry.register(
            "connections_refused",
            "Connections that were refused because too many were open",
            self.turned_away.clone(),
        );
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut out, &registry);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_count_requests_and_batches() {
        let metrics = Metrics::new();
        let took = Duration::from_millis(3);
        metrics.request("/predict", StatusCode::OK, took);
        metrics.request("/predict", StatusCode::OK, took);
        metrics.request("/", StatusCode::NOT_FOUND, took);
        metrics.batch(5);
        let text = metrics.text(vec![("name", "a\"b".to_owned())], 7);
        for line in [
            "seqfit_model_info{name=\"a\\\"b\"} 1",
            "seqfit_http_requests_total{path=\"/predict\",code=\"200\"} 2",
            "seqfit_http_requests_total{path=\"/\",code=\"404\"} 1",
            "seqfit_predict_duration_seconds_count 2",
            "seqfit_predict_duration_seconds_bucket{le=\"0.002\"} 0",
            "seqfit_predict_duration_seconds_bucket{le=\"0.004\"} 2",
            "seqfit_batch_samples_sum 5.0",
            "seqfit_queue_samples 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
