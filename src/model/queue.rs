//! Which merge is next: of the lowest rank, and of equal ones the leftmost.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// The merges that can happen in a word of many symbols.
///
/// Up to [`MANY`] symbols one heap is quickest. In longer words, which are mostly a few characters again and again, ranks are few and
/// places come in order: there each rank has a list of places, and only ranks are in a heap.
#[derive(Debug, Default)]
pub(super) struct MergeQueue {
    many: bool,
    heap: BinaryHeap<Reverse<u64>>,
    ranks: BinaryHeap<Reverse<u32>>,
    places: HashMap<u32, Places, BuildHasherDefault<RankHasher>>,
}

/// Up to so many symbols a word has one heap.
const MANY: usize = 4096;

impl MergeQueue {
    /// Begins a word of so many symbols.
    pub(super) fn clear(&mut self, symbols: usize) {
        self.many = symbols > MANY;
        self.heap.clear();
        self.ranks.clear();
        self.places.clear();
    }

    /// Lets go of what a very long word took.
    pub(super) fn shrink_to(&mut self, most: usize) {
        self.heap.shrink_to(most);
        self.ranks.shrink_to(most);
        self.places = HashMap::default();
    }

    #[inline]
    pub(super) fn push(&mut self, rank: u32, at: u32) {
        if !self.many {
            return self.heap.push(Reverse(u64::from(rank) << 32 | u64::from(at)));
        }
        let places = self.places.entry(rank).or_insert_with(|| {
            self.ranks.push(Reverse(rank));
            Places::default()
        });
        places.push(at);
    }

    /// The rank and the place of the next one.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<(u32, u32)> {
        if !self.many {
            let Reverse(top) = self.heap.pop()?;
            return Some(((top >> 32) as u32, top as u32));
        }
        loop {
            let &Reverse(rank) = self.ranks.peek()?;
            if let Some(at) = self.places.get_mut(&rank).and_then(Places::pop) {
                return Some((rank, at));
            }
            self.ranks.pop();
            self.places.remove(&rank);
        }
    }
}

/// Places of one rank, the leftmost first.
#[derive(Debug, Default)]
struct Places {
    /// Those that came in order.
    ascending: std::collections::VecDeque<u32>,
    /// The others.
    late: BinaryHeap<Reverse<u32>>,
}

impl Places {
    fn push(&mut self, at: u32) {
        if self.ascending.back().is_none_or(|&last| last <= at) {
            self.ascending.push_back(at);
        } else {
            self.late.push(Reverse(at));
        }
    }

    fn pop(&mut self) -> Option<u32> {
        match (self.ascending.front(), self.late.peek()) {
            (Some(&first), Some(&Reverse(late))) if late < first => self.late.pop().map(|Reverse(at)| at),
            (Some(_), _) => self.ascending.pop_front(),
            (None, _) => self.late.pop().map(|Reverse(at)| at),
        }
    }
}

/// Spreads ranks, which are numbers below 2³².
#[derive(Debug, Default)]
struct RankHasher(u64);

impl Hasher for RankHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn write_u32(&mut self, rank: u32) {
        self.0 = (self.0 ^ u64::from(rank)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lists_of_places_give_what_one_heap_gives(
            steps in proptest::collection::vec(proptest::option::of((0_u32..20, 0_u32..1000)), 0..200),
        ) {
            let (mut one, mut many) = (MergeQueue::default(), MergeQueue::default());
            one.clear(MANY);
            many.clear(MANY + 1);
            for step in steps {
                if let Some((rank, at)) = step {
                    one.push(rank, at);
                    many.push(rank, at);
                } else {
                    prop_assert_eq!(one.pop(), many.pop());
                }
            }
            while let Some(next) = one.pop() {
                prop_assert_eq!(many.pop(), Some(next));
            }
            prop_assert_eq!(many.pop(), None);
        }
    }
}
