//! SentencePiece's `precompiled_charsmap`: which sequences of characters are replaced by what, before a text is cut.
//!
//! The map is an XOR-compressed double array over the bytes of the sequences (Darts-clone's units) and a pool of replacements,
//! each ended by a zero byte. Both come from a file and are followed with care, on every step: to check all of a map beforehand
//! would cost more than most texts.

use super::table::Table;

/// A map as the file has it.
#[derive(Debug, Default)]
pub(crate) struct Charsmap {
    pub(crate) units: Table<u32>,
    pub(crate) pool: Table<u8>,
}

/// Why bytes are no map, or where a map leads astray.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CharsmapError {
    /// The length in front is missing, or no replacements follow the array.
    #[error(
        "expected a precompiled charsmap of a length, an array of that many bytes and replacements behind it, found {bytes} bytes \
         whose array ends at byte {end}"
    )]
    Length {
        /// Length of the map in bytes.
        bytes: usize,
        /// Where the array would end.
        end: usize,
    },
    /// A unit leads out of the array.
    #[error("expected a unit of the precompiled charsmap below {units}, found {unit}")]
    Unit {
        /// The unit's number.
        unit: usize,
        /// Number of units.
        units: usize,
    },
    /// A replacement does not begin and end inside the pool.
    #[error(
        "expected a zero-terminated replacement at byte {offset} of the precompiled charsmap's {bytes}, found none"
    )]
    Replacement {
        /// Where it was expected, counted from the first replacement.
        offset: usize,
        /// Length of all replacements.
        bytes: usize,
    },
}

/// A sequence of a text that a map replaces: its length, and what takes its place.
pub(crate) type Match<'m> = (usize, &'m [u8]);

impl Charsmap {
    /// Reads the length of the array (`u32`, little-endian), the array, and the replacements behind it, which may not be empty.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, CharsmapError> {
        let Some((length, rest)) = bytes.split_first_chunk() else {
            return Err(CharsmapError::Length { bytes: bytes.len(), end: 4 });
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length >= rest.len() {
            return Err(CharsmapError::Length { bytes: bytes.len(), end: length.saturating_add(4) });
        }
        let (units, pool) = rest.split_at(length);
        let units: Vec<u32> = units
            .chunks_exact(4)
            .map(|unit| u32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]]))
            .collect();
        Ok(Self { units: units.into(), pool: pool.to_vec().into() })
    }

    /// Whether there is no map: nothing is replaced.
    pub(crate) fn is_empty(&self) -> bool {
        self.pool.is_empty()
    }

    /// The longest sequence that `text` begins with.
    #[inline]
    pub(crate) fn longest(&self, text: &[u8]) -> Result<Option<Match<'_>>, CharsmapError> {
        let mut found = None;
        self.prefixes(text, |len, offset| {
            found = Some((len, offset));
            true
        })?;
        found.map(|(len, offset)| Ok((len, self.replacement(offset)?))).transpose()
    }

    /// The shortest sequence that `text` begins with, which is the one the `tokenizers` crate replaces.
    pub(crate) fn shortest(&self, text: &[u8]) -> Result<Option<Match<'_>>, CharsmapError> {
        let mut found = None;
        self.prefixes(text, |len, offset| {
            found = Some((len, offset));
            false
        })?;
        found.map(|(len, offset)| Ok((len, self.replacement(offset)?))).transpose()
    }

    /// The ASCII characters that stay as they are whichever ASCII character follows them, one bit each.
    ///
    /// Most of an English text consists of these, and needs no walk.
    pub(crate) fn plain_ascii(&self) -> [u64; 2] {
        let mut plain = [0; 2];
        for byte in 0..128u8 {
            let mut stays = true;
            for next in 1..128 {
                let mut ends = false;
                let depth = self.prefixes(&[byte, next], |_, _| {
                    ends = true;
                    true
                });
                stays &= !ends && matches!(depth, Ok(0 | 1));
            }
            if stays {
                plain[usize::from(byte >> 6)] |= 1 << (byte & 63);
            }
        }
        plain
    }

    /// Walks down the array along `text`, as long as a sequence goes that way, and calls `found(len, offset of the replacement)`
    /// for each that ends, until it gives `false`.
    #[inline]
    fn prefixes(
        &self,
        text: &[u8],
        mut found: impl FnMut(usize, usize) -> bool,
    ) -> Result<usize, CharsmapError> {
        if self.is_empty() {
            return Ok(0);
        }
        let units: &[u32] = &self.units;
        let at =
            |unit: usize| units.get(unit).copied().ok_or(CharsmapError::Unit { unit, units: units.len() });
        let base = |unit: u32| ((unit >> 10) << ((unit & 0x200) >> 6)) as usize;
        let mut node = base(at(0)?);
        for (i, &byte) in text.iter().enumerate() {
            // The zero byte is what a replacement's own unit hangs on; no sequence has one.
            if byte == 0 {
                return Ok(i);
            }
            node ^= usize::from(byte);
            let unit = at(node)?;
            if unit & 0x8000_00FF != u32::from(byte) {
                return Ok(i);
            }
            node ^= base(unit);
            if unit & 0x100 != 0 && !found(i + 1, (at(node)? & 0x7FFF_FFFF) as usize) {
                return Ok(i + 1);
            }
        }
        Ok(text.len())
    }

    fn replacement(&self, offset: usize) -> Result<&[u8], CharsmapError> {
        let rest = self.pool.get(offset..).unwrap_or_default();
        let end =
            memchr::memchr(0, rest).ok_or(CharsmapError::Replacement { offset, bytes: self.pool.len() })?;
        Ok(&rest[..end])
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A map that replaces `a` by `x`, `ab` by nothing, `é` by `e ` and `e` with an accent by `E`, its array laid out by hand.
    pub(crate) fn map() -> Vec<u8> {
        const LEAF: u32 = 1 << 8;
        let unit = |base: u32, label: u8| base << 10 | u32::from(label);
        let value = |offset: u32| 1 << 31 | offset;
        let mut units = vec![0u32; 1024];
        units[0] = unit(0x100, 0);
        units[0x100 ^ 0x61] = unit(0x200 ^ 0x100 ^ 0x61, b'a') | LEAF;
        units[0x200] = value(0);
        units[0x200 ^ 0x62] = unit(0x300 ^ 0x200 ^ 0x62, b'b') | LEAF;
        units[0x300] = value(1);
        units[0x100 ^ 0xC3] = unit(0x201 ^ 0x100 ^ 0xC3, 0xC3);
        units[0x201 ^ 0xA9] = unit(0x301 ^ 0x201 ^ 0xA9, 0xA9) | LEAF;
        units[0x301] = value(3);
        units[0x100 ^ 0x65] = unit(0x202 ^ 0x100 ^ 0x65, b'e');
        units[0x202 ^ 0xCC] = unit(0x204 ^ 0x202 ^ 0xCC, 0xCC);
        units[0x204 ^ 0x81] = unit(0x302 ^ 0x204 ^ 0x81, 0x81) | LEAF;
        units[0x302] = value(6);
        let mut bytes = 4096u32.to_le_bytes().to_vec();
        bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        bytes.extend(b"x\0\0e \0E\0");
        bytes
    }

    #[test]
    fn the_longest_and_the_shortest_sequence() {
        let map = Charsmap::parse(&map()).unwrap();
        assert_eq!(map.longest(b"abc"), Ok(Some((2, &b""[..]))));
        assert_eq!(map.shortest(b"abc"), Ok(Some((1, &b"x"[..]))));
        assert_eq!(map.longest("é".as_bytes()), Ok(Some((2, &b"e "[..]))));
        assert_eq!(map.longest("è".as_bytes()), Ok(None));
        assert_eq!(map.longest(b"\0a"), Ok(None));
        assert_eq!(map.longest(b""), Ok(None));
        let [low, high] = map.plain_ascii();
        assert_eq!((low, !high), (u64::MAX, 1 << (b'a' & 63)));
    }

    #[test]
    fn a_map_needs_a_pool() {
        let bytes = map();
        assert!(Charsmap::parse(&[]).is_err());
        assert!(Charsmap::parse(&bytes[..3]).is_err());
        assert!(Charsmap::parse(&bytes[..4100]).is_err());
        assert!(Charsmap::parse(&bytes[..4101]).is_ok());
    }

    #[test]
    fn a_damaged_map_is_an_error_and_never_a_panic() {
        let bytes = map();
        // The pool cut before the zero of the last replacement.
        let cut = Charsmap::parse(&bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(
            cut.longest("e\u{301}".as_bytes()),
            Err(CharsmapError::Replacement { offset: 6, bytes: 7 })
        );
        // An array of one unit that leads elsewhere.
        let mut short = 4u32.to_le_bytes().to_vec();
        short.extend(&bytes[4..8]);
        short.extend(b"x\0");
        let short = Charsmap::parse(&short).unwrap();
        assert_eq!(short.longest(b"a"), Err(CharsmapError::Unit { unit: 0x100 ^ 0x61, units: 1 }));
        assert_eq!(short.plain_ascii(), [1, 0]);
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xFF] {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                if let Ok(map) = Charsmap::parse(&bytes) {
                    let _ = (map.longest("aé".as_bytes()), map.longest(b"ab"), map.longest("é".as_bytes()));
                }
            }
        }
    }
}
