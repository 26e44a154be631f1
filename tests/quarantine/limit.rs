//! The limit: a warning, and never a removal.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::world::*;

/// Keeps what is said.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }
}

impl Subscriber for Ear {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{} ", event.metadata().level()));
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn quarantine_beyond_its_limit_is_told_and_nothing_goes() {
    let (disk, tree, _) = staged();
    let bytes = tree.quarantine().unwrap().iter().map(|entry| entry.bytes).sum::<u64>();
    assert!(bytes > 0);
    drop(tree);
    let before = below(&disk, ".treewal/quarantine");
    for (limit, is_full) in [(bytes, false), (bytes - 1, true), (0, true)] {
        let ear = Ear::default();
        let tree = tracing::subscriber::with_default(ear.clone(), || {
            options().quarantine_limit(limit).open_on(Arc::new(disk.clone()), "/").unwrap()
        });
        let said =
            ear.0.lock().unwrap().iter().any(|line| line.starts_with("WARN") && line.contains("beyond its limit"));
        assert_eq!(said, is_full, "{limit} of {bytes}: {:?}", ear.0.lock().unwrap());
        let status = tree.status().unwrap();
        assert_eq!((status.quarantine_bytes, status.quarantine_is_full), (bytes, is_full));
        assert_eq!(below(&disk, ".treewal/quarantine"), before);
    }
}
