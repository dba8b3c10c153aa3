//! The way from a caller to the committer: through a queue to its thread, or (for simulations) right in the caller.
//!
//! In: transactions, compactions, the wish to close. Out: the committer's answers. Never: an unbounded queue; a committer that outlives the store unsynced.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::committer::{Committer, Reply, Request};
use super::options::{CommitMode, QUEUED_REQUESTS};
use crate::error::Error;
use crate::model::{Committed, Revision, Transaction};

pub(super) enum CommitPath {
    Thread(CommitterThread),
    /// None once it is closed.
    Caller(Mutex<Option<Box<Committer>>>),
}

pub(super) struct CommitterThread {
    requests: mpsc::Sender<Request>,
    /// Bounds the queue: a request holds a slot until the committer takes it.
    slots: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

impl CommitterThread {
    fn start(committer: Committer) -> Result<Self, Error> {
        let (requests, queue) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("store-committer".into())
            .spawn(move || committer.run(&queue))
            .map_err(|cause| Error::backend("start the committer", cause))?;
        Ok(CommitterThread { requests, slots: Arc::new(Semaphore::new(QUEUED_REQUESTS)), thread: Some(thread) })
    }

    async fn submit<T>(&self, request: impl FnOnce(Reply<T>, OwnedSemaphorePermit) -> Request) -> Result<T, Error> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| Error::Closed)?;
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply, slot)).map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    async fn close(&self) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        if self.requests.send(Request::Close { reply }).is_err() {
            return Ok(());
        }
        // A committer that ended before it saw the request had been closed already.
        answer.await.unwrap_or(Ok(()))
    }
}

impl Drop for CommitterThread {
    fn drop(&mut self) {
        let (reply, _answer) = oneshot::channel();
        // A failed send means that the committer has ended; nothing is left to sync.
        let _ = self.requests.send(Request::Close { reply });
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's committer panicked");
        }
    }
}

fn lock(committer: &Mutex<Option<Box<Committer>>>) -> MutexGuard<'_, Option<Box<Committer>>> {
    committer.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CommitPath {
    pub(super) fn start(committer: Committer, mode: CommitMode) -> Result<Self, Error> {
        Ok(match mode {
            CommitMode::Thread => CommitPath::Thread(CommitterThread::start(committer)?),
            CommitMode::Caller => CommitPath::Caller(Mutex::new(Some(Box::new(committer)))),
        })
    }

    pub(super) async fn commit(&self, transaction: Transaction) -> Result<Committed, Error> {
        match self {
            CommitPath::Thread(thread) => thread.submit(|reply, slot| Request::Commit { transaction, reply, _slot: slot }).await,
            CommitPath::Caller(committer) => lock(committer).as_mut().ok_or(Error::Closed)?.commit_now(transaction),
        }
    }

    pub(super) async fn compact(&self, revision: Revision) -> Result<(), Error> {
        match self {
            CommitPath::Thread(thread) => thread.submit(|reply, slot| Request::Compact { revision, reply, _slot: slot }).await,
            CommitPath::Caller(committer) => lock(committer).as_mut().ok_or(Error::Closed)?.compact(revision),
        }
    }

    pub(super) async fn close(&self) -> Result<(), Error> {
        match self {
            CommitPath::Thread(thread) => thread.close().await,
            CommitPath::Caller(_) => self.close_caller(),
        }
    }

    fn close_caller(&self) -> Result<(), Error> {
        let CommitPath::Caller(committer) = self else {
            return Ok(());
        };
        lock(committer).take().map_or(Ok(()), |mut committer| committer.close())
    }
}

impl Drop for CommitPath {
    fn drop(&mut self) {
        if let Err(error) = self.close_caller() {
            tracing::error!(%error, "the store was not closed in good order");
        }
    }
}
