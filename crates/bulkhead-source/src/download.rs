//! Many archives at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bulkhead_schema::PackageId;
use bulkhead_schema::index::Validators;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::request::{Answer, Get, get};
use crate::{Authorization, Client, ClientOptions, ErrorKind, SourceError, url_rules};

/// One archive to fetch.
#[derive(Debug, Clone)]
pub struct DownloadRequest {
    /// Which package it should hold.
    pub id: PackageId,
    /// Where it is, as [`crate::SparseIndex::download`] says.
    pub url: String,
    /// Who asks.
    pub authorization: Authorization,
}

/// How far downloads have come. Written while they run, to be read by whoever draws a progress bar.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes that arrived.
    pub received: AtomicU64,
    /// Bytes announced by the servers so far.
    pub expected: AtomicU64,
    /// Archives that are complete or failed.
    pub finished: AtomicU64,
}

/// The archives as they arrive, in no particular order: an iterator that ends after the last one. Dropping it ends the
/// downloads.
pub struct Downloads {
    receiver: mpsc::Receiver<Arrived>,
    driver: Option<tokio::task::AbortHandle>,
}

/// An answer, and its share of what may wait, which is given back when it is taken.
type Arrived = (PackageId, Result<Vec<u8>, SourceError>, Option<OwnedSemaphorePermit>);

/// How many complete archives may wait for their consumer before downloads pause.
const WAITING: usize = 16;

/// How much they may hold together, in KiB. One that is larger waits alone.
const WAITING_SIZE: u32 = 16 << 10;

/// Longest time for one archive.
const DEADLINE: Duration = Duration::from_secs(1800);

impl Client {
    /// Fetches `requests`, [`ClientOptions::parallel_downloads`] at a time. The bytes are untrusted.
    ///
    /// The result can be handed to another thread, or shared by several behind a lock, so that verification and
    /// unpacking run while the rest arrives.
    pub fn download(&self, requests: Vec<DownloadRequest>, progress: &Arc<Progress>) -> Downloads {
        let (sender, receiver) = mpsc::channel(WAITING.max(1));
        let Some(first) = requests.first() else { return Downloads { receiver, driver: None } };
        match self.connected(&first.url) {
            Ok(connected) => {
                let options = Arc::new(self.options().clone());
                let alone = url::Url::parse(&first.url).is_ok_and(|url| connected.is_first_contact(&url));
                let driving = drive(connected.http.clone(), alone, options, requests, Arc::clone(progress), sender);
                let driver = connected.handle.spawn(driving).abort_handle();
                Downloads { receiver, driver: Some(driver) }
            }
            Err(error) => {
                let (sender, receiver) = mpsc::channel(requests.len());
                for request in requests {
                    let offline = error.kind == ErrorKind::Offline;
                    let url = if offline { request.url } else { error.url.clone() };
                    let error = SourceError { url, ..error.clone() };
                    // There is room for all of them.
                    drop(sender.try_send((request.id, Err(error), None)));
                }
                Downloads { receiver, driver: None }
            }
        }
    }
}

impl Client {
    /// A file of at most `limit` bytes that policy names, without any token. The bytes are untrusted.
    ///
    /// # Errors
    /// The address is refused, the server cannot be reached or does not have it, or it is too large.
    pub fn file(&self, url: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        let parsed = url_rules::check(url, self.options().allow_http_loopback)?;
        let connected = self.connected(url)?;
        let request = Get {
            url: &parsed,
            validators: Validators::default(),
            authorization: None,
            compressed: false,
            limit,
            deadline: DEADLINE,
            progress: None,
            begun: None,
        };
        match connected.handle.block_on(get(&connected.http, self.options(), request))? {
            Answer::Body { bytes, .. } => Ok(bytes),
            Answer::NotFound | Answer::NotModified => {
                let message = "the server does not have this file";
                Err(SourceError::new(ErrorKind::NotFound, url_rules::printable(&parsed), message))
            }
        }
    }
}

impl Iterator for Downloads {
    type Item = (PackageId, Result<Vec<u8>, SourceError>);

    fn next(&mut self) -> Option<Self::Item> {
        self.receiver.blocking_recv().map(|(id, answer, _share)| (id, answer))
    }
}

impl Drop for Downloads {
    fn drop(&mut self) {
        if let Some(driver) = &self.driver {
            driver.abort();
        }
    }
}

async fn drive(
    http: reqwest::Client,
    mut alone: bool,
    options: Arc<ClientOptions>,
    requests: Vec<DownloadRequest>,
    progress: Arc<Progress>,
    sender: mpsc::Sender<Arrived>,
) {
    let room = Arc::new(Semaphore::new(WAITING_SIZE as usize));
    let mut running: JoinSet<(PackageId, Result<Vec<u8>, SourceError>)> = JoinSet::new();
    let mut waiting = requests.into_iter();
    loop {
        while running.len() < options.parallel_downloads.max(1) {
            let Some(request) = waiting.next() else { break };
            let (http, options, progress) = (http.clone(), Arc::clone(&options), Arc::clone(&progress));
            let begun = Arc::new(Notify::new());
            let tell = Arc::clone(&begun);
            running.spawn(async move {
                let result = archive(&http, &options, &request, &progress, &tell).await;
                progress.finished.fetch_add(1, Ordering::Relaxed);
                tell.notify_one();
                (request.id, result)
            });
            if std::mem::take(&mut alone) {
                begun.notified().await;
            }
        }
        match running.join_next().await {
            None => return,
            Some(Ok((id, answer))) => {
                let size = answer.as_ref().map_or(0, |bytes| bytes.len() >> 10);
                let share = u32::try_from(size).unwrap_or(WAITING_SIZE).min(WAITING_SIZE);
                // Fails only if the semaphore was closed, which nobody does.
                let share = Arc::clone(&room).acquire_many_owned(share).await.ok();
                if sender.send((id, answer, share)).await.is_err() {
                    return;
                }
            }
            // A task ends this way only if it was cancelled, which nobody does before this loop ends.
            Some(Err(_)) => {}
        }
    }
}

async fn archive(
    http: &reqwest::Client,
    options: &ClientOptions,
    wanted: &DownloadRequest,
    progress: &Progress,
    begun: &Notify,
) -> Result<Vec<u8>, SourceError> {
    let parsed = url_rules::check(&wanted.url, options.allow_http_loopback)?;
    let request = Get {
        url: &parsed,
        validators: Validators::default(),
        authorization: wanted.authorization.header(),
        compressed: false,
        limit: options.max_crate_size,
        deadline: DEADLINE,
        progress: Some(progress),
        begun: Some(begun),
    };
    match get(http, options, request).await.map_err(|error| wanted.authorization.explain(error))? {
        Answer::Body { bytes, .. } => Ok(bytes),
        Answer::NotFound | Answer::NotModified => Err(SourceError::new(
            ErrorKind::NotFound,
            url_rules::printable(&parsed),
            "the server does not have this archive",
        )),
    }
}
