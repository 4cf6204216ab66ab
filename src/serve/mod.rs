//! A trained network over HTTP: a page to draw a digit on, and `POST /predict` for programs.
//!
//! A request goes through the files here from top to bottom: `connections` accepts it within limits,
//! `api` says who answers, `body` reads it, `request` makes images of it, `predictor` asks the network.
//! Everything that a client may do wrong is a `Problem`, which is JSON.
//!
//! There is no encryption and nobody is asked for a password: bind to this machine alone, or put a proxy
//! in front that does both.

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

/// What is served, for people and for `/health`.
#[derive(Clone, Debug)]
pub struct Card {
    /// A name for the network, such as its run's folder.
    pub name: String,
    /// The names of the classes, in the order of the network's outputs.
    pub classes: Vec<String>,
    /// How pictures become images, unless a request says otherwise.
    pub preparation: Preparation,
    /// What it was trained on, and the share of that test set's images that it gets right.
    pub accuracy: Option<(String, f64)>,
}

/// Where to listen, and how much to take.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// A name or address of this machine; the default is reachable from this machine alone.
    pub host: String,
    /// 0 takes any free one.
    pub port: u16,
    /// Threads of libtorch.
    pub threads: usize,
    /// How much is taken.
    pub limits: Limits,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: 8000, threads: 1, limits: Limits::default() }
    }
}

/// What no client can make the server exceed.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body: usize,
    /// Bytes of all bodies that are being read or worked on.
    pub bodies: usize,
    /// Bytes that a picture may take once decoded.
    pub picture: u64,
    /// Images in a request, and values in all of them: the smaller of both counts.
    pub batch: (usize, usize),
    /// Images that may wait for the network.
    pub queue: usize,
    /// Connections at one time.
    pub connections: usize,
    /// How long the head of a request may take, the wait for it included.
    pub head: Duration,
    /// How long a body may take.
    pub body_time: Duration,
    /// How long an answer may take once the request is there.
    pub answer: Duration,
    /// How long a connection may last.
    pub connection: Duration,
    /// How long what has begun may take when the server is to end.
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
    /// The most images of `shape` in a request, at least one.
    pub(crate) fn batch_of(&self, [height, width]: [usize; 2]) -> usize {
        let (images, values) = self.batch;
        images.min(values / (height * width).max(1)).max(1)
    }
}

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be had.
    #[error("{host} port {port} must be free and this machine's own, found: {source}{}", cure(.source))]
    Bind {
        /// The host that was asked for.
        host: String,
        /// The port that was asked for.
        port: u16,
        /// The system's answer.
        source: io::Error,
    },
    /// The network takes no images.
    #[error(transparent)]
    Network(#[from] EvaluateError),
    /// The classes are not the network's.
    #[error("the network tells {outputs} classes apart, found names for {names}: name them all")]
    Classes {
        /// The network's outputs.
        outputs: usize,
        /// The names.
        names: usize,
    },
    /// The system refused a thread or a socket.
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

/// A network that is about to be served: it listens, and answers once it [runs](Self::run).
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    model: Sequential,
    card: Card,
    config: ServeConfig,
}

impl Server {
    /// Takes the address.
    ///
    /// # Errors
    /// An address that cannot be had; a network that takes no images of [height, width], or has other
    /// classes.
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

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`, which is asked some times a second, says so; then nothing new is accepted,
    /// and what has begun is ended within [`Limits::grace`]. Returns how many connections were cut off
    /// after that.
    ///
    /// # Errors
    /// A system that refuses a thread.
    pub fn run(self, stop: impl Fn() -> bool + Send + Sync) -> Result<usize, ServeError> {
        let Self { listener, model, card, config, .. } = self;
        let threads = device::all_threads();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            // They decode pictures: more of them would only take memory.
            .max_blocking_threads(threads)
            .enable_all()
            .build()
            .map_err(ServeError::Start)?;
        let cut = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let app = api::App::start(model, card, &config)?;
            connections::serve(listener, app, &config.limits, stop).await
        });
        // A picture that is being decoded is not waited for.
        runtime.shutdown_background();
        cut.map_err(ServeError::Start)
    }
}
