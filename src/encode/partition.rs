//! Cutting a text at the special tokens that stand in it, as llama.cpp does (`tokenizer_st_partition`).
//!
//! The rule is neither leftmost nor leftmost-longest: the token with the longest text takes all its occurrences in the whole
//! text first, then the next one takes what it finds in the fragments that are left, and so on; tokens of equal length go by
//! id (llama.cpp's order among them is that of an unstable sort; it shows only where two such texts overlap).

use std::ops::Range;

use crate::encode::literal::Literal;
use crate::encode::special_tokens::Specials;
use crate::vocabulary::{Vocabulary, attribute};

/// A part of the text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fragment {
    /// Ordinary text: `[start, end)` in bytes, not empty.
    Raw(Range<usize>),
    /// A special token, and where its text stands.
    Token(u32, Range<usize>),
}

/// Cuts `text` at its special tokens and calls `each` with the parts, in order. Without `parse`, only tokens that are user-defined and neither control nor unknown
/// count.
///
/// One scan when nothing is found. Otherwise linear in the text but for places where special tokens overlap each other.
pub(crate) fn partition<E>(
    specials: &Specials,
    vocabulary: &Vocabulary,
    text: &[u8],
    parse: bool,
    literal: Literal<'_>,
    mut each: impl FnMut(Fragment) -> Result<(), E>,
) -> Result<(), E> {
    if text.is_empty() {
        return Ok(());
    }
    let counts =
        |id: u32| parse || vocabulary.attributes(id) & (attribute::CONTROL | attribute::UNKNOWN) == 0;

    let mut clusters = Clusters::new(text, literal);
    let mut strips = false;
    let mut at = 0;
    while let Some(start) = specials.next_start(text, at) {
        let long = text.get(start..start + LONG_RUN).filter(|run| run.iter().all(|&byte| byte == run[0]));
        let begins = start >= clusters.end && (start == 0 || text[start - 1] != text[start]);
        if let Some(runs) = long.filter(|_| begins).and_then(|run| specials.runs_of(run[0])) {
            let counted: Vec<_> = runs.into_iter().filter(|&(_, id)| counts(id)).collect();
            let len = text[start..].iter().take_while(|&&byte| byte == text[start]).count();
            let strip = counted.iter().any(|&(_, id)| vocabulary.attributes(id) & STRIPS != 0);
            if !strip && !literal.touches(&(start..start + len)) {
                clusters.run(start..start + len, &counted);
                at = start + len;
                continue;
            }
        }
        specials.walk(&text[start..], |ordinal, len| {
            let (id, _) = specials.entry(ordinal);
            if counts(id) && !literal.forbids(id, &(start..start + len)) {
                strips |= vocabulary.attributes(id) & STRIPS != 0;
                clusters.push(Occurrence { start, end: start + len, id });
            }
        });
        if strips {
            break;
        }
        at = start + 1;
    }
    if strips {
        // Then what is beside a token depends on the passes before.
        return one_token_at_a_time(specials, vocabulary, text, literal, &counts)
            .into_iter()
            .try_for_each(each);
    }
    let mut at = 0;
    for claim in clusters.finish() {
        if at < claim.start {
            each(Fragment::Raw(at..claim.start))?;
        }
        each(Fragment::Token(claim.id, claim.start..claim.end))?;
        at = claim.end;
    }
    if at < text.len() {
        each(Fragment::Raw(at..text.len()))?;
    }
    Ok(())
}

#[derive(Clone, Copy, Debug)]
struct Occurrence {
    start: usize,
    end: usize,
    id: u32,
}

/// Occurrences, by start. Those that overlap form a cluster; what happens in one cluster cannot touch another.
struct Clusters<'t> {
    text: &'t [u8],
    literal: Literal<'t>,
    /// Those of the cluster at hand; where they are many, at least the first of each token.
    occurrences: Vec<Occurrence>,
    /// Where the cluster begins and ends.
    start: usize,
    end: usize,
    /// At so many occurrences all but the first of each token are let go.
    limit: usize,
    /// The winners, by start.
    claims: Vec<Occurrence>,
}

impl<'t> Clusters<'t> {
    fn new(text: &'t [u8], literal: Literal<'t>) -> Self {
        Self { text, literal, occurrences: Vec::new(), start: 0, end: 0, limit: MANY, claims: Vec::new() }
    }

    fn push(&mut self, occurrence: Occurrence) {
        if occurrence.start >= self.end {
            self.end_cluster();
            self.start = occurrence.start;
        }
        self.end = self.end.max(occurrence.end);
        self.occurrences.push(occurrence);
        if self.occurrences.len() >= self.limit {
            self.occurrences.sort_by_key(|occurrence| occurrence.id);
            self.occurrences.dedup_by_key(|occurrence| occurrence.id);
            self.limit = MANY + 2 * self.occurrences.len();
        }
    }

    /// A run of one byte, in which nothing but shorter runs of it begins, given by length, the longest first. Nothing else reaches
    /// into it: so each takes what the longer ones leave, from the left.
    fn run(&mut self, run: Range<usize>, tokens: &[(usize, u32)]) {
        self.end_cluster();
        let mut start = run.start;
        for &(len, id) in tokens {
            while start + len <= run.end {
                self.claims.push(Occurrence { start, end: start + len, id });
                start += len;
            }
        }
        (self.start, self.end) = (run.end, run.end);
    }

    fn finish(mut self) -> Vec<Occurrence> {
        self.end_cluster();
        self.claims
    }

    fn end_cluster(&mut self) {
        let Self { text, literal, ref mut occurrences, start, end, limit, ref mut claims } = *self;
        // The longest there can be: all others overlap it. So it is in a run of spaces, whose parts are tokens too.
        if let Some(whole) = occurrences.iter().find(|o| (o.start, o.end) == (start, end)) {
            claims.push(*whole);
        } else if limit == MANY {
            claim(occurrences, claims);
        } else {
            occurrences.sort_unstable_by_key(|o| (std::cmp::Reverse(o.end - o.start), o.id));
            let mut fragments = vec![Fragment::Raw(start..end)];
            for occurrence in &*occurrences {
                let token = &text[occurrence.start..occurrence.end];
                fragments = claim_all(text, literal, occurrence.id, token, 0, fragments);
            }
            claims.extend(fragments.into_iter().filter_map(|fragment| match fragment {
                Fragment::Token(id, span) => Some(Occurrence { start: span.start, end: span.end, id }),
                Fragment::Raw(_) => None,
            }));
        }
        occurrences.clear();
        self.limit = MANY;
    }
}

/// A run of so many equal bytes is looked at as one.
const LONG_RUN: usize = 64;

/// More overlapping occurrences are not sorted, but taken token by token.
const MANY: usize = 128;

/// Lets the occurrences of one cluster take their places, longest first; `claims` receives the winners by start.
fn claim(cluster: &mut [Occurrence], claims: &mut Vec<Occurrence>) {
    cluster.sort_unstable_by_key(|o| (std::cmp::Reverse(o.end - o.start), o.id, o.start));
    let before = claims.len();
    for occurrence in cluster {
        let place = before + claims[before..].partition_point(|claim| claim.start < occurrence.start);
        let free_before = place == before || claims[place - 1].end <= occurrence.start;
        let free_after = claims.get(place).is_none_or(|claim| occurrence.end <= claim.start);
        if free_before && free_after {
            claims.insert(place, *occurrence);
        }
    }
}

/// The rule as it is written, one pass over all fragments a token: for tokens that strip white space beside them.
fn one_token_at_a_time(
    specials: &Specials,
    vocabulary: &Vocabulary,
    text: &[u8],
    literal: Literal<'_>,
    counts: &impl Fn(u32) -> bool,
) -> Vec<Fragment> {
    let mut present = vec![false; specials.len()];
    specials.scan_ordinals(text, |ordinal| present[ordinal] = true);
    let mut order: Vec<(u32, &[u8])> = (0..specials.len())
        .filter(|&i| present[i])
        .map(|i| specials.entry(i))
        .filter(|&(id, _)| counts(id))
        .collect();
    order.sort_unstable_by_key(|&(id, token)| (std::cmp::Reverse(token.len()), id));

    let whole = vec![Fragment::Raw(0..text.len())];
    order.into_iter().fold(whole, |fragments, (id, token)| {
        claim_all(text, literal, id, token, vocabulary.attributes(id), fragments)
    })
}

/// Lets `token` take all its places in what is left of `text`.
fn claim_all(
    text: &[u8],
    literal: Literal<'_>,
    id: u32,
    token: &[u8],
    attributes: u16,
    fragments: Vec<Fragment>,
) -> Vec<Fragment> {
    let finder = memchr::memmem::Finder::new(token);
    let mut next = Vec::with_capacity(fragments.len() + 2);
    for fragment in fragments {
        let Fragment::Raw(Range { mut start, end }) = fragment else {
            next.push(fragment);
            continue;
        };
        let mut from = start;
        while let Some(found) = finder.find(&text[from..end]) {
            let (at, after) = (from + found, from + found + token.len());
            if literal.forbids(id, &(at..after)) {
                from = at + 1;
                continue;
            }
            let mut left = at;
            if attributes & attribute::LSTRIP != 0 {
                left = start + text[start..at].iter().rposition(|&b| !is_space(b)).map_or(0, |last| last + 1);
            }
            if start < left {
                next.push(Fragment::Raw(start..left));
            }
            next.push(Fragment::Token(id, at..after));
            start = after;
            if attributes & attribute::RSTRIP != 0 {
                start += text[after..end].iter().take_while(|&&b| is_space(b)).count();
            }
            from = start;
        }
        if start < end {
            next.push(Fragment::Raw(start..end));
        }
    }
    next
}

/// C's `isspace` in the "C" locale.
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

const STRIPS: u16 = attribute::LSTRIP | attribute::RSTRIP;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vocabulary::{Alphabet, Builder, NONE};

    proptest! {
        #[test]
        fn clusters_claim_as_one_token_after_the_other_does(
            tokens in prop_oneof![
                proptest::collection::btree_set("[ab]{1,7}|a{8,40}", 1..12),
                // Runs, and nothing else that begins as they do.
                proptest::collection::btree_set("a{1,20}|b[ab]{0,3}", 1..12),
            ],
            parts in proptest::collection::vec(prop_oneof!["[ab ]{0,12}", "a{20,300}", "(ab){20,100}"], 0..6),
        ) {
            let mut builder = Builder::new(Alphabet::Text, tokens.len(), 1 << 16).unwrap();
            for token in &tokens {
                builder.push(token.as_bytes(), attribute::USER_DEFINED).unwrap();
            }
            let vocabulary = builder.finish(&[NONE; 256]).unwrap();
            let specials = Specials::new((0..).zip(&tokens).map(|(id, token)| (id, token.as_bytes().into())));
            let text = parts.concat();
            let mut expected = Vec::new();
            if !text.is_empty() {
                expected = one_token_at_a_time(&specials, &vocabulary, text.as_bytes(), Literal::default(), &|_| true);
            }
            let mut found = Vec::new();
            let each = |fragment| {
                found.push(fragment);
                Ok::<_, std::convert::Infallible>(())
            };
            partition(&specials, &vocabulary, text.as_bytes(), true, Literal::default(), each).unwrap();
            prop_assert_eq!(found, expected);
        }
    }
}
