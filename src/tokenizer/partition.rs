//! Cutting a text at the special tokens that stand in it, as llama.cpp does (`tokenizer_st_partition`).
//!
//! The rule is neither leftmost nor leftmost-longest: the token with the longest text takes all its occurrences in the whole
//! text first, then the next one takes what it finds in the fragments that are left, and so on; tokens of equal length go by
//! id (llama.cpp's order among them is that of an unstable sort; it shows only where two such texts overlap).

use std::ops::Range;

use super::specials::Specials;
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
    mut each: impl FnMut(Fragment) -> Result<(), E>,
) -> Result<(), E> {
    if text.is_empty() {
        return Ok(());
    }
    let counts =
        |id: u32| parse || vocabulary.attributes(id) & (attribute::CONTROL | attribute::UNKNOWN) == 0;

    let limit = 64 + text.len() / 4;
    let mut occurrences: Vec<Occurrence> = Vec::new();
    let mut strips = false;
    specials.scan(text, |start, end, id| {
        if counts(id) {
            strips |= vocabulary.attributes(id) & STRIPS != 0;
            occurrences.push(Occurrence { start, end, id });
        }
        occurrences.len() <= limit && !strips
    });
    if occurrences.is_empty() {
        return each(Fragment::Raw(0..text.len()));
    }
    if strips || occurrences.len() > limit {
        return one_token_at_a_time(specials, vocabulary, text, &counts).into_iter().try_for_each(each);
    }

    // Occurrences arrive by start. Those that overlap form a cluster; what happens in one cluster cannot touch another.
    let mut at = 0;
    let mut claims = Vec::new();
    let mut rest = &mut occurrences[..];
    while let Some(first) = rest.first() {
        let mut end = first.end;
        let mut len = 1;
        while let Some(next) = rest.get(len).filter(|next| next.start < end) {
            end = end.max(next.end);
            len += 1;
        }
        let (cluster, others) = rest.split_at_mut(len);
        claim(cluster, &mut claims);
        for claim in claims.drain(..) {
            if at < claim.start {
                each(Fragment::Raw(at..claim.start))?;
            }
            each(Fragment::Token(claim.id, claim.start..claim.end))?;
            at = claim.end;
        }
        rest = others;
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

/// Lets the occurrences of one cluster take their places, longest first; `claims` receives the winners by start.
fn claim(cluster: &mut [Occurrence], claims: &mut Vec<Occurrence>) {
    if let [only] = cluster {
        claims.push(*only);
        return;
    }
    cluster.sort_unstable_by_key(|o| (std::cmp::Reverse(o.end - o.start), o.id, o.start));
    for occurrence in cluster {
        let place = claims.partition_point(|claim| claim.start < occurrence.start);
        let free_before = place == 0 || claims[place - 1].end <= occurrence.start;
        let free_after = claims.get(place).is_none_or(|claim| occurrence.end <= claim.start);
        if free_before && free_after {
            claims.insert(place, *occurrence);
        }
    }
}

/// The rule as it is written, one pass over all fragments a token: for tokens that strip white space beside them (then what is
/// "beside" depends on the passes before), and for texts made of overlapping tokens.
fn one_token_at_a_time(
    specials: &Specials,
    vocabulary: &Vocabulary,
    text: &[u8],
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

    let mut fragments = vec![Fragment::Raw(0..text.len())];
    for (id, token) in order {
        let finder = memchr::memmem::Finder::new(token);
        let attributes = vocabulary.attributes(id);
        let mut next = Vec::with_capacity(fragments.len() + 2);
        for fragment in fragments {
            let Fragment::Raw(Range { mut start, end }) = fragment else {
                next.push(fragment);
                continue;
            };
            while let Some(found) = finder.find(&text[start..end]) {
                let (at, after) = (start + found, start + found + token.len());
                let mut left = at;
                if attributes & attribute::LSTRIP != 0 {
                    left = start
                        + text[start..at].iter().rposition(|&b| !is_space(b)).map_or(0, |last| last + 1);
                }
                if start < left {
                    next.push(Fragment::Raw(start..left));
                }
                next.push(Fragment::Token(id, at..after));
                start = after;
                if attributes & attribute::RSTRIP != 0 {
                    start += text[after..end].iter().take_while(|&&b| is_space(b)).count();
                }
            }
            if start < end {
                next.push(Fragment::Raw(start..end));
            }
        }
        fragments = next;
    }
    fragments
}

/// C's `isspace` in the "C" locale.
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

const STRIPS: u16 = attribute::LSTRIP | attribute::RSTRIP;
