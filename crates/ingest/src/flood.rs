//! Tells a few bad messages from a topic that has gone bad.

use std::collections::VecDeque;

/// How many dead letters are too many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FloodOptions {
    /// The greatest share of dead letters among the last messages, above 0 and at most 1.
    pub share: f64,
    /// Among how many of the last messages.
    pub among: usize,
    /// Fewer messages than these are never a flood. Of a lane that has just begun this many say enough:
    /// what it held before must not pass because it has forgotten.
    pub least: usize,
}

impl Default for FloodOptions {
    fn default() -> Self {
        Self { share: 0.2, among: 1_000, least: 100 }
    }
}

/// The last messages of a partition: which were dead letters.
#[derive(Debug)]
pub(crate) struct Flood {
    options: FloodOptions,
    /// Runs of messages: how many, and how many of them were bad.
    runs: VecDeque<(usize, usize)>,
    all: usize,
    bad: usize,
}

impl Flood {
    pub fn new(options: FloodOptions) -> Self {
        Self { options, runs: VecDeque::new(), all: 0, bad: 0 }
    }

    /// Whether with these messages the share would be above the limit.
    pub fn would_be(&self, all: usize, bad: usize) -> bool {
        let (all, bad) = (self.all + all, self.bad + bad);
        all >= self.options.least && bad as f64 > self.options.share * all as f64
    }

    /// Counts messages that are done with.
    pub fn count(&mut self, all: usize, bad: usize) {
        self.runs.push_back((all, bad));
        self.all += all;
        self.bad += bad;
        while let Some((first, first_bad)) = self.runs.front().copied()
            && self.all - first >= self.options.among
        {
            self.runs.pop_front();
            self.all -= first;
            self.bad -= first_bad;
        }
    }

    /// Begins anew: somebody has looked at it.
    pub fn forget(&mut self) {
        *self = Self::new(self.options);
    }
}
