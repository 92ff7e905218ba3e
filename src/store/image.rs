//! A tokenizer as one flat file that is used as it is once it has been read.
//!
//! A header, a list of sections, the sections: the vocabulary's tables as they lie in memory, and one in JSON that holds what is
//! no table. All offsets are multiples of [`ALIGNMENT`], so that a table can be viewed in place; numbers are in the order of the
//! machine that wrote them, and a machine of the other order refuses the file.
//!
//! # What is trusted
//!
//! Nothing, where it matters: every lookup in a table checks its bounds and every walk through one ends, whatever the bytes are,
//! so a damaged image can give wrong ids but cannot panic, hang or read elsewhere. That it does not give wrong ids either is
//! what verifying is for: a checksum over every byte, then a look at every entry. [`Trust::Nothing`] always does that;
//! [`Trust::Content`] is for a file that was verified before and has not been written to since, and leaves out what would take
//! time in proportion to the file. Images up to [`SMALL`] are verified in any case.

use std::io::{self, Write};

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

use crate::encode::special_tokens::Specials;
use crate::mmap::Bytes;
use crate::model::live::compiled;
use crate::semantics::Recipe;
use crate::tokenizer::Tokenizer;
use crate::vocabulary::{Alphabet, CompiledMerges, Neighbours, PairTable, Table, Vocabulary};

/// Applies `$each!(name, table)` to every table of an image: the one list that writing and reading follow. A table that is
/// added here is stored, and an image without it is refused.
macro_rules! for_each_table {
    ($each:ident, $vocabulary:expr) => {{
        $each!("arena", $vocabulary.arena);
        $each!("keys", $vocabulary.keys);
        $each!("attributes", $vocabulary.attributes);
        $each!("pieces", $vocabulary.pieces);
        $each!("scores", $vocabulary.scores);
        $each!("wide scores", $vocabulary.wide_scores);
        $each!("index", $vocabulary.index.slots);
        $each!("bytes", $vocabulary.bytes);
        $each!("byte symbols", $vocabulary.byte_symbols);
        $each!("trie", $vocabulary.trie.nodes);
        $each!("prefixes", $vocabulary.prefixes.nodes);
        $each!("charsmap units", $vocabulary.charsmap.units);
        $each!("charsmap pool", $vocabulary.charsmap.pool);
    }};
}

/// What is stored beside the tables.
#[derive(Serialize, Deserialize)]
struct Head {
    alphabet: Alphabet,
    len: u32,
    seed: u64,
    multiplier: u64,
    bridges: [u64; 4],
    recipe: Recipe,
}

/// How much of an image is to be believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trust {
    /// Verify everything.
    Nothing,
    /// The content: it was verified, and nobody has written to the file since.
    Content,
}

/// Why bytes are not an image that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The file is not there, or may not be read.
    #[error("expected an image that can be read: {reason}")]
    Unreadable {
        /// What the operating system said.
        reason: String,
    },
    /// The bytes do not begin as an image does.
    #[error("expected an image of a tokenizer, found something else")]
    Magic,
    /// Another version of the format, such as a newer release of this crate writes.
    #[error("expected version {VERSION} of the image format, found {found}")]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// Written on a machine with another byte order.
    #[error("expected an image in the byte order of this machine, found the other one")]
    ByteOrder,
    /// The file is shorter or longer than it was when it was written.
    #[error("expected an image of {expected} bytes, found {found}")]
    Length {
        /// The length that the header notes.
        expected: u64,
        /// The length of the file.
        found: u64,
    },
    /// The content is not what was written.
    #[error("expected an image whose content has the checksum in its header, found other content")]
    Checksum,
    /// A section is missing, lies outside the file or does not have the form of its table.
    #[error("expected the section `{name}` inside the image and in the form of its table, found otherwise")]
    Section {
        /// The section's name.
        name: &'static str,
    },
    /// The part that describes the tables cannot be read.
    #[error("expected a description of the tokenizer, found: {reason}")]
    Head {
        /// What the JSON reader said.
        reason: String,
    },
    /// Tables that do not fit each other.
    #[error("expected {expected}, found otherwise")]
    Table {
        /// What the tables should be.
        expected: &'static str,
    },
}

/// Writes `tokenizer` as an image and gives the image's checksum. `O(bytes)`, in two passes: one for the checksum.
///
/// # Errors
///
/// `out` fails.
pub(crate) fn write(tokenizer: &Tokenizer, out: &mut impl Write) -> io::Result<Checksum> {
    tokenizer.compile();
    let vocabulary = tokenizer.vocabulary();
    let specials = tokenizer.specials();
    let none = PairTable::default();
    let pairs = if vocabulary.merges.is_empty() {
        vocabulary.compiled.pairs().unwrap_or(&none)
    } else {
        compiled(vocabulary)
            .ok_or_else(|| io::Error::other("expected fewer than 2^22 merges of 2^21 symbols"))?
    };
    let head = Head {
        alphabet: vocabulary.alphabet,
        len: vocabulary.len,
        seed: vocabulary.index.seed,
        multiplier: pairs.multiplier,
        bridges: vocabulary.bridges,
        recipe: tokenizer.recipe().clone(),
    };
    let head = serde_json::to_vec(&head)?;
    let mut parts: Vec<(&str, &[u8])> = vec![
        ("head", &head),
        ("pairs", pairs.buckets.as_bytes()),
        ("products", pairs.products.as_bytes()),
        ("ranks", pairs.ranks.as_bytes()),
        ("filter", pairs.filter.as_bytes()),
        ("neighbours", vocabulary.compiled.neighbours().map_or(&[], |bits| bytemuck::cast_slice(bits))),
        ("description", tokenizer.description()),
        ("special ids", specials.ids.as_bytes()),
        ("special offsets", specials.offsets.as_bytes()),
        ("special arena", specials.arena.as_bytes()),
    ];
    macro_rules! add {
        ($name:literal, $table:expr) => {
            parts.push(($name, $table.as_bytes()))
        };
    }
    for_each_table!(add, vocabulary);

    let mut sections = Vec::with_capacity(parts.len());
    let mut end = aligned(size_of::<Header>() + parts.len() * size_of::<Section>());
    for (name, bytes) in &parts {
        sections.push(Section { name: name_bytes(name), start: end as u64, len: bytes.len() as u64 });
        end = aligned(end + bytes.len());
    }
    let mut header = Header {
        magic: MAGIC,
        version: VERSION,
        order: ORDER,
        len: end as u64,
        sections: sections.len() as u64,
        checksum: [0; 32],
    };
    let each = |header: &Header, out: &mut dyn FnMut(&[u8]) -> io::Result<()>| {
        let mut at = 0;
        let begin = [bytemuck::bytes_of(header), bytemuck::cast_slice(&sections)].concat();
        for bytes in std::iter::once(&begin[..]).chain(parts.iter().map(|&(_, bytes)| bytes)) {
            out(bytes)?;
            let padding = aligned(at + bytes.len()) - (at + bytes.len());
            out(&[0; ALIGNMENT][..padding])?;
            at += bytes.len() + padding;
        }
        io::Result::Ok(())
    };
    let mut hasher = blake3::Hasher::new();
    each(&header, &mut |bytes| {
        hasher.update(bytes);
        Ok(())
    })?;
    header.checksum = hasher.finalize().into();
    each(&header, &mut |bytes| out.write_all(bytes))?;
    Ok(header.checksum)
}

/// The tokenizer in `bytes`, which must be aligned as a page is; its tables stay where they are.
///
/// # Errors
///
/// The bytes are not an image of this version and byte order, are damaged, or do not fit together.
pub(crate) fn read(bytes: &Bytes, trust: Trust) -> Result<Tokenizer, ImageError> {
    read_verified(bytes, trust == Trust::Nothing || bytes.len() <= SMALL)
}

pub(super) fn read_verified(bytes: &Bytes, verify: bool) -> Result<Tokenizer, ImageError> {
    let sections = Sections::read(bytes)?;
    if verify && sections.checksum != checksum(bytes) {
        return Err(ImageError::Checksum);
    }
    let head = sections.find("head").ok_or(ImageError::Section { name: "head" })?;
    let head: Head =
        serde_json::from_slice(&head).map_err(|error| ImageError::Head { reason: error.to_string() })?;
    let mut vocabulary =
        Vocabulary { alphabet: head.alphabet, len: head.len, bridges: head.bridges, ..Vocabulary::default() };
    vocabulary.index.seed = head.seed;
    let (buckets, products) = (sections.table("pairs")?, sections.table("products")?);
    let (ranks, filter) = (sections.table("ranks")?, sections.table("filter")?);
    let pairs = PairTable { buckets, products, ranks, filter, multiplier: head.multiplier };
    let neighbours: Table<u64> = sections.table("neighbours")?;
    if !pairs.is_empty() {
        vocabulary.compiled = CompiledMerges::of(pairs, <&Neighbours>::try_from(&*neighbours).ok());
    }
    macro_rules! take {
        ($name:literal, $table:expr) => {
            $table = sections.table($name)?
        };
    }
    for_each_table!(take, vocabulary);
    if let Some(expected) = vocabulary.fault(verify) {
        return Err(ImageError::Table { expected });
    }
    let ids: Table<u32> = sections.table("special ids")?;
    let offsets: Table<u32> = sections.table("special offsets")?;
    let arena: Table<u8> = sections.table("special arena")?;
    let specials = Specials::from_parts(&ids, &offsets, &arena)
        .ok_or(ImageError::Table { expected: "special tokens in the order of their texts" })?;
    let description = sections.table("description")?;
    Ok(Tokenizer::new(vocabulary, specials, head.recipe).with_description(description))
}

/// The checksum that the image in `bytes` notes of itself.
///
/// # Errors
///
/// The bytes are not an image of this version and byte order.
pub(crate) fn noted_checksum(bytes: &Bytes) -> Result<Checksum, ImageError> {
    Sections::read(bytes).map(|sections| sections.checksum)
}

pub(crate) type Checksum = [u8; 32];

/// The version of the format. It changes with the tables and with their meaning.
pub(crate) const VERSION: u32 = 8;

/// Images up to this many bytes are verified at every reading: it takes well under a millisecond.
pub(crate) const SMALL: usize = 1 << 20;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    version: u32,
    /// [`ORDER`] as the writer's machine has it.
    order: u32,
    /// Bytes of the whole file.
    len: u64,
    /// How many [`Section`]s follow.
    sections: u64,
    /// Over the whole file, this field taken as zeros.
    checksum: Checksum,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Section {
    /// Padded with zeros.
    name: [u8; 16],
    start: u64,
    len: u64,
}

struct Sections<'b> {
    bytes: &'b Bytes,
    list: Vec<Section>,
    checksum: Checksum,
}

impl<'b> Sections<'b> {
    fn read(bytes: &'b Bytes) -> Result<Self, ImageError> {
        let header: Header =
            bytes.get(..size_of::<Header>()).map(bytemuck::pod_read_unaligned).ok_or(ImageError::Magic)?;
        if header.magic != MAGIC {
            return Err(ImageError::Magic);
        }
        if header.order == ORDER.swap_bytes() {
            return Err(ImageError::ByteOrder);
        }
        if header.order != ORDER || header.version != VERSION {
            return Err(ImageError::Version { found: header.version });
        }
        if header.len != bytes.len() as u64 {
            return Err(ImageError::Length { expected: header.len, found: bytes.len() as u64 });
        }
        // Bounded by the file before it sizes anything.
        let list = usize::try_from(header.sections)
            .ok()
            .and_then(|count| count.checked_mul(size_of::<Section>()))
            .and_then(|len| bytes[size_of::<Header>()..].get(..len))
            .ok_or(ImageError::Section { name: "head" })?;
        let list = list.chunks_exact(size_of::<Section>()).map(bytemuck::pod_read_unaligned).collect();
        Ok(Self { bytes, list, checksum: header.checksum })
    }

    fn find(&self, name: &str) -> Option<Bytes> {
        let section = self.list.iter().find(|section| section.name == name_bytes(name))?;
        let (start, end) = (section.start, section.start.checked_add(section.len)?);
        self.bytes.slice(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }

    fn table<T: Pod>(&self, name: &'static str) -> Result<Table<T>, ImageError> {
        self.find(name).and_then(Table::mapped).ok_or(ImageError::Section { name })
    }
}

fn checksum(bytes: &[u8]) -> Checksum {
    const FIELD: std::ops::Range<usize> = std::mem::offset_of!(Header, checksum)..size_of::<Header>();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes[..FIELD.start]).update(&[0; 32]).update(&bytes[FIELD.end..]);
    hasher.finalize().into()
}

fn name_bytes(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    bytes
}

fn aligned(len: usize) -> usize {
    len.next_multiple_of(ALIGNMENT)
}

const MAGIC: [u8; 8] = *b"anytok\x1a\n";
const ORDER: u32 = 0x0102_0304;

/// A cache line; no table needs more.
const ALIGNMENT: usize = 64;
