//! From the lines of a merges list to the merge table, on two threads where the list is long.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{Scope, ScopedJoinHandle};

use super::bytes::find_byte;
use super::pairs::{Entry, Pairs, Place, Rank};
use super::texts::{Query, Texts};

/// A list of merges as a file holds it: in each line two texts of tokens. Line `i` is the merge of rank `i`.
#[derive(Clone)]
pub(crate) struct MergesList<'f, L, T> {
    /// Some part of the file.
    pub(crate) data: &'f [u8],
    /// The lines in it.
    pub(crate) lines: L,
    /// Gives the tokens by their ids, as the list writes them.
    pub(crate) texts: T,
}

/// Where a line is, and where its right text begins; `None` where a space, the first one behind the first byte, tells.
pub(crate) type Line = (Range<usize>, Option<usize>);

/// Where a line is, after its rank.
type PutOff = (u32, Range<usize>);

/// A list that is being looked up.
pub(crate) struct Lookup<'scope, 'f, L, T> {
    list: MergesList<'f, L, T>,
    place: Place,
    helper: Option<Helper<'scope, 'f, L>>,
}

/// Another thread, at work on the list from before the vocabulary's tokens are known.
struct Helper<'scope, 'f, L> {
    work: mpsc::Receiver<Arc<Work<'f, L>>>,
    entries: mpsc::Receiver<Vec<Entry>>,
    /// Ends with the lines that are put off.
    thread: ScopedJoinHandle<'scope, Vec<PutOff>>,
}

/// The lines of a list in chunks, for whoever has time for the next one.
struct Work<'f, L> {
    lines: Lines<'f>,
    /// The rank of the first line, and the lines from there on.
    chunks: Vec<(u32, L)>,
    next: AtomicUsize,
}

impl<'scope, 'f: 'scope, L, T> Lookup<'scope, 'f, L, T>
where
    L: ExactSizeIterator<Item = Line> + Clone + Send + Sync + 'scope,
    T: Fn() -> Texts<'f> + Clone + Send + 'scope,
{
    /// Begins to look up a list, on a thread of its own where that is worth it.
    pub(crate) fn begin(scope: &'scope Scope<'scope, '_>, list: MergesList<'f, L, T>) -> Self {
        let place = Place::with_capacity(list.lines.len());
        let worth_it = (20_000..=Pairs::MAX_LEN).contains(&list.lines.len());
        let cores = || std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
        let helper = if worth_it && cores() { Helper::spawn(scope, &list, place) } else { None };
        Self { list, place, helper }
    }

    /// Enters into a new table all merges but those that `refused` says, and gives back the lines that are not two tokens that
    /// make a third, by their ranks. Of the ranks of equal pairs, `replaces` says whether the second is to replace the first.
    ///
    /// All lines of a pair have the same texts, so putting some off leaves none to be replaced by others.
    pub(super) fn finish(
        self,
        refused: impl Fn(&Entry) -> bool,
        replaces: impl Fn(Rank, Rank) -> bool,
    ) -> (Pairs, Vec<PutOff>) {
        let enter = |pairs: &mut Pairs, entries: &[Entry]| pairs.enter_all(entries, &refused, &replaces);
        let mut pairs = Pairs::new(self.place);
        let mut put_off = Vec::new();
        let work = self.helper.as_ref().and_then(|helper| helper.work.recv().ok());
        let work = work.unwrap_or_else(|| Arc::new(Work::new(&self.list, self.place)));
        while let Some(lines) = work.take() {
            put_off.append(&mut work.lines.read(lines, |entries| enter(&mut pairs, entries)));
            for batch in self.helper.iter().flat_map(|helper| helper.entries.try_iter()) {
                enter(&mut pairs, &batch);
            }
        }
        if let Some(Helper { entries, thread, .. }) = self.helper {
            for batch in entries {
                enter(&mut pairs, &batch);
            }
            put_off.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        put_off.sort_unstable_by_key(|&(rank, _)| rank);
        (pairs, put_off)
    }

    /// How many lines there are.
    pub(super) fn len(&self) -> usize {
        self.list.lines.len()
    }
}

impl<'scope, 'f: 'scope, L> Helper<'scope, 'f, L>
where
    L: ExactSizeIterator<Item = Line> + Clone + Send + Sync + 'scope,
{
    /// `None` where no thread is to be had.
    fn spawn<T>(scope: &'scope Scope<'scope, '_>, list: &MergesList<'f, L, T>, place: Place) -> Option<Self>
    where
        T: Fn() -> Texts<'f> + Clone + Send + 'scope,
    {
        let (work_sender, work) = mpsc::channel();
        let (sender, entries) = mpsc::channel();
        let list = list.clone();
        let thread = move || {
            let work = Arc::new(Work::new(&list, place));
            let mut put_off = Vec::new();
            // Sending fails when the receiver has gone, after an error: then nobody needs the rest.
            let mut wanted = work_sender.send(Arc::clone(&work)).is_ok();
            while let Some(lines) = work.take().filter(|_| wanted) {
                let mut batch = Vec::with_capacity(CHUNK);
                put_off.append(&mut work.lines.read(lines, |entries| batch.extend_from_slice(entries)));
                wanted = sender.send(batch).is_ok();
            }
            put_off
        };
        let thread = std::thread::Builder::new().spawn_scoped(scope, thread).ok()?;
        Some(Self { work, entries, thread })
    }
}

/// So many lines that handing over their entries costs nothing beside making them.
const CHUNK: usize = 1 << 12;

impl<'f, L: ExactSizeIterator<Item = Line> + Clone> Work<'f, L> {
    fn new<T: Fn() -> Texts<'f>>(list: &MergesList<'f, L, T>, place: Place) -> Self {
        let mut rest = list.lines.clone();
        let mut chunk = |rank| {
            let lines = rest.clone();
            rest.nth(CHUNK - 1);
            (rank, lines)
        };
        let chunks = (0..list.lines.len() as u32).step_by(CHUNK).map(&mut chunk).collect();
        let lines = Lines { data: list.data, texts: (list.texts)(), place };
        Self { lines, chunks, next: AtomicUsize::new(0) }
    }

    /// The lines of the next chunk that nobody has taken.
    fn take(&self) -> Option<impl Iterator<Item = (u32, Line)> + use<L>> {
        let (rank, lines) = self.chunks.get(self.next.fetch_add(1, Ordering::Relaxed))?.clone();
        Some((rank..).zip(lines.take(CHUNK)))
    }
}

/// Where lines are, what they are looked up in, and where the entries go that they make.
struct Lines<'f> {
    data: &'f [u8],
    texts: Texts<'f>,
    place: Place,
}

/// A line of two texts.
struct Asked {
    rank: u32,
    left: Query,
    right: Query,
}

impl Lines<'_> {
    /// Hands over the entries of `lines`, some at a time and in order; gives back the lines with a text that is no token's, or not
    /// of two self.texts.
    fn read(
        &self,
        mut lines: impl Iterator<Item = (u32, Line)>,
        mut enter: impl FnMut(&[Entry]),
    ) -> Vec<PutOff> {
        // The token that the line before made.
        let mut guess = 0;
        let mut put_off = Vec::new();
        let mut asked = Vec::with_capacity(Pairs::BLOCK);
        let mut found = Vec::with_capacity(Pairs::BLOCK);
        loop {
            let (mut taken, mut seen) = (0, 0);
            for (rank, line) in lines.by_ref().take(Pairs::BLOCK) {
                taken += 1;
                match self.ask(line.clone()) {
                    Some((left, right)) => {
                        seen |= self.texts.look(&left) | self.texts.look(&right);
                        asked.push(Asked { rank, left, right });
                    }
                    None => put_off.push((rank, line.0)),
                }
            }
            if taken == 0 {
                return put_off;
            }
            for Asked { left, right, .. } in &asked {
                seen |= self.texts.look_further(left) | self.texts.look_further(right);
            }
            std::hint::black_box(seen);
            for Asked { rank, left, right } in asked.drain(..) {
                match self.find(&left, &right, &mut guess) {
                    Some(ids) => found.push(self.place.entry(ids, Rank(rank))),
                    None => put_off.push((rank, left.start..right.start + right.len as usize)),
                }
            }
            enter(&found);
            found.clear();
        }
    }

    /// The texts of a line.
    #[inline]
    fn ask(&self, (line, middle): Line) -> Option<(Query, Query)> {
        let (left, right) = if let Some(middle) = middle {
            (line.start..middle, middle..line.end)
        } else {
            let space = find_byte(self.data, line.start + 1, line.end, b' ')?;
            (line.start..space, space + 1..line.end)
        };
        let query = |text: Range<usize>| self.texts.query(self.data, text.start, text.len());
        Some((query(left)?, query(right)?))
    }

    /// The left, the right and the merged token of a line.
    #[inline]
    fn find(&self, left: &Query, right: &Query, guess: &mut u32) -> Option<[u32; 3]> {
        // Lists are mostly in the order of the tokens they make, several lines to a token.
        let is = |id| self.texts.is(id, self.data, left, right);
        *guess = match *guess {
            id if is(id) => id,
            id if is(id + 1) => id + 1,
            _ => self.find_merged(left, right)?,
        };
        Some([self.texts.find(self.data, left)?, self.texts.find(self.data, right)?, *guess])
    }

    fn find_merged(&self, left: &Query, right: &Query) -> Option<u32> {
        let text = |query: &Query| self.data.get(query.start..query.start + query.len as usize);
        let joined = [text(left)?, text(right)?].concat();
        self.texts.find(&joined, &self.texts.query(&joined, 0, joined.len())?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Alphabet, Builder, attribute};
    use super::*;

    /// Tokens of one to three letters, all their merges, some of them again, and some that are of no tokens.
    fn list() -> (Vec<String>, Vec<String>) {
        let letters: Vec<String> = ('a'..='z').map(String::from).collect();
        let longer = |shorter: &[String]| -> Vec<String> {
            shorter.iter().flat_map(|start| letters.iter().map(move |end| format!("{start}{end}"))).collect()
        };
        let two = longer(&letters);
        let three = longer(&two);
        let mut lines: Vec<String> =
            two.iter().map(|text| format!("{} {}", &text[..1], &text[1..])).collect();
        for text in &three {
            lines.push(format!("{} {}", &text[..1], &text[1..]));
            lines.push(format!("{} {}", &text[..2], &text[2..]));
        }
        let again: Vec<String> = lines.iter().rev().step_by(3).cloned().collect();
        lines.extend(again);
        for (at, line) in [(5, "a é"), (9_000, "abc d"), (30_000, "no-space"), (40_000, "x "), (12, "a\0b c")]
        {
            lines.insert(at, line.to_owned());
        }
        ([letters, two, three].concat(), lines)
    }

    #[test]
    fn a_list_on_two_threads_makes_what_its_lines_say() {
        let (tokens, lines) = list();
        assert!(lines.len() > 40_000, "long enough for a second thread");
        let ids: BTreeMap<&str, u32> = tokens.iter().map(String::as_str).zip(0..).collect();
        let (data, texts) = (lines.concat(), tokens.concat());
        let spans = |texts: &[String]| {
            let ends = texts.iter().scan(0, |end, text| {
                Some((*end, {
                    *end += text.len();
                    *end
                }))
            });
            ends.map(|(start, end)| start..end).collect::<Vec<Range<usize>>>()
        };
        let (of_lines, of_texts) = (spans(&lines), spans(&tokens));
        for last_counts in [false, true] {
            let replaces = |old: Rank, new: Rank| if last_counts { new > old } else { new < old };
            let mut expected = BTreeMap::new();
            let mut others = Vec::new();
            for (rank, line) in (0..).zip(&lines) {
                let found = line.split_once(' ').and_then(|(left, right)| {
                    Some([*ids.get(left)?, *ids.get(right)?, *ids.get(&*format!("{left}{right}"))?])
                });
                match found {
                    None => others.push((rank, of_lines[rank as usize].clone())),
                    Some([left, right, merged]) if last_counts => {
                        expected.insert((left, right), (Rank(rank), merged));
                    }
                    Some([left, right, merged]) => {
                        expected.entry((left, right)).or_insert((Rank(rank), merged));
                    }
                }
            }
            let mut builder = Builder::new(Alphabet::Text, tokens.len(), texts.len()).unwrap();
            builder.extend(tokens.iter().map(|text| (text.as_bytes().into(), attribute::NORMAL))).unwrap();
            let list = MergesList {
                data: data.as_bytes(),
                lines: of_lines.iter().map(|line| (line.clone(), None)),
                texts: || Texts::new(texts.as_bytes(), of_texts.iter().cloned()),
            };
            let put_off = std::thread::scope(|scope| builder.merges(Lookup::begin(scope, list), replaces));
            assert_eq!(put_off.unwrap(), others);
            let found: BTreeMap<(u32, u32), (Rank, u32)> = builder
                .pairs()
                .iter()
                .map(|(left, right, rank, merged)| ((left, right), (rank, merged)))
                .collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_lookup_that_is_not_wanted_any_more_ends() {
        let lines = (0..40_000).map(|_| (0..3, None));
        let texts = || Texts::new(b"a", std::iter::once(0..1));
        let list = MergesList { data: b"a b", lines, texts };
        std::thread::scope(|scope| drop(Lookup::begin(scope, list)));
    }
}
