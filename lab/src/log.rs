//! What reached the disk, in its order.

use std::sync::Arc;

use crate::image::Image;

/// Something that happened to the disk, or was said about it.
#[derive(Clone)]
pub(crate) enum Event {
    /// A write was received; any part of it may be there from now on.
    Write(Write),
    /// The write at this place of the log was reported as done.
    Done(usize),
    /// A flush was reported as done: every write that was done before it is there for good.
    Flush,
    /// The workload, or a recovery, has something to say.
    Mark(Mark),
}

#[derive(Clone)]
pub(crate) struct Write {
    pub(crate) offset: u64,
    pub(crate) data: Arc<[u8]>,
}

/// What is said, in the order in which it is true: a mark is in the log before whoever said it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// From here on the tree may be as after this many steps.
    Begin(usize),
    /// From here on it is as after this many steps at least.
    Ack(usize),
    /// A recovery has said that it is done: from here on the tree is as it found it.
    Recovered,
    /// What follows is of no interest.
    Stop,
}

impl Mark {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let word = words.next()?;
        let number = words.next().and_then(|number| number.parse().ok());
        match (word, number) {
            ("begin", Some(step)) => Some(Self::Begin(step)),
            ("ack", Some(step)) => Some(Self::Ack(step)),
            ("recovered", None) => Some(Self::Recovered),
            ("stop", None) => Some(Self::Stop),
            _ => None,
        }
    }

    pub(crate) fn text(self) -> String {
        match self {
            Self::Begin(step) => format!("begin {step}"),
            Self::Ack(step) => format!("ack {step}"),
            Self::Recovered => "recovered".to_owned(),
            Self::Stop => "stop".to_owned(),
        }
    }
}

/// A disk at the start, and all that happened to it.
#[derive(Clone)]
pub(crate) struct Recording {
    pub(crate) base: Image,
    pub(crate) events: Vec<Event>,
}

impl Recording {
    pub(crate) fn writes(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Write(_))).count()
    }

    pub(crate) fn flushes(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Flush)).count()
    }

    /// Flushes that came while a write was on its way, which they do not cover.
    pub(crate) fn flushes_overtaking(&self) -> usize {
        let mut open = 0usize;
        let mut overtaking = 0;
        for event in &self.events {
            match event {
                Event::Write(_) => open += 1,
                Event::Done(_) => open -= 1,
                Event::Flush => overtaking += usize::from(open > 0),
                Event::Mark(_) => {}
            }
        }
        overtaking
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_said() {
        for mark in [Mark::Begin(3), Mark::Ack(12), Mark::Recovered, Mark::Stop] {
            assert_eq!(Mark::parse(&mark.text()), Some(mark));
        }
        for bad in ["", "begin", "ack x", "stop 1", "end"] {
            assert_eq!(Mark::parse(bad), None, "{bad}");
        }
    }
}
