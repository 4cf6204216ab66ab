//! Connections: how many, how slow, how long, and how they end.

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
use super::api::{App, json};
use super::problem::Problem;

/// How often is asked whether to stop.
const GLANCE: Duration = Duration::from_millis(20);
/// For connections to note that their grace is over.
const GRACE_BEYOND: Duration = Duration::from_millis(500);
/// The wait where the system has no more sockets, or the like.
const PAUSE: Duration = Duration::from_millis(50);

/// Answers until `stop` says so; returns how many connections did not end within the grace after that.
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
            // The client went again.
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
    // What was cut off before has nothing to do with the end.
    cut.store(0, Ordering::Relaxed);
    closing.send_replace(true);
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    // They end by themselves within the grace; what hangs beyond that is not waited for.
    let ended = timeout(limits.grace + GRACE_BEYOND, slots.acquire_many(all)).await.is_ok();
    let hanging = if ended { 0 } else { limits.connections - slots.available_permits() };
    Ok(cut.load(Ordering::Relaxed) + hanging)
}

/// Answers one connection's requests until it ends by itself, by its time, or because all end. Returns
/// whether it came to its end, rather than being cut off.
async fn answer(
    stream: TcpStream,
    app: Arc<App>,
    limits: Limits,
    mut closing: watch::Receiver<bool>,
) -> bool {
    app.metrics.connected();
    // Answers are small and wanted at once. Where this cannot be set they are slower, and that is all.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(app.router());
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // However it ends, there is nobody left to tell.
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

/// One answer too many connections, as far as the socket takes it without waiting.
fn turn_away(stream: &TcpStream, most: usize) {
    let problem = Problem::busy(format!(
        "{most} connections may be open at once, found one more: try again in a moment"
    ));
    let body = json(&problem).1;
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let _ = stream.try_write(&[head.as_bytes(), &body].concat());
}
