//! The pass over a file's metadata, and access to what it found.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use super::cursor::{ByteOrder, Cursor, Layout};
use super::error::{Found, OpenError, ParseError};
use super::value::{Array, Strings, Type, Value, scalar};
use crate::mmap::{Bytes, Prefix};

/// The metadata of a GGUF file.
///
/// Opening reads the file up to the end of its metadata and makes one pass over it, which records where each value lies;
/// values are decoded when they are asked for and borrow from what was read. That is `O(bytes of metadata)`, tensor data
/// is left aside, and whatever becomes of the file afterwards changes nothing.
///
/// ```
/// use anytok::gguf::{Gguf, GgufBuilder};
///
/// let bytes = GgufBuilder::new()
///     .string("general.architecture", "llama")
///     .strings("tokenizer.ggml.tokens", ["<unk>", "<s>", "</s>"])
///     .u32("tokenizer.ggml.bos_token_id", 1)
///     .finish();
/// let gguf = Gguf::parse(bytes)?;
/// assert_eq!(gguf.string("general.architecture"), Some(&b"llama"[..]));
/// assert_eq!(gguf.u32("tokenizer.ggml.bos_token_id"), Some(1));
/// assert_eq!(gguf.strings("tokenizer.ggml.tokens").map(Iterator::count), Some(3));
/// # Ok::<(), anytok::gguf::ParseError>(())
/// ```
#[derive(Clone)]
pub struct Gguf {
    bytes: Bytes,
    version: u32,
    layout: Layout,
    /// In the order of the file.
    records: Vec<Record>,
    /// Indices into `records` in the order of their keys.
    by_key: Vec<u32>,
    tensor_count: u64,
    /// Where the tensor infos begin, which is where the metadata ends.
    tensors: usize,
}

/// Where a key and its value lie.
#[derive(Clone)]
struct Record {
    start: usize,
    /// The value itself; for an array its elements, after their type and count.
    value: Range<usize>,
    key_len: u32,
    /// Elements of an array, at most 2^30.
    count: u32,
    kind: Type,
    /// Of an array; `kind` again elsewhere.
    element: Type,
}

impl Gguf {
    /// Whether `bytes` begin as a GGUF file does.
    #[must_use]
    pub fn has_magic(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// Reads the metadata of the file at `path`. The name does not matter, only the content does.
    ///
    /// # Errors
    /// The file cannot be opened, is not a regular file, is changed while it is read, or its content is not what
    /// [`Gguf::parse`] accepts; or keys and values take more than 2^30 bytes.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let file = Prefix::open(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        Self::read(path, file)
    }

    pub(crate) fn read(path: &Path, mut file: Prefix) -> Result<Self, OpenError> {
        let unreadable = |source| OpenError::Io { path: path.to_owned(), source };
        let malformed = |source| OpenError::Parse { path: path.to_owned(), source };
        let mut wanted = FIRST_READ;
        let mut pass = Pass::default();
        loop {
            // The rest is read along where little would be left of it.
            let rest = file.len().saturating_sub(wanted as u64).min(wanted as u64 / 4);
            let read = file.read(wanted + rest as usize).map_err(unreadable)?.len();
            match pass.run(file.bytes(), file.len()) {
                Ok(()) => break,
                Err(error) if !error.is_end() || read as u64 == file.len() => return Err(malformed(error)),
                Err(_) if read >= MOST_METADATA => {
                    let expected = "the end of the metadata within 2^30 bytes";
                    return Err(malformed(Cursor::error(read, expected, Found::More)));
                }
                Err(_) => wanted = read.saturating_mul(2).min(MOST_METADATA),
            }
        }
        // Shapes of tensors are asked for one by one; what is wrong among them is for those who ask.
        while pass.tensors_missing(file.bytes()) && (file.bytes().len() as u64) < file.len() {
            let read = file.bytes().len();
            if read > pass.offset + MOST_TENSOR_INFOS {
                break;
            }
            file.read(read.saturating_mul(2)).map_err(unreadable)?;
        }
        let bytes = file.finish().map_err(unreadable)?;
        pass.finish(bytes).map_err(malformed)
    }

    /// Reads the metadata of a file in memory.
    ///
    /// # Errors
    /// - The bytes do not begin with `GGUF`, or the version is not 1, 2 or 3 in either byte order.
    /// - Something runs past the end: a string, an array, a count of either.
    /// - A string is longer than 2^30 bytes, or an array has more elements than that.
    /// - A key is empty or occurs twice.
    /// - A value's type is unknown, or an array's elements are arrays.
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Self, ParseError> {
        let bytes = bytes.into();
        let mut pass = Pass::default();
        pass.run(&bytes, bytes.len() as u64)?;
        pass.finish(bytes)
    }

    /// The version of the format: 1, 2 or 3.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The byte order of the file.
    #[must_use]
    pub fn byte_order(&self) -> ByteOrder {
        self.layout.order
    }

    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Every key with its value, in the order of the file.
    #[must_use]
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> + Clone {
        self.records.iter().map(|record| Entry { gguf: self, record })
    }

    /// The entry under `key`; `O(log n)` in the number of keys.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<Entry<'_>> {
        let found = self.by_key.binary_search_by(|&index| {
            self.records[index as usize].key(&self.bytes, self.layout).cmp(key.as_bytes())
        });
        let record = &self.records[self.by_key[found.ok()?] as usize];
        Some(Entry { gguf: self, record })
    }

    /// The value under `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value<'_>> {
        self.entry(key).map(|entry| entry.value())
    }

    /// The bytes of the string under `key`, exactly as they are. `None` if there is no such key, or no string under it;
    /// so for all the typed getters.
    #[must_use]
    pub fn string(&self, key: &str) -> Option<&[u8]> {
        self.get(key)?.as_bytes()
    }

    /// The string under `key` if it is UTF-8.
    #[must_use]
    pub fn str(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.string(key)?).ok()
    }

    /// The integer under `key`, of whichever integer type, if it fits.
    #[must_use]
    pub fn u32(&self, key: &str) -> Option<u32> {
        self.get(key)?.as_integer()?.try_into().ok()
    }

    /// As [`Gguf::u32`], in 64 bits.
    #[must_use]
    pub fn u64(&self, key: &str) -> Option<u64> {
        self.get(key)?.as_integer()?.try_into().ok()
    }

    /// As [`Gguf::u32`], in 64 bits and signed.
    #[must_use]
    pub fn i64(&self, key: &str) -> Option<i64> {
        self.get(key)?.as_integer()?.try_into().ok()
    }

    /// The `BOOL` under `key`, or the integer under it if that is 0 or 1.
    #[must_use]
    pub fn bool(&self, key: &str) -> Option<bool> {
        self.get(key)?.as_bool()
    }

    /// The float under `key`, a `FLOAT64` rounded.
    #[must_use]
    pub fn f32(&self, key: &str) -> Option<f32> {
        self.get(key)?.as_f32()
    }

    /// The array under `key`.
    #[must_use]
    pub fn array(&self, key: &str) -> Option<Array<'_>> {
        self.get(key)?.as_array()
    }

    /// The strings of the array under `key`.
    #[must_use]
    pub fn strings(&self, key: &str) -> Option<Strings<'_>> {
        self.array(key)?.strings()
    }

    /// The `INT32`s (or `UINT32`s, bit for bit) of the array under `key`.
    #[must_use]
    pub fn i32s(&self, key: &str) -> Option<impl ExactSizeIterator<Item = i32> + Clone> {
        self.array(key)?.i32s()
    }

    /// The `FLOAT32`s (or `INT32`s, converted) of the array under `key`.
    #[must_use]
    pub fn f32s(&self, key: &str) -> Option<impl ExactSizeIterator<Item = f32> + Clone> {
        self.array(key)?.f32s()
    }

    /// The bytes of the array of `UINT8` or `INT8` under `key`.
    #[must_use]
    pub fn u8s(&self, key: &str) -> Option<&[u8]> {
        self.array(key)?.u8s()
    }

    /// Where all keys and values lie: `[start, end)` in bytes of the file.
    #[must_use]
    pub fn metadata_range(&self) -> Range<usize> {
        8 + 2 * self.layout.length_size()..self.tensors
    }

    /// The file as far as it was read: up to the end of the metadata and of the tensor infos at least, or all that was
    /// given to [`Gguf::parse`].
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The number of tensors that the header promises.
    #[must_use]
    pub fn tensor_count(&self) -> u64 {
        self.tensor_count
    }

    /// Names and shapes of the tensors, read as the iterator goes. It ends after the first error.
    pub fn tensors(&self) -> impl Iterator<Item = Result<Tensor<'_>, ParseError>> {
        let mut cursor = Cursor::new(&self.bytes, self.tensors, self.layout);
        let mut left = self.tensor_count;
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let tensor = tensor(&mut cursor);
            if tensor.is_err() {
                left = 0;
            }
            Some(tensor)
        })
    }

    /// The tensor of that name; `O(tensors)`.
    ///
    /// # Errors
    /// A tensor info before it is damaged.
    pub fn tensor(&self, name: &str) -> Result<Option<Tensor<'_>>, ParseError> {
        for tensor in self.tensors() {
            let tensor = tensor?;
            if tensor.name == name.as_bytes() {
                return Ok(Some(tensor));
            }
        }
        Ok(None)
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }
}

impl fmt::Debug for Gguf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, layout, records, tensor_count, .. } = self;
        write!(
            f,
            "Gguf(version {version}, {:?}, {} keys, {tensor_count} tensors)",
            layout.order,
            records.len()
        )
    }
}

/// A key with its value.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    gguf: &'a Gguf,
    record: &'a Record,
}

impl<'a> Entry<'a> {
    /// The key's bytes.
    #[must_use]
    pub fn key(&self) -> &'a [u8] {
        self.record.key(&self.gguf.bytes, self.gguf.layout)
    }

    /// The type of the value.
    #[must_use]
    pub fn kind(&self) -> Type {
        self.record.kind
    }

    /// The value, decoded now. An array or a string is borrowed, so this costs the same for all of them.
    #[must_use]
    pub fn value(&self) -> Value<'a> {
        let Record { value, kind, element, count, .. } = self.record;
        let layout = self.gguf.layout;
        let bytes: &'a [u8] = self.gguf.bytes.get(value.clone()).unwrap_or_default();
        match kind {
            Type::String => Value::String(bytes),
            Type::Array => Value::Array(Array { element: *element, len: *count as usize, bytes, layout }),
            // The range has the size of the type since `record`; no value of a wrong size can get here.
            kind => scalar(*kind, bytes, layout).unwrap_or(Value::Uint8(0)),
        }
    }

    /// Key, type and value as they lie in the file: what a fingerprint of the metadata hashes.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.gguf.bytes.get(self.record.start..self.record.value.end).unwrap_or_default()
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.key().escape_ascii(), self.value())
    }
}

/// Name and shape of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor<'a> {
    name: &'a [u8],
    dims: [u64; MAX_DIMS as usize],
    rank: usize,
    type_id: u32,
    offset: u64,
}

impl<'a> Tensor<'a> {
    /// The name's bytes.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// At most four dimensions in elements, the fastest first: `token_embd.weight` has `[embedding width, rows]`.
    #[must_use]
    pub fn dims(&self) -> &[u64] {
        &self.dims[..self.rank]
    }

    /// The number of the ggml type; newer files have numbers that no list here knows.
    #[must_use]
    pub fn type_id(&self) -> u32 {
        self.type_id
    }

    /// Where the tensor's data begins, in bytes from the start of the data section.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

impl Record {
    fn key<'a>(&self, data: &'a [u8], layout: Layout) -> &'a [u8] {
        let start = self.start + layout.length_size();
        data.get(start..start + self.key_len as usize).unwrap_or_default()
    }
}

/// A pass over the metadata, which goes on where it stopped when more of the file has been read.
#[derive(Default)]
struct Pass {
    header: Option<Header>,
    records: Vec<Record>,
    /// Behind the last whole record.
    offset: usize,
}

#[derive(Clone, Copy)]
struct Header {
    version: u32,
    layout: Layout,
    tensor_count: u64,
    /// Of keys.
    count: usize,
}

impl Pass {
    /// Goes on in `data`, the start of a file of `len` bytes.
    fn run(&mut self, data: &[u8], len: u64) -> Result<(), ParseError> {
        let header = if let Some(header) = self.header {
            header
        } else {
            let (version, layout) = version(data)?;
            let mut cursor = Cursor::of_file(data, len, 8, layout);
            let tensor_count = unsigned(&mut cursor, "tensor count")?;
            // A key of one byte with a value of one byte is the least an entry can be.
            let least = layout.length_size() + 1 + 4 + 1;
            let count = cursor.count(least, "metadata count that fits the file")?;
            self.offset = cursor.offset();
            // Grown as entries are read, so that memory follows bytes which were really there.
            self.records.reserve(count.min(256));
            *self.header.insert(Header { version, layout, tensor_count, count })
        };
        let mut cursor = Cursor::of_file(data, len, self.offset, header.layout);
        while self.records.len() < header.count {
            self.records.push(record(&mut cursor)?);
            self.offset = cursor.offset();
        }
        Ok(())
    }

    /// Whether the tensor infos go on behind `data`.
    fn tensors_missing(&self, data: &[u8]) -> bool {
        let Some(Header { layout, tensor_count, .. }) = self.header else { return false };
        let mut cursor = Cursor::new(data, self.offset, layout);
        let mut tensors = (0..tensor_count).map(|_| tensor(&mut cursor));
        tensors.find_map(Result::err).is_some_and(|error| error.is_end())
    }

    fn finish(self, bytes: Bytes) -> Result<Gguf, ParseError> {
        let Self { header, records, offset } = self;
        let Header { version, layout, tensor_count, count } =
            header.ok_or_else(|| Cursor::error(0, "a header", Found::End(bytes.len() as u64)))?;
        let data: &[u8] = &bytes;
        let key = |&index: &u32| records[index as usize].key(data, layout);
        let mut by_key: Vec<u32> = (0..count as u32).collect(); // at most 2^30
        by_key.sort_by(|a, b| key(a).cmp(key(b))); // stable: of equals the first in the file comes first
        if let Some([first, again]) = by_key.windows(2).find(|pair| key(&pair[0]) == key(&pair[1])) {
            let name = key(again).escape_ascii().to_string();
            let found = Found::DuplicateKey(name.into(), records[*first as usize].start as u64);
            return Err(Cursor::error(records[*again as usize].start, "a new key", found));
        }
        Ok(Gguf { bytes, version, layout, records, by_key, tensor_count, tensors: offset })
    }
}

/// Magic and version, and with them the byte order.
fn version(data: &[u8]) -> Result<(u32, Layout), ParseError> {
    let little = Layout { order: ByteOrder::Little, narrow: false };
    let mut cursor = Cursor::new(data, 0, little);
    let magic = cursor.bytes(4, "the magic `GGUF`")?;
    if magic != MAGIC {
        let found = Found::Magic(magic.first_chunk().copied().unwrap_or_default());
        return Err(Cursor::error(0, "the magic `GGUF`", found));
    }
    let read = cursor.u32("version")?;
    // The other byte order puts a small version into the high half; no version of this order looks so.
    let (order, version) = match read {
        0 => (ByteOrder::Little, 0),
        _ if read.trailing_zeros() >= 16 => (ByteOrder::Big, read.swap_bytes()),
        _ => (ByteOrder::Little, read),
    };
    if !(1..=3).contains(&version) {
        return Err(Cursor::error(4, "version 1, 2 or 3", Found::Number(version.into())));
    }
    Ok((version, Layout { order, narrow: version == 1 }))
}

/// A number that the format stores signed but that cannot be negative.
fn unsigned(cursor: &mut Cursor<'_>, expected: &'static str) -> Result<u64, ParseError> {
    let offset = cursor.offset();
    let number = cursor.length(expected)?;
    if number > i64::MAX as u64 {
        return Err(Cursor::error(offset, expected, Found::Number(number)));
    }
    Ok(number)
}

fn value_type(cursor: &mut Cursor<'_>, expected: &'static str) -> Result<Type, ParseError> {
    let offset = cursor.offset();
    let id = cursor.u32(expected)?;
    Type::from_id(id).ok_or_else(|| Cursor::error(offset, expected, Found::Number(id.into())))
}

/// One key and its value, stepped over.
fn record(cursor: &mut Cursor<'_>) -> Result<Record, ParseError> {
    let start = cursor.offset();
    let key = cursor.string("key length (1 to 2^30)", "key bytes")?;
    if key.is_empty() {
        return Err(Cursor::error(start, "a key", Found::EmptyKey));
    }
    let key_len = key.len() as u32; // at most 2^30
    let kind = value_type(cursor, "value type (0 to 12)")?;
    let mut element = kind;
    let mut count = 1;
    let value = match kind {
        Type::String => {
            let string = cursor.string("string length (at most 2^30)", "string bytes")?;
            cursor.offset() - string.len()..cursor.offset()
        }
        Type::Array => {
            let offset = cursor.offset();
            element = value_type(cursor, "element type (0 to 8, 10 to 12)")?;
            if element == Type::Array {
                // Nested arrays are in the description of the format, but no reader of reference takes them.
                let found = Found::Number(element as u64);
                return Err(Cursor::error(offset, "element type (0 to 8, 10 to 12)", found));
            }
            let size = element.size();
            let least = size.unwrap_or(cursor.layout.length_size());
            count = cursor.count(least, "array length that fits the file (at most 2^30)")?;
            let start = cursor.offset();
            match size {
                Some(size) => drop(cursor.bytes(count * size, "array elements")?),
                None => cursor.skip_strings(count)?,
            }
            start..cursor.offset()
        }
        kind => {
            let size = kind.size().unwrap_or_default(); // strings and arrays are above
            cursor.bytes(size, "value bytes")?;
            cursor.offset() - size..cursor.offset()
        }
    };
    Ok(Record { start, value, key_len, count: count as u32, kind, element })
}

/// One tensor info, read.
fn tensor<'a>(cursor: &mut Cursor<'a>) -> Result<Tensor<'a>, ParseError> {
    let name = cursor.string("tensor name length (at most 2^30)", "tensor name")?;
    let offset = cursor.offset();
    let rank = cursor.u32("number of dimensions (at most 4)")?;
    if rank > MAX_DIMS {
        return Err(Cursor::error(offset, "number of dimensions (at most 4)", Found::Number(rank.into())));
    }
    let rank = rank as usize;
    let mut dims = [1; MAX_DIMS as usize];
    for dim in &mut dims[..rank] {
        *dim = unsigned(cursor, "dimension")?;
    }
    let type_id = cursor.u32("tensor type")?;
    let offset = cursor.u64("tensor data offset")?;
    Ok(Tensor { name, dims, rank, type_id, offset })
}

const MAGIC: &[u8] = b"GGUF";
/// Bytes that are read of a file at first, then twice as many each time: a vocabulary takes 1 to 16 MB of metadata.
const FIRST_READ: usize = 1 << 20;
/// Keys and values of more bytes are refused.
const MOST_METADATA: usize = 1 << 30;
/// Bytes of tensor infos that are read; a model of a thousand tensors has 60 kB of them.
const MOST_TENSOR_INFOS: usize = 64 << 20;
const MAX_DIMS: u32 = 4;
