//! Which characters of a rendered text came from the caller and could begin a control token, and which text the assistant wrote.
//!
//! Such a character is replaced before rendering by one of Unicode's private use that neither the template nor the input contains.
//! One character takes the place of one, so lengths, slices, trimming and case are what they were, and whatever the template
//! does to a string, the mark travels with its character. Methods, filters and tests see through it (see [`Marks::matches`]).

use std::borrow::Cow;
use std::ops::Range;

/// Characters and what stands for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    /// The characters that are replaced, each with its mark.
    pairs: Vec<(char, char)>,
    /// What begins and ends the text of a `generation` block, where that is to be known.
    generation: Option<(char, char)>,
}

/// A rendered text without its marks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Unmarked {
    pub(super) text: String,
    /// The bytes of each character that was marked, ascending.
    pub(super) literal: Vec<Range<usize>>,
    /// What `generation` blocks wrote, ascending by start.
    pub(super) generated: Vec<Range<usize>>,
}

impl Marks {
    /// Marks for `bases` and for `generation` blocks, none of them one of `used`. `None` if there are too few.
    pub(super) fn new(bases: &[char], mut used: Vec<char>) -> Option<Self> {
        used.sort_unstable();
        let mut free = ('\u{F0000}'..='\u{FFFFD}').filter(|c| used.binary_search(c).is_err());
        let generation = Some((free.next()?, free.next()?));
        let pairs = bases.iter().map(|&base| Some((base, free.next()?))).collect::<Option<_>>()?;
        Some(Self { pairs, generation })
    }

    /// The characters that are marked.
    pub(super) fn bases(&self) -> Vec<char> {
        self.pairs.iter().map(|&(base, _)| base).collect()
    }

    /// What to write around the text of a `generation` block.
    pub(super) fn generation(&self) -> Option<(char, char)> {
        self.generation
    }

    /// The character that `c` stands for.
    pub(super) fn base(&self, c: char) -> char {
        if !is_private(c) {
            return c;
        }
        self.pairs.iter().find(|&&(_, mark)| mark == c).map_or(c, |&(base, _)| base)
    }

    /// The mark of `c`, if it is one of the characters that are marked.
    pub(super) fn mark(&self, c: char) -> Option<char> {
        self.pairs.iter().find(|&&(base, _)| base == c).map(|&(_, mark)| mark)
    }

    /// Whether a character of `text` is marked.
    fn occur_in(&self, text: &str) -> bool {
        !self.pairs.is_empty() && text.chars().any(|c| self.base(c) != c)
    }

    /// `text` with the characters that were marked.
    pub(super) fn unmarked<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.occur_in(text) { text.chars().map(|c| self.base(c)).collect() } else { text.into() }
    }

    /// `text` without marks, and what they said.
    pub(super) fn take_out(&self, text: &str) -> Unmarked {
        let mut out = Unmarked { text: String::with_capacity(text.len()), ..Unmarked::default() };
        // Blocks within blocks.
        let mut open = Vec::new();
        for c in text.chars() {
            let at = out.text.len();
            match self.generation {
                Some((begin, _)) if c == begin => {
                    open.push(out.generated.len());
                    out.generated.push(at..at);
                }
                Some((_, end)) if c == end => {
                    if let Some(range) = open.pop().and_then(|i: usize| out.generated.get_mut(i)) {
                        range.end = at;
                    }
                }
                _ => {
                    let base = self.base(c);
                    out.text.push(base);
                    if base != c {
                        out.literal.push(at..out.text.len());
                    }
                }
            }
        }
        out
    }

    /// Where `needle` occurs in `text`, marked or not, from the left and without overlaps: ranges of bytes of `text`.
    pub(super) fn matches(&self, text: &str, needle: &str) -> Vec<Range<usize>> {
        let ranges = |text: &str, needle: &str| -> Vec<_> {
            text.match_indices(needle).map(|(at, part)| at..at + part.len()).collect()
        };
        if !self.occur_in(text) && !self.occur_in(needle) {
            return ranges(text, needle);
        }
        let (plain, needle) = (self.unmarked(text), self.unmarked(needle));
        // A character is at the same place in both texts, a byte is not.
        let places =
            plain.char_indices().zip(text.char_indices()).map(|((plain, _), (text, _))| (plain, text));
        let places: Vec<_> = places.chain([(plain.len(), text.len())]).collect();
        let in_text = |at: usize| places[places.partition_point(|&(plain, _)| plain < at)].1;
        ranges(&plain, &needle).into_iter().map(|range| in_text(range.start)..in_text(range.end)).collect()
    }
}

/// Whether `c` could be a mark.
pub(super) fn is_private(c: char) -> bool {
    matches!(c, '\u{F0000}'..='\u{FFFFD}')
}
