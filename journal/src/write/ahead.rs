//! Makes the next segment ready in a thread of its own, when the one before is half full.
//!
//! The thread lives as long as that takes. It fails silently: whoever needs the segment tries again, and is told.

use std::sync::Arc;

use super::sync::{Builder, JoinHandle, Mutex, Ordering};
use super::writer::Writer;

/// The thread at work, if any.
#[derive(Debug, Default)]
pub(crate) struct Ahead(Mutex<Option<JoinHandle<()>>>);

impl Ahead {
    /// Starts it where it is due.
    pub(crate) fn look(&self, writer: &Arc<Writer>) {
        if !writer.wants_next.load(Ordering::Acquire) || !writer.wants_next.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut helper = self.0.lock();
        end(helper.take());
        let writer = Arc::clone(writer);
        let started = Builder::new().name("treewal-journal".to_owned()).spawn(move || {
            if let Err(error) = writer.prepare() {
                tracing::debug!(%error, "cannot make the next segment ready");
            }
        });
        match started {
            Ok(handle) => *helper = Some(handle),
            Err(error) => tracing::debug!(%error, "cannot start a thread to make the next segment ready"),
        }
    }
}

/// Nobody else may write the directory once the log is dropped, so no thread of it may, either.
impl Drop for Ahead {
    fn drop(&mut self) {
        end(self.0.lock().take());
    }
}

fn end(helper: Option<JoinHandle<()>>) {
    if helper.is_some_and(|helper| helper.join().is_err()) {
        tracing::debug!("the thread that made the next segment ready panicked");
    }
}
