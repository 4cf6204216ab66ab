//! The settings of a server.

use std::time::Duration;

/// The address, threads and limits of a server.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// A name or address of this machine; the default is reachable only from this machine.
    pub host: String,
    /// The port; 0 chooses any free one.
    pub port: u16,
    /// Number of libtorch threads.
    pub threads: usize,
    /// The limits.
    pub limits: Limits,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: 8000, threads: 1, limits: Limits::default() }
    }
}

/// Limits that no client can make the server exceed.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request body.
    pub body: usize,
    /// Bytes of all bodies that are being read or processed.
    pub bodies: usize,
    /// Bytes of a decoded picture.
    pub picture: u64,
    /// Images or other samples in a request, and values in all of them; the stricter limit applies.
    pub batch: (usize, usize),
    /// Samples that may be queued for the network.
    pub queue: usize,
    /// Connections that may be open at once.
    pub connections: usize,
    /// Time for the head of a request, including the wait for it.
    pub head: Duration,
    /// Time for a body.
    pub body_time: Duration,
    /// Time for the response after the request was read.
    pub answer: Duration,
    /// Lifetime of a connection.
    pub connection: Duration,
    /// Time for open requests when the server shuts down.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 4 << 20,
            bodies: 64 << 20,
            picture: 64 << 20,
            batch: (256, 4 << 20),
            queue: 1024,
            connections: 1024,
            head: Duration::from_secs(10),
            body_time: Duration::from_secs(10),
            answer: Duration::from_secs(10),
            connection: Duration::from_secs(300),
            grace: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// Returns the largest number of samples of `shape` in a request, at least one.
    pub(crate) fn batch_of(&self, shape: &[usize]) -> usize {
        let (samples, values) = self.batch;
        samples.min(values / shape.iter().product::<usize>().max(1)).max(1)
    }
}
