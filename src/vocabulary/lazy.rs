//! A merges list as it stands, its lines found through the tokens they make: a vocabulary can be used before anybody has looked
//! up the two halves of every line.
//!
//! A merge of two symbols is found by their joined text: the token of that text is the only thing the two can make, and whether
//! the list says so, and at which rank, stands in the token's own lines. Which lines are a token's own comes of walking lines and
//! tokens side by side, since lists are written in the order of the tokens they make; a line out of that order is looked up.
//! Nothing is taken for granted about the list: a line counts for a token because their texts are equal.

use std::ops::Range;
use std::thread::{Scope, ScopedJoinHandle};

use super::bytes::find_byte;
use super::texts::{Query, Texts};
use super::{Alphabet, Builder, Rank, Span, Vocabulary, VocabularyError};

/// A list of merges as a file holds it, and the tokens. Line `i` is the merge of rank `i`.
#[derive(Clone)]
pub(crate) struct MergesList<'f, L, T> {
    /// Some part of the file.
    pub(crate) data: &'f [u8],
    /// The lines in it.
    pub(crate) lines: L,
    /// Another part of the file.
    pub(crate) token_data: &'f [u8],
    /// The tokens in it, by their ids; of equal ones the first counts, and an empty one stands for none.
    pub(crate) tokens: T,
    /// What lines and tokens are written in.
    pub(crate) alphabet: Alphabet,
    pub(crate) equal: EqualLines,
    pub(crate) halves: Halves,
}

/// Which halves of lines must be tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Halves {
    /// Those that a text is cut into before anything merges: characters, unless the alphabet is one of bytes.
    FirstSymbols,
    /// All.
    Tokens,
}

/// Where a line is, and where its right text begins; `None` where a space, the first one behind the first byte, tells.
pub(crate) type Line = (Range<usize>, Option<usize>);

/// The lines of each token.
#[derive(Debug)]
pub(crate) struct LazyMerges {
    /// One a token.
    runs: Vec<Run>,
    /// By rank: how many bytes of its token's key belong to the left text, [`NOWHERE`] for a line that is not in a run.
    splits: Vec<u8>,
    /// Lines that are not in their token's run, in order.
    strays: Vec<Stray>,
    equal: EqualLines,
}

/// Which of the lines of equal halves counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EqualLines {
    FirstCounts,
    LastCounts,
}

/// Lines of one token that follow each other: the rank of the first one, and below that in eight bits how many there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Run(u32);

impl Run {
    fn lines(self) -> u32 {
        self.0 & 0xFF
    }

    fn start(self) -> u32 {
        self.0 >> 8
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Stray {
    token: u32,
    split: u32,
    rank: u32,
}

/// A line of a list: its rank, the token that it makes, and how many bytes of that token's key belong to the left text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct ListLine {
    pub(crate) rank: Rank,
    pub(crate) token: u32,
    pub(crate) split: u32,
}

const NOWHERE: u8 = 0;

impl LazyMerges {
    /// Ranks are below this.
    const MAX_LEN: usize = 1 << 24;

    /// The rank of the merge of `left` and `right`, whose texts in a word are `text`, and the token it makes.
    pub(crate) fn find(
        &self,
        vocabulary: &Vocabulary,
        left: u32,
        right: u32,
        text: &[u8],
    ) -> Option<(Rank, u32)> {
        let keys = vocabulary.keys();
        let (left, right) = (keys.at(left), keys.at(right));
        // What is no symbol has no key, and makes nothing.
        if left.is_empty() || right.is_empty() {
            return None;
        }
        // A token that stands in for something unknown has another key than it has text.
        let verbatim =
            left.len() + right.len() == text.len() && text.starts_with(left) && text.ends_with(right);
        let token =
            if verbatim { vocabulary.token(text) } else { vocabulary.token(&[left, right].concat()) }?;
        Some((self.rank(token, left.len())?, token))
    }

    /// The rank of the line that makes `token` of its first `split` bytes and of the others.
    pub(crate) fn rank(&self, token: u32, split: usize) -> Option<Rank> {
        let run = *self.runs.get(token as usize)?;
        let (start, lines) = (run.start() as usize, run.lines() as usize);
        let splits = self.splits.get(start..start + lines).unwrap_or_default();
        let is_it = |&at: &u8| usize::from(at) == split;
        let at = match self.equal {
            EqualLines::FirstCounts => splits.iter().position(is_it),
            EqualLines::LastCounts => splits.iter().rposition(is_it),
        };
        let in_run = at.map(|at| (start + at) as u32);
        let wanted = (token, u32::try_from(split).ok()?);
        let first = self.strays.partition_point(|stray| (stray.token, stray.split) < wanted);
        let strays = &self.strays[first..];
        let strays = &strays[..strays.partition_point(|stray| (stray.token, stray.split) == wanted)];
        let ends = [in_run, strays.first().map(|stray| stray.rank), strays.last().map(|stray| stray.rank)];
        match self.equal {
            EqualLines::FirstCounts => ends.into_iter().flatten().min(),
            EqualLines::LastCounts => ends.into_iter().flatten().max(),
        }
        .map(Rank)
    }

    /// All lines that make a token, by their ranks; equal ones too.
    pub(crate) fn lines(&self) -> Vec<ListLine> {
        let mut lines = Vec::with_capacity(self.splits.len());
        for (token, run) in (0..).zip(&self.runs) {
            let ranks = run.start()..run.start() + run.lines();
            let splits = self.splits.get(ranks.start as usize..ranks.end as usize).unwrap_or_default();
            let all = ranks.zip(splits).filter(|&(_, &split)| split != NOWHERE);
            lines.extend(all.map(|(rank, &split)| ListLine { rank: Rank(rank), token, split: split.into() }));
        }
        let strays = self.strays.iter();
        lines.extend(strays.map(|&Stray { token, split, rank }| ListLine { rank: Rank(rank), token, split }));
        // They are nearly in order, which this notices.
        lines.sort();
        lines
    }
}

/// A walk through a list, on a thread of its own where that is worth it.
pub(crate) enum Joining<'scope> {
    Elsewhere(ScopedJoinHandle<'scope, Result<Join, VocabularyError>>),
    Done(Result<Join, VocabularyError>),
}

impl<'scope> Joining<'scope> {
    pub(crate) fn begin<'f: 'scope, L, T>(
        scope: &'scope Scope<'scope, '_>,
        list: MergesList<'f, L, T>,
    ) -> Self
    where
        L: ExactSizeIterator<Item = Line> + Clone + Send + 'scope,
        T: ExactSizeIterator<Item = Range<usize>> + Clone + Send + 'scope,
    {
        let cores = || std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
        if list.lines.len() >= WORTH_A_THREAD && cores() {
            let other = list.clone();
            let thread = std::thread::Builder::new().spawn_scoped(scope, move || Join::new(other));
            if let Ok(thread) = thread {
                return Self::Elsewhere(thread);
            }
        }
        Self::Done(Join::new(list))
    }

    /// Waits for the end of it.
    ///
    /// # Errors
    ///
    /// There are too many lines, or tokens behind 4 GiB.
    pub(crate) fn finish(self) -> Result<Join, VocabularyError> {
        match self {
            Self::Elsewhere(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Self::Done(join) => join,
        }
    }
}

/// A thread takes as long to begin as some thousand lines.
const WORTH_A_THREAD: usize = 20_000;

/// Lines by their tokens, but for those that are still to be looked up.
#[derive(Debug)]
pub(crate) struct Join {
    merges: LazyMerges,
    /// Their ranks, and where they are.
    open: Vec<(u32, Line)>,
    /// Characters that are a half of some line and no token.
    loose: bool,
}

/// Lines that are more than halves of tokens: a merge makes, or takes, what is no token.
#[derive(Debug)]
pub(crate) struct BeyondTokens;

impl Join {
    /// Walks lines and tokens side by side. `O(bytes)`.
    ///
    /// # Errors
    ///
    /// More lines than there are ranks, or tokens behind 4 GiB.
    fn new<L, T>(list: MergesList<'_, L, T>) -> Result<Self, VocabularyError>
    where
        L: ExactSizeIterator<Item = Line>,
        T: ExactSizeIterator<Item = Range<usize>>,
    {
        let MergesList { data, lines, token_data, tokens, alphabet, equal, halves } = list;
        if lines.len() > LazyMerges::MAX_LEN || u32::try_from(token_data.len()).is_err() {
            return Err(VocabularyError::TooLarge);
        }
        let spans: Vec<Span> =
            tokens.map(|span| Span { start: span.start as u32, len: span.len() as u32 }).collect();
        let mut characters = (halves == Halves::FirstSymbols && alphabet == Alphabet::Text)
            .then(|| HalfCharacters::of(token_data, &spans));
        let mut members = (halves == Halves::Tokens).then(|| Members::new(data, token_data, &spans));
        let mut walk = Walk::new(data, token_data, &spans);
        let mut join = Self {
            merges: LazyMerges {
                runs: vec![Run::default(); spans.len()],
                splits: Vec::with_capacity(lines.len()),
                strays: Vec::new(),
                equal,
            },
            open: Vec::new(),
            loose: false,
        };
        for (rank, line) in (0..).zip(lines) {
            let text = Joined::read(data, &line, alphabet);
            let Some((text, left)) = text else {
                join.merges.splits.push(NOWHERE);
                if members.is_some() {
                    join.open.push((rank, line));
                }
                continue;
            };
            if let Some(characters) = &mut characters {
                characters.note(&data[text.left.0..text.left.1]);
                characters.note(&data[text.right.0..text.right.1]);
            }
            if let Some(members) = &mut members {
                members.ask(rank, &line, &text);
            }
            if let Some(token) = walk.find(&text) {
                join.merges.enter(rank, token, left);
            } else {
                join.merges.splits.push(NOWHERE);
                join.open.push((rank, line));
            }
        }
        join.loose = characters.is_some_and(|characters| characters.loose());
        if let Some(members) = members {
            join.open.append(&mut members.finish());
            join.open.sort_unstable_by_key(|&(rank, _)| rank);
            join.open.dedup_by_key(|&mut (rank, _)| rank);
        }
        Ok(join)
    }

    /// The lines that are to be looked up, by their ranks.
    pub(crate) fn open(&self) -> &[(u32, Line)] {
        &self.open
    }

    /// Ends with the lines that have been looked up: their ranks, the tokens they make, and how many bytes of those belong to the left
    /// text. A line that can never apply is left out.
    pub(crate) fn finish(mut self, found: impl Iterator<Item = ListLine>) -> LazyMerges {
        // What is in its token's run has been looked up for the sake of a half.
        let strays = found.filter(|line| self.merges.splits.get(line.rank.0 as usize) == Some(&NOWHERE));
        let strays = strays.map(|ListLine { rank: Rank(rank), token, split }| Stray { token, split, rank });
        self.merges.strays.extend(strays);
        self.merges.strays.sort_unstable();
        self.merges.strays.dedup();
        self.merges
    }

    /// As [`Join::finish`], by the keys that `read` makes of lines, with the bytes of their left halves.
    pub(super) fn finish_by_keys(
        self,
        builder: &Builder,
        mut read: impl FnMut(&Line, &mut Vec<u8>) -> Option<usize>,
    ) -> Result<LazyMerges, BeyondTokens> {
        if self.loose {
            return Err(BeyondTokens);
        }
        let token_of = |text: &[u8]| builder.token(text).ok_or(BeyondTokens);
        let mut key = Vec::new();
        let mut found = Vec::with_capacity(self.open.len());
        for (rank, line) in &self.open {
            key.clear();
            if let Some(split) = read(line, &mut key) {
                let token = token_of(&key)?;
                // A text is cut into bytes, which are all symbols, or into characters, which are if they are tokens.
                let halves = [&key[..split], &key[split..]];
                for half in halves.into_iter().filter(|_| builder.alphabet() == Alphabet::Text) {
                    if half.first().is_some_and(|&byte| crate::unicode::utf8_len(byte) >= half.len()) {
                        token_of(half)?;
                    }
                }
                found.push(ListLine { rank: Rank(*rank), token, split: split as u32 });
            }
        }
        Ok(self.finish(found.into_iter()))
    }
}

/// Which halves of lines are tokens.
struct Members<'f> {
    data: &'f [u8],
    texts: Texts<'f>,
    /// Lines whose halves are still to be looked up: those of a block at once, so that the misses of the table overlap.
    asked: Vec<(u32, Line, [Option<Query>; 2])>,
    /// Lines with a half that was not found.
    missing: Vec<(u32, Line)>,
}

impl<'f> Members<'f> {
    const BLOCK: usize = 32;

    fn new(data: &'f [u8], token_data: &'f [u8], spans: &[Span]) -> Self {
        let ranges = spans.iter().map(|span| span.start as usize..(span.start + span.len) as usize);
        Self {
            data,
            texts: Texts::new(token_data, ranges),
            asked: Vec::with_capacity(Self::BLOCK),
            missing: Vec::new(),
        }
    }

    #[inline]
    fn ask(&mut self, rank: u32, line: &Line, text: &Joined) {
        let query = |(start, end): (usize, usize)| self.texts.query(self.data, start, end - start);
        let halves = [query(text.left), query(text.right)];
        let seen = halves.iter().flatten().fold(0, |seen, query| seen | self.texts.look(query));
        std::hint::black_box(seen);
        self.asked.push((rank, line.clone(), halves));
        if self.asked.len() == Self::BLOCK {
            self.look_up();
        }
    }

    fn look_up(&mut self) {
        for (rank, line, halves) in self.asked.drain(..) {
            let is_token = |query: Query| self.texts.find(self.data, &query).is_some();
            if !halves.into_iter().all(|half| half.is_some_and(is_token)) {
                self.missing.push((rank, line));
            }
        }
    }

    fn finish(mut self) -> Vec<(u32, Line)> {
        self.look_up();
        self.missing
    }
}

impl LazyMerges {
    /// Enters the next line.
    fn enter(&mut self, rank: u32, token: u32, split: usize) {
        let run = &mut self.runs[token as usize];
        let follows = run.lines() == 0 || run.lines() < 0xFF && run.start() + run.lines() == rank;
        match u8::try_from(split) {
            Ok(split) if follows => {
                *run = Run(if run.lines() == 0 { rank << 8 | 1 } else { run.0 + 1 });
                self.splits.push(split);
            }
            _ => {
                self.splits.push(NOWHERE);
                self.strays.push(Stray { token, split: split as u32, rank });
            }
        }
    }
}

/// The two texts of a line, and what they are together.
struct Joined {
    /// Where the left text begins and ends, and the right one.
    left: (usize, usize),
    right: (usize, usize),
    /// Bytes of both.
    len: usize,
    /// Both as a number, the first byte lowest, if they have up to [`SHORT`] bytes.
    number: u128,
}

const SHORT: usize = 16;

impl Joined {
    /// The texts of a line, and how many bytes the left one stands for; `None` for a line that can never apply.
    #[inline]
    fn read(data: &[u8], (line, middle): &Line, alphabet: Alphabet) -> Option<(Self, usize)> {
        let (start, end) = (line.start, line.end);
        let len = end - start;
        if middle.is_none()
            && len <= SHORT + 1
            && let Some(bytes) = data.get(start..).and_then(|rest| rest.first_chunk::<{ SHORT + 1 }>())
        {
            let (low, _) = bytes.split_first_chunk::<SHORT>()?;
            let (_, high) = bytes.split_last_chunk::<SHORT>()?;
            let (low, high) = (u128::from_le_bytes(*low), u128::from_le_bytes(*high));
            let space = first_space(low);
            // A space at the very end leaves nothing for the right text.
            if space + 1 >= len {
                return None;
            }
            let kept = LOWER[space];
            let number = (low & kept | high & !kept) & LOWER[len - 1];
            let mut split = space;
            if alphabet == Alphabet::ByteLevel {
                split -= continuing(low & kept);
                if is_continuing(bytes[space + 1]) {
                    return None;
                }
            }
            let (left, right) = ((start, start + space), (start + space + 1, end));
            return Some((Self { left, right, len: len - 1, number }, split));
        }
        let (left, right) = if let Some(middle) = *middle {
            (start..middle, middle..end)
        } else {
            let space = find_byte(data, start + 1, end, b' ')?;
            (start..space, space + 1..end)
        };
        if left.is_empty() || right.is_empty() {
            return None;
        }
        let len = left.len() + right.len();
        let number = match middle {
            Some(_) => number(data, start, len),
            None if len > SHORT => 0,
            None => {
                let mut joined = [0; SHORT];
                joined[..left.len()].copy_from_slice(&data[left.clone()]);
                joined[left.len()..len].copy_from_slice(&data[right.clone()]);
                u128::from_le_bytes(joined)
            }
        };
        let mut split = left.len();
        if alphabet == Alphabet::ByteLevel {
            // One byte a character; half a character is none of the alphabet.
            split -= data[left.clone()].iter().filter(|&&byte| is_continuing(byte)).count();
            if is_continuing(data[right.start]) {
                return None;
            }
        }
        Some((Self { left: (left.start, left.end), right: (right.start, right.end), len, number }, split))
    }
}

#[inline]
fn is_continuing(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// How many bytes continue a character.
#[inline]
fn continuing(number: u128) -> usize {
    let marks = number >> 7 & !(number >> 6) & ONES;
    if marks == 0 {
        return 0;
    }
    let sums = marks as u64 + (marks >> 64) as u64;
    (sums.wrapping_mul(ONES as u64) >> 56) as usize
}

/// A space.
const SPACE_BYTE: u128 = 0x20;
/// One in each byte.
const ONES: u128 = u128::MAX / 255;

/// The text of `len` bytes, at most [`SHORT`], as a number; 0 for a longer one.
#[inline]
fn number(data: &[u8], start: usize, len: usize) -> u128 {
    if len > SHORT {
        return 0;
    }
    let rest = data.get(start..).unwrap_or_default();
    if let Some(&bytes) = rest.first_chunk::<SHORT>() {
        return u128::from_le_bytes(bytes) & LOWER[len];
    }
    let mut bytes = [0; SHORT];
    let len = len.min(rest.len());
    bytes[..len].copy_from_slice(&rest[..len]);
    u128::from_le_bytes(bytes)
}

/// Where the first space behind the first byte is; [`SHORT`] if there is none.
#[inline]
fn first_space(number: u128) -> usize {
    // Bytes that are zero after this were spaces; the lowest mark is never a false one.
    let zeros = (number | 0xFF) ^ (ONES * SPACE_BYTE);
    let marks = zeros.wrapping_sub(ONES) & !zeros & (ONES << 7);
    marks.trailing_zeros() as usize / 8
}

/// So many lower bytes.
const LOWER: [u128; SHORT + 1] = {
    let mut lower = [0; SHORT + 1];
    let mut len = 1;
    while len <= SHORT {
        lower[len] = lower[len - 1] << 8 | 0xFF;
        len += 1;
    }
    lower
};

/// Tokens in the order of their ids, on the way through which the lines are met.
struct Walk<'f> {
    /// What the lines are in, and what the tokens are in.
    lines: &'f [u8],
    data: &'f [u8],
    spans: &'f [Span],
    /// The token of the line before; its length and number, if it is short; and where it was before it last took more than a step.
    at: usize,
    len: usize,
    number: u128,
    before: usize,
    /// Lines that were met since one was not, and lines that were not met since one was.
    met: u32,
    lost: u32,
    /// After so many lines that are not met all tokens are searched for the next one.
    patience: u32,
    /// So often that may still be done.
    searches: u32,
}

/// So many tokens ahead a line is looked for.
const AHEAD: usize = 64;
/// A list in disorder is not to cost a search for each of its lines: the time between two of them doubles, until there is order.
const PATIENCE: u32 = 16;
const ORDER: u32 = 256;
const SEARCHES: u32 = 32;

impl<'f> Walk<'f> {
    fn new(lines: &'f [u8], data: &'f [u8], spans: &'f [Span]) -> Self {
        let mut walk = Self {
            lines,
            data,
            spans,
            at: 0,
            len: 0,
            number: 0,
            before: 0,
            met: 0,
            lost: 0,
            patience: 0,
            searches: SEARCHES,
        };
        walk.go_to(0);
        walk
    }

    /// The token of a line, if it is where it might be expected.
    #[inline]
    fn find(&mut self, text: &Joined) -> Option<u32> {
        if (self.len != text.len || self.number != text.number) && !self.is(text, self.at) {
            if !self.is(text, self.at + 1) {
                return self.search(text);
            }
            self.go_to(self.at + 1);
        }
        self.met += 1;
        self.lost = 0;
        Some(self.at as u32)
    }

    #[inline]
    fn go_to(&mut self, at: usize) {
        self.at = at;
        let Span { start, len } = self.spans.get(at).copied().unwrap_or_default();
        let len = len as usize;
        self.number = number(self.data, start as usize, len);
        self.len = if len > SHORT { usize::MAX } else { len };
    }

    #[inline]
    fn is(&self, text: &Joined, id: usize) -> bool {
        let Some(&Span { start, len }) = self.spans.get(id) else { return false };
        let (start, len) = (start as usize, len as usize);
        if len != text.len {
            return false;
        }
        if len <= SHORT {
            return number(self.data, start, len) == text.number;
        }
        let Some(own) = self.data.get(start..start + len) else { return false };
        let (left, right) = own.split_at(text.left.1 - text.left.0);
        self.lines.get(text.left.0..text.left.1) == Some(left)
            && self.lines.get(text.right.0..text.right.1) == Some(right)
    }

    #[cold]
    fn search(&mut self, text: &Joined) -> Option<u32> {
        if self.met >= ORDER {
            self.patience = PATIENCE;
        }
        self.met = 0;
        let near = [self.before, self.before + 1].into_iter();
        let ahead = self.at + 2..self.at + 2 + if self.lost < PATIENCE { AHEAD } else { 0 };
        let mut found = near.chain(ahead).find(|&id| self.is(text, id));
        if found.is_none() && self.lost >= self.patience && self.searches > 0 {
            self.searches -= 1;
            self.patience = PATIENCE.max(2 * self.patience);
            // Most lists leave tokens out before they go back.
            found = (self.at..self.spans.len()).chain(0..self.at).find(|&id| self.is(text, id));
        }
        let Some(found) = found else {
            self.lost += 1;
            return None;
        };
        (self.before, self.lost) = (self.at, 0);
        self.go_to(found);
        Some(found as u32)
    }
}

/// Halves of lines that are as short as what a text is cut into before anything merges.
struct HalfCharacters {
    tokens: Characters,
    seen: Characters,
    /// A half that ends early: strings end at a NUL.
    cut: bool,
}

impl HalfCharacters {
    fn of(data: &[u8], spans: &[Span]) -> Self {
        let mut tokens = Characters::new();
        for &Span { start, len } in spans.iter().filter(|span| span.len <= 4) {
            tokens.note(&data[start as usize..(start + len) as usize]);
        }
        Self { tokens, seen: Characters::new(), cut: false }
    }

    #[inline]
    fn note(&mut self, half: &[u8]) {
        self.cut |= half.iter().take(5).any(|&byte| byte == 0);
        if half.len() <= 4 {
            self.seen.note(half);
        }
    }

    /// Whether some half is no token.
    fn loose(&self) -> bool {
        let Self { tokens, seen, cut } = self;
        *cut || seen.bits.iter().zip(&tokens.bits).any(|(half, token)| half & !token != 0)
            || seen.others.difference(&tokens.others).next().is_some()
    }
}

/// A set of texts of one character, or of what stands in place of one.
struct Characters {
    /// By code point, up to U+FFFF.
    bits: Vec<u64>,
    others: std::collections::HashSet<(usize, [u8; 4])>,
}

impl Characters {
    fn new() -> Self {
        Self { bits: vec![0; (1 << 16) / 64], others: std::collections::HashSet::new() }
    }

    #[inline]
    fn note(&mut self, text: &[u8]) {
        let continued = |byte: u8| byte & 0xC0 == 0x80;
        let point = match *text {
            [a @ 0..0x80] => u32::from(a),
            [a @ 0xC2..0xE0, b] if continued(b) => u32::from(a & 0x1F) << 6 | u32::from(b & 0x3F),
            // Forms longer than need be would meet others.
            [a @ 0xE0..0xF0, b, c] if continued(b) && continued(c) && (a > 0xE0 || b >= 0xA0) => {
                u32::from(a & 0xF) << 12 | u32::from(b & 0x3F) << 6 | u32::from(c & 0x3F)
            }
            [a, ..] if crate::unicode::utf8_len(a) >= text.len() => {
                let mut bytes = [0; 4];
                bytes[..text.len()].copy_from_slice(text);
                self.others.insert((text.len(), bytes));
                return;
            }
            _ => return,
        };
        self.bits[point as usize / 64] |= 1 << (point % 64);
    }
}
