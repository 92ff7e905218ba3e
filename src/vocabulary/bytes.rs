//! What tables and readers do with a few bytes.

/// The character that stands for a space in the vocabularies of SentencePiece: `▁`.
pub(crate) const SPACE: &[u8] = "\u{2581}".as_bytes();

/// Appends `text` with each `▁` as a space, and says whether there was one.
pub(crate) fn append_unescaped(text: &[u8], out: &mut Vec<u8>) -> bool {
    let mut rest = text;
    let mut spaces = false;
    // Most texts are a few bytes long, where setting up a search for all three would cost more than it finds.
    while let Some(at) = find_byte(rest, 0, rest.len(), SPACE[0]) {
        let (before, from) = rest.split_at(at);
        out.extend_from_slice(before);
        let after = from.strip_prefix(SPACE);
        out.push(if after.is_some() { b' ' } else { from[0] });
        spaces |= after.is_some();
        rest = after.unwrap_or(&from[1..]);
    }
    out.extend_from_slice(rest);
    spaces
}

/// The eight bytes from `at` on, the first one lowest; zeros behind the end.
#[inline]
pub(crate) fn load(data: &[u8], at: usize) -> u64 {
    let rest = data.get(at..).unwrap_or_default();
    if let Some(&bytes) = rest.first_chunk() {
        return u64::from_le_bytes(bytes);
    }
    // Of fewer bytes by parts that overlap.
    let len = rest.len();
    match (rest.first_chunk(), rest.last_chunk()) {
        (Some(&first), Some(&last)) => {
            let (first, last) = (u32::from_le_bytes(first), u32::from_le_bytes(last));
            u64::from(first) | u64::from(last) << (8 * (len - 4))
        }
        _ if len == 0 => 0,
        _ => [0, len / 2, len - 1].iter().fold(0, |word, &at| word | u64::from(rest[at]) << (8 * at)),
    }
}

/// Where the first `byte` of `data[start..end]` is.
#[inline]
pub(crate) fn find_byte(data: &[u8], start: usize, end: usize, byte: u8) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    let mut at = start;
    while at < end {
        // Bytes that are zero after this were `byte`; the lowest mark is never a false one.
        let zeros = load(data, at) ^ (ONES * u64::from(byte));
        let marks = zeros.wrapping_sub(ONES) & !zeros & (ONES << 7);
        if marks != 0 {
            let found = at + marks.trailing_zeros() as usize / 8;
            return (found < end).then_some(found);
        }
        at += 8;
    }
    None
}

/// The folded product of two numbers.
#[inline]
pub(super) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// The folded product with a number that nobody knows, so that no file can be crafted to make its texts or merges collide.
#[inline]
pub(super) fn scramble(key: u64, multiplier: u64) -> u32 {
    fold(key ^ multiplier.rotate_left(32), multiplier) as u32
}

/// A hash of 32 bits, scaled to a table of `len` slots.
#[inline]
pub(super) fn scale(hash: u32, len: usize) -> usize {
    ((u64::from(hash) * len as u64) >> 32) as usize
}

/// The slot behind `at` in a table of `len`, the first one behind the last.
#[inline]
pub(super) fn next(at: usize, len: usize) -> usize {
    if at + 1 == len { 0 } else { at + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_byte_is_found() {
        for len in 0..30 {
            for at in 0..len {
                let mut line = vec![b'!'; len];
                line[at] = b' ';
                line[len - 1] = b' ';
                for end in 0..=len {
                    for start in 0..=end {
                        let slow =
                            line[start..end].iter().position(|&byte| byte == b' ').map(|at| start + at);
                        assert_eq!(find_byte(&line, start, end, b' '), slow, "{line:?}[{start}..{end}]");
                    }
                }
            }
        }
    }
}
