//! Places in a document: what of it becomes columns.

use crate::leaf::Leaf;

/// Places in a document, as a tree by their steps. Each wanted place has a number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    pub steps: Vec<(String, Places)>,
    pub wanted: Vec<usize>,
}

impl Places {
    /// Wants the value at this place under this number.
    pub fn want(&mut self, steps: &[String], number: usize) {
        let Some((first, rest)) = steps.split_first() else {
            return self.wanted.push(number);
        };
        let at = self.steps.iter().position(|(step, _)| step == first).unwrap_or_else(|| {
            self.steps.push((first.clone(), Self::default()));
            self.steps.len() - 1
        });
        self.steps[at].1.want(rest, number);
    }

    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.wanted.is_empty()
    }

    /// What is wanted of this step.
    pub fn step(&self, name: &str) -> Option<&Self> {
        self.steps.iter().find(|(step, _)| step == name).map(|(_, places)| places)
    }

    /// This, here and below: null stands for all that lies in it.
    pub fn fill<'m>(&self, leaf: &Leaf<'m>, found: &mut [Leaf<'m>]) {
        self.wanted.iter().for_each(|number| found[*number] = leaf.clone());
        self.steps.iter().for_each(|(_, places)| places.fill(leaf, found));
    }

    /// Nothing, here and below.
    pub fn forget(&self, found: &mut [Leaf<'_>]) {
        self.fill(&Leaf::Absent, found);
    }
}
