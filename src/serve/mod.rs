//! Serving of a trained network over HTTP: a page for people, and `POST /predict` for programs. The page takes drawings
//! and pictures, or rows of numbers, as the network does.
//!
//! A request passes through the modules in this order: `connections` accepts it within limits, `routes` finds its
//! handler, `request_body` reads it, `predict_request` decodes the samples, `predictor` runs the network. Every error
//! of a client is a `Problem`, which is sent as JSON.
//!
//! There is no encryption and no authentication: bind to the local host only, or put a proxy in front that
//! does both.

mod connections;
mod error_response;
mod json_arrays;
mod model_card;
mod openapi;
mod page;
mod predict_request;
mod predictor;
mod prometheus;
mod request_body;
mod routes;
mod server_config;

use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::device;
use crate::model::Sequential;

pub use model_card::Card;
use model_card::Model;
pub use predict_request::read_json;
pub use server_config::{Limits, ServeConfig};

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
    /// The number of names differs from the number of the network's outputs.
    #[error("the network has {outputs} outputs, found {names} names: give one for each")]
    Names {
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
    card: Model,
    config: ServeConfig,
}

impl Server {
    /// Binds the address.
    ///
    /// # Errors
    /// An address that cannot be bound; another number of names than the network has outputs.
    pub fn bind(model: Sequential, card: Card, config: ServeConfig) -> Result<Self, ServeError> {
        let names = card.names.len();
        let card =
            Model::new(&model, card).map_err(|outputs| ServeError::Names { outputs, names })?;
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
            let app = routes::App::start(model, card, &config)?;
            connections::serve(listener, app, &config.limits, stop).await
        });
        // Do not wait for pictures that are being decoded.
        runtime.shutdown_background();
        cut.map_err(ServeError::Start)
    }
}
