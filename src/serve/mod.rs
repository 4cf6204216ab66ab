//! Serving of a trained network over HTTP: a page to draw a digit on, and `POST /predict` for programs.
//!
//! A request passes through the modules in this order: `connections` accepts it within limits, `api` routes
//! it, `body` reads it, `request` decodes the images, `predictor` runs the network. Every error of a client
//! is a `Problem`, which is sent as JSON.
//!
//! There is no encryption and no authentication: bind to the local host only, or put a proxy in front that
//! does both.

mod api;
mod body;
mod connections;
mod metrics;
mod openapi;
mod page;
mod pixels;
mod predictor;
mod problem;
mod request;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use crate::data::Preparation;
use crate::device;
use crate::evaluate::EvaluateError;
use crate::model::Sequential;

pub use request::read_json;

/// The description of the served network, for users and for `/health`.
#[derive(Clone, Debug)]
pub struct Card {
    /// A name for the network, such as its run folder.
    pub name: String,
    /// The names of the classes, in the order of the network's outputs.
    pub classes: Vec<String>,
    /// How pictures become images, unless a request says otherwise.
    pub preparation: Preparation,
    /// The data set that it was trained on, and the accuracy on its test set.
    pub accuracy: Option<(String, f64)>,
}

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
    /// Images in a request, and values in all of them; the stricter limit applies.
    pub batch: (usize, usize),
    /// Images that may be queued for the network.
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
    /// Returns the largest number of images of `shape` in a request, at least one.
    pub(crate) fn batch_of(&self, [height, width]: [usize; 2]) -> usize {
        let (images, values) = self.batch;
        images.min(values / (height * width).max(1)).max(1)
    }
}

/// An error while starting the server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be bound.
    #[error("{host} must be an address of this machine and port {port} free, found: {source}{}", cure(.source))]
    Bind {
        /// The requested host.
        host: String,
        /// The requested port.
        port: u16,
        /// The error of the system.
        source: io::Error,
    },
    /// The network's input is not an image.
    #[error(transparent)]
    Network(#[from] EvaluateError),
    /// The number of class names differs from the number of the network's classes.
    #[error("the network has {outputs} classes, found {names} class names: give one for each")]
    Classes {
        /// The number of the network's outputs.
        outputs: usize,
        /// The number of names.
        names: usize,
    },
    /// The system could not start a thread or a socket.
    #[error("the server cannot be started: {0}")]
    Start(#[source] io::Error),
}

fn cure(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => ": choose another --port, or 0 for any free one",
        io::ErrorKind::PermissionDenied => ": choose a --port of 1024 or above",
        _ => ": choose another --host",
    }
}

/// A server that is bound to its address and answers once it [runs](Self::run).
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    model: Sequential,
    card: Card,
    config: ServeConfig,
}

impl Server {
    /// Binds the address.
    ///
    /// # Errors
    /// An address that cannot be bound; a network whose input is not [height, width], or which has another
    /// number of classes.
    pub fn bind(model: Sequential, card: Card, config: ServeConfig) -> Result<Self, ServeError> {
        model.image_shape()?;
        let (outputs, names) = (model.outputs(), card.classes.len());
        if outputs != names {
            return Err(ServeError::Classes { outputs, names });
        }
        let listener = TcpListener::bind((config.host.as_str(), config.port));
        let bound = listener.and_then(|listener| {
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        });
        let (listener, address) = bound.map_err(|source| ServeError::Bind {
            host: config.host.clone(),
            port: config.port,
            source,
        })?;
        Ok(Self { listener, address, model, card, config })
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, which is polled several times per second, returns true. Then no new connections
    /// are accepted, and open ones have [`Limits::grace`] to end. Returns how many were cut off after that.
    ///
    /// # Errors
    /// An error of the system when it cannot start a thread.
    pub fn run(self, stop: impl Fn() -> bool + Send + Sync) -> Result<usize, ServeError> {
        let Self { listener, model, card, config, .. } = self;
        let threads = device::all_threads();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            // These threads decode pictures: more of them would only use memory.
            .max_blocking_threads(threads)
            .enable_all()
            .build()
            .map_err(ServeError::Start)?;
        let cut = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let app = api::App::start(model, card, &config)?;
            connections::serve(listener, app, &config.limits, stop).await
        });
        // Do not wait for pictures that are being decoded.
        runtime.shutdown_background();
        cut.map_err(ServeError::Start)
    }
}
