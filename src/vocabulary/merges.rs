//! From the lines of a merges list to the merge table, on two threads where the list is long.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{Scope, ScopedJoinHandle};

use super::pairs::{Entry, Pairs, Place, Rank};
use super::texts::{Query, Texts, find_byte};

/// A list of merges as a file holds it: in each line two texts of tokens. Line `i` is the merge of rank `i`.
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
    texts: Texts<'f>,
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
            let mut lines = work.lines.read(&work.texts, lines, |entries| enter(&mut pairs, entries));
            put_off.append(&mut lines);
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
                let mut lines =
                    work.lines.read(&work.texts, lines, |entries| batch.extend_from_slice(entries));
                put_off.append(&mut lines);
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
        let lines = Lines { data: list.data, place };
        Self { lines, texts: (list.texts)(), chunks, next: AtomicUsize::new(0) }
    }

    /// The lines of the next chunk that nobody has taken.
    fn take(&self) -> Option<impl Iterator<Item = (u32, Line)> + use<L>> {
        let (rank, lines) = self.chunks.get(self.next.fetch_add(1, Ordering::Relaxed))?.clone();
        Some((rank..).zip(lines.take(CHUNK)))
    }
}

impl<L: Clone, T: Clone> Clone for MergesList<'_, L, T> {
    fn clone(&self) -> Self {
        Self { data: self.data, lines: self.lines.clone(), texts: self.texts.clone() }
    }
}

/// Where lines are, and where the entries go that they make.
struct Lines<'f> {
    data: &'f [u8],
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
    /// of two texts.
    fn read(
        &self,
        texts: &Texts<'_>,
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
                match self.ask(texts, line.clone()) {
                    Some((left, right)) => {
                        seen |= texts.look(&left) | texts.look(&right);
                        asked.push(Asked { rank, left, right });
                    }
                    None => put_off.push((rank, line.0)),
                }
            }
            if taken == 0 {
                return put_off;
            }
            for Asked { left, right, .. } in &asked {
                seen |= texts.look_further(left) | texts.look_further(right);
            }
            std::hint::black_box(seen);
            for Asked { rank, left, right } in asked.drain(..) {
                match self.find(texts, &left, &right, &mut guess) {
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
    fn ask(&self, texts: &Texts<'_>, (line, middle): Line) -> Option<(Query, Query)> {
        let (left, right) = match middle {
            Some(middle) => (line.start..middle, middle..line.end),
            None => {
                let space = find_byte(self.data, line.start + 1, line.end, b' ')?;
                (line.start..space, space + 1..line.end)
            }
        };
        let query = |text: Range<usize>| texts.query(self.data, text.start, text.len());
        Some((query(left)?, query(right)?))
    }

    /// The left, the right and the merged token of a line.
    #[inline]
    fn find(&self, texts: &Texts<'_>, left: &Query, right: &Query, guess: &mut u32) -> Option<[u32; 3]> {
        // Lists are mostly in the order of the tokens they make, several lines to a token.
        let is = |id| texts.is(id, self.data, left, right);
        *guess = match *guess {
            id if is(id) => id,
            id if is(id + 1) => id + 1,
            _ => self.find_merged(texts, left, right)?,
        };
        Some([texts.find(self.data, left)?, texts.find(self.data, right)?, *guess])
    }

    fn find_merged(&self, texts: &Texts<'_>, left: &Query, right: &Query) -> Option<u32> {
        let text = |query: &Query| self.data.get(query.start..query.start + query.len as usize);
        let joined = [text(left)?, text(right)?].concat();
        texts.find(&joined, &texts.query(&joined, 0, joined.len())?)
    }
}
