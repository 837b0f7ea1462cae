//! Tells a few bad messages from a topic that has gone bad.

use std::collections::VecDeque;

use crate::Stopped;

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
pub struct Flood {
    options: FloodOptions,
    /// Runs of messages: how many, and how many of them were bad.
    runs: VecDeque<(usize, usize)>,
    all: usize,
    bad: usize,
    /// Messages that are no flood whatever they are.
    passing: u64,
}

impl Flood {
    /// Of a partition of which nothing is known yet.
    pub fn new(options: FloodOptions) -> Self {
        Self { options, runs: VecDeque::new(), all: 0, bad: 0, passing: 0 }
    }

    /// Whether so many bad ones of these messages may be dead-lettered; `first` says what is wrong with
    /// the first of them, and where it stands.
    pub fn check(
        &self,
        all: usize,
        bad: usize,
        first: impl FnOnce() -> String,
    ) -> Result<(), Stopped> {
        if bad == 0 || self.passing > 0 || !self.would_be(all, bad) {
            return Ok(());
        }
        Err(Stopped::Flood { bad, all, first: first() })
    }

    /// Whether with these messages the share would be above the limit.
    fn would_be(&self, all: usize, bad: usize) -> bool {
        let (all, bad) = (self.all + all, self.bad + bad);
        all >= self.options.least && bad as f64 > self.options.share * all as f64
    }

    /// Counts messages that are done with.
    pub fn count(&mut self, all: usize, bad: usize) {
        if self.passing > 0 {
            self.passing = self.passing.saturating_sub(all as u64);
            return;
        }
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

    /// Somebody has looked at a flood: it begins anew, and of the next messages, at least so many may be
    /// dead-lettered.
    pub fn let_pass(&mut self, messages: u64) {
        *self = Self { passing: messages, ..Self::new(self.options) };
    }
}
