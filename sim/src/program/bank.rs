//! Memory images that grow by pieces; equal pieces stand there once.

use std::collections::HashMap;
use std::hash::Hash;

/// The words of a memory that every lane of the drain has for itself.
#[derive(Clone, Debug)]
pub(crate) struct Bank<T> {
    lanes: Vec<Vec<T>>,
    known: HashMap<Vec<Vec<T>>, u64>,
}

impl<T: Clone + Eq + Hash> Bank<T> {
    /// An empty memory of so many lanes.
    pub fn new(lanes: u32) -> Self {
        Bank {
            lanes: vec![Vec::new(); lanes as usize],
            known: HashMap::new(),
        }
    }

    /// Adds equally many words to each lane; gives the address of the first.
    pub fn add(&mut self, words: Vec<Vec<T>>) -> u64 {
        if let Some(base) = self.known.get(&words) {
            return *base;
        }
        let base = self.len();
        for (lane, words) in self.lanes.iter_mut().zip(&words) {
            lane.extend_from_slice(words);
        }
        self.known.insert(words, base);
        base
    }

    /// Words of each lane.
    pub fn len(&self) -> u64 {
        self.lanes[0].len() as u64
    }

    /// Every lane's words.
    pub fn lanes(&self) -> &[Vec<T>] {
        &self.lanes
    }
}
