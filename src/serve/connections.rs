//! Connections: their number, time limits and shutdown.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::Limits;
use super::error_response::{Problem, json};
use super::routes::App;

/// The interval between checks of whether to stop.
const GLANCE: Duration = Duration::from_millis(20);
/// Extra time for connections to notice that their grace period is over.
const GRACE_BEYOND: Duration = Duration::from_millis(500);
/// The wait after an error of `accept`, such as when the system has no more sockets.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` returns true. Returns how many connections did not end within the grace period after
/// that.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    limits: &Limits,
    stop: impl Fn() -> bool,
) -> io::Result<usize> {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let cut = Arc::new(AtomicUsize::new(0));
    let (closing, _) = watch::channel(false);
    let mut stopping = pin!(async {
        while !stop() {
            sleep(GLANCE).await;
        }
    });
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopping => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            // The client closed the connection already.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(_) => {
                sleep(PAUSE).await;
                continue;
            }
        };
        match Arc::clone(&slots).try_acquire_owned() {
            Ok(slot) => {
                let (app, cut, closing) = (Arc::clone(&app), Arc::clone(&cut), closing.subscribe());
                let limits = limits.clone();
                tokio::spawn(async move {
                    if !answer(stream, app, limits, closing).await {
                        cut.fetch_add(1, Ordering::Relaxed);
                    }
                    drop(slot);
                });
            }
            Err(_) => {
                app.metrics.turned_away();
                turn_away(&stream, limits.connections);
            }
        }
    }
    drop(listener);
    // Do not count connections that were cut off before the shutdown.
    cut.store(0, Ordering::Relaxed);
    closing.send_replace(true);
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    // Connections end by themselves within the grace period; those that still hang are abandoned.
    let ended = timeout(limits.grace + GRACE_BEYOND, slots.acquire_many(all)).await.is_ok();
    let hanging = if ended { 0 } else { limits.connections - slots.available_permits() };
    Ok(cut.load(Ordering::Relaxed) + hanging)
}

/// Serves the requests of one connection until the client closes it, its time is up, or the server shuts
/// down. Returns whether it ended cleanly rather than being cut off.
async fn answer(
    stream: TcpStream,
    app: Arc<App>,
    limits: Limits,
    mut closing: watch::Receiver<bool>,
) -> bool {
    app.metrics.connected();
    // Responses are small and latency matters. A failure to set this only makes them slower.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(app.router());
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // An error of the connection is ignored: the client is gone.
    let ended = tokio::select! {
        _ = connection.as_mut() => true,
        () = async {
            tokio::select! {
                _ = closing.wait_for(|closing| *closing) => {}
                () = sleep(limits.connection) => {}
            }
        } => {
            connection.as_mut().graceful_shutdown();
            timeout(limits.grace, connection).await.is_ok()
        }
    };
    app.metrics.disconnected();
    ended
}

/// Sends a 503 to a connection above the limit, as far as the socket accepts it without blocking.
fn turn_away(stream: &TcpStream, most: usize) {
    let problem = Problem::busy(format!(
        "at most {most} connections may be open at once, found one more: try again in a moment"
    ));
    let body = json(&problem).1;
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let _ = stream.try_write(&[head.as_bytes(), &body].concat());
}
