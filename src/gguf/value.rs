//! Value types, values and arrays, decoded when they are asked for.

use std::fmt;

use super::cursor::Layout;

/// The type of a metadata value, with the number that stands for it in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(clippy::exhaustive_enums)] // closed by the format: version 3 knows these and no others
#[allow(missing_docs)] // the names say it all
pub enum Type {
    Uint8 = 0,
    Int8 = 1,
    Uint16 = 2,
    Int16 = 3,
    Uint32 = 4,
    Int32 = 5,
    Float32 = 6,
    Bool = 7,
    String = 8,
    Array = 9,
    Uint64 = 10,
    Int64 = 11,
    Float64 = 12,
}

impl Type {
    pub(super) fn from_id(id: u32) -> Option<Self> {
        Some(match id {
            0 => Self::Uint8,
            1 => Self::Int8,
            2 => Self::Uint16,
            3 => Self::Int16,
            4 => Self::Uint32,
            5 => Self::Int32,
            6 => Self::Float32,
            7 => Self::Bool,
            8 => Self::String,
            9 => Self::Array,
            10 => Self::Uint64,
            11 => Self::Int64,
            12 => Self::Float64,
            _ => return None,
        })
    }

    /// Bytes of one value in the file, `None` for strings and arrays.
    pub(super) fn size(self) -> Option<usize> {
        match self {
            Self::Uint8 | Self::Int8 | Self::Bool => Some(1),
            Self::Uint16 | Self::Int16 => Some(2),
            Self::Uint32 | Self::Int32 | Self::Float32 => Some(4),
            Self::Uint64 | Self::Int64 | Self::Float64 => Some(8),
            Self::String | Self::Array => None,
        }
    }
}

/// The name in the format's description: `UINT32`, `STRING`, …
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uint8 => "UINT8",
            Self::Int8 => "INT8",
            Self::Uint16 => "UINT16",
            Self::Int16 => "INT16",
            Self::Uint32 => "UINT32",
            Self::Int32 => "INT32",
            Self::Float32 => "FLOAT32",
            Self::Bool => "BOOL",
            Self::String => "STRING",
            Self::Array => "ARRAY",
            Self::Uint64 => "UINT64",
            Self::Int64 => "INT64",
            Self::Float64 => "FLOAT64",
        })
    }
}

/// A metadata value. Strings are bytes exactly as the file has them: they need not be UTF-8, and may hold NULs.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums)] // as closed as `Type`
#[allow(missing_docs)]
pub enum Value<'a> {
    Uint8(u8),
    Int8(i8),
    Uint16(u16),
    Int16(i16),
    Uint32(u32),
    Int32(i32),
    Float32(f32),
    Bool(bool),
    String(&'a [u8]),
    Array(Array<'a>),
    Uint64(u64),
    Int64(i64),
    Float64(f64),
}

impl<'a> Value<'a> {
    /// The value's type.
    #[must_use]
    pub fn kind(&self) -> Type {
        match self {
            Self::Uint8(_) => Type::Uint8,
            Self::Int8(_) => Type::Int8,
            Self::Uint16(_) => Type::Uint16,
            Self::Int16(_) => Type::Int16,
            Self::Uint32(_) => Type::Uint32,
            Self::Int32(_) => Type::Int32,
            Self::Float32(_) => Type::Float32,
            Self::Bool(_) => Type::Bool,
            Self::String(_) => Type::String,
            Self::Array(_) => Type::Array,
            Self::Uint64(_) => Type::Uint64,
            Self::Int64(_) => Type::Int64,
            Self::Float64(_) => Type::Float64,
        }
    }

    /// The number, if the value is of an integer type; every such value fits.
    #[must_use]
    pub fn as_integer(&self) -> Option<i128> {
        Some(match *self {
            Self::Uint8(n) => n.into(),
            Self::Int8(n) => n.into(),
            Self::Uint16(n) => n.into(),
            Self::Int16(n) => n.into(),
            Self::Uint32(n) => n.into(),
            Self::Int32(n) => n.into(),
            Self::Uint64(n) => n.into(),
            Self::Int64(n) => n.into(),
            _ => return None,
        })
    }

    /// The truth value of a `BOOL`, or of an integer that is 0 or 1: some writers have no other type for it.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => match self.as_integer()? {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            },
        }
    }

    /// The number of a `FLOAT32`, or of a `FLOAT64` rounded to the nearest.
    #[must_use]
    pub fn as_f32(&self) -> Option<f32> {
        match *self {
            Self::Float32(value) => Some(value),
            Self::Float64(value) => Some(value as f32),
            _ => None,
        }
    }

    /// The bytes of a `STRING`.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::String(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The elements of an `ARRAY`.
    #[must_use]
    pub fn as_array(&self) -> Option<Array<'a>> {
        match self {
            Self::Array(array) => Some(*array),
            _ => None,
        }
    }
}

/// An array in the metadata: borrowed from the file, decoded element by element.
#[derive(Clone, Copy, PartialEq)]
pub struct Array<'a> {
    pub(super) element: Type,
    pub(super) len: usize,
    /// The elements as they lie in the file; the reader has checked that `len` of them fill it.
    pub(super) bytes: &'a [u8],
    pub(super) layout: Layout,
}

impl<'a> Array<'a> {
    /// The type of the elements, never `Type::Array`.
    #[must_use]
    pub fn element_type(&self) -> Type {
        self.element
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements as they lie in the file: for strings each with its length in front.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.bytes
    }

    /// The elements of an array of `STRING`.
    #[must_use]
    pub fn strings(&self) -> Option<Strings<'a>> {
        (self.element == Type::String).then_some(Strings {
            bytes: self.bytes,
            len: self.len,
            layout: self.layout,
        })
    }

    /// Where the bytes of each `STRING` lie in [`Array::raw`].
    pub(crate) fn string_spans(
        &self,
    ) -> Option<impl ExactSizeIterator<Item = std::ops::Range<usize>> + Clone + Send + use<'a>> {
        let len = self.bytes.len();
        let mut strings = self.strings()?;
        Some((0..self.len).map(move |_| {
            let string = strings.next().unwrap_or_default();
            let end = len - strings.bytes.len();
            end - string.len()..end
        }))
    }

    /// The elements of an array of `INT32`, or of `UINT32` with the same 32 bits read as signed.
    #[must_use]
    pub fn i32s(&self) -> Option<impl ExactSizeIterator<Item = i32> + Clone + use<'a>> {
        matches!(self.element, Type::Int32 | Type::Uint32).then(|| self.words().map(u32::cast_signed))
    }

    /// The elements of an array of `FLOAT32`, or of `INT32` converted (to the nearest, as in C).
    #[must_use]
    pub fn f32s(&self) -> Option<impl ExactSizeIterator<Item = f32> + Clone + use<'a>> {
        let integers = self.element == Type::Int32;
        #[allow(clippy::cast_precision_loss)] // the conversion that llama.cpp makes
        (integers || self.element == Type::Float32).then(|| {
            self.words()
                .map(move |word| if integers { word.cast_signed() as f32 } else { f32::from_bits(word) })
        })
    }

    /// The bytes of an array of `UINT8` or `INT8`.
    #[must_use]
    pub fn u8s(&self) -> Option<&'a [u8]> {
        matches!(self.element, Type::Uint8 | Type::Int8).then_some(self.bytes)
    }

    /// The value of the element at `index`; constant time except for strings, which are walked.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        if self.element == Type::String {
            return self.strings()?.nth(index).map(Value::String);
        }
        let size = self.element.size()?;
        let start = index.checked_mul(size)?;
        scalar(self.element, self.bytes.get(start..start.checked_add(size)?)?, self.layout)
    }

    fn words(&self) -> impl ExactSizeIterator<Item = u32> + Clone + use<'a> {
        let layout = self.layout;
        self.bytes.as_chunks::<4>().0.iter().map(move |&bytes| layout.u32(bytes))
    }
}

impl fmt::Debug for Array<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Array({} × {}, {} bytes)", self.len, self.element, self.bytes.len())
    }
}

/// The strings of an array, in order.
#[derive(Clone, Debug)]
pub struct Strings<'a> {
    bytes: &'a [u8],
    len: usize,
    layout: Layout,
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.len = self.len.checked_sub(1)?;
        // The reader has walked these lengths before, and nothing here relies on it: a string that does not
        // fit is empty, so that the count stays what `len` promised.
        let Some((string, rest)) = self.layout.split_string(self.bytes) else { return Some(&[]) };
        self.bytes = rest;
        Some(string)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len, Some(self.len))
    }
}

impl ExactSizeIterator for Strings<'_> {}
impl std::iter::FusedIterator for Strings<'_> {}

/// Decodes a value of fixed size from exactly its bytes.
pub(super) fn scalar<'a>(kind: Type, bytes: &[u8], layout: Layout) -> Option<Value<'a>> {
    let byte = bytes.first().copied();
    let two = || bytes.first_chunk().map(|&bytes| layout.u16(bytes));
    let four = || bytes.first_chunk().map(|&bytes| layout.u32(bytes));
    let eight = || bytes.first_chunk().map(|&bytes| layout.u64(bytes));
    Some(match kind {
        Type::Uint8 => Value::Uint8(byte?),
        Type::Int8 => Value::Int8(byte?.cast_signed()),
        Type::Bool => Value::Bool(byte? != 0),
        Type::Uint16 => Value::Uint16(two()?),
        Type::Int16 => Value::Int16(two()?.cast_signed()),
        Type::Uint32 => Value::Uint32(four()?),
        Type::Int32 => Value::Int32(four()?.cast_signed()),
        Type::Float32 => Value::Float32(f32::from_bits(four()?)),
        Type::Uint64 => Value::Uint64(eight()?),
        Type::Int64 => Value::Int64(eight()?.cast_signed()),
        Type::Float64 => Value::Float64(f64::from_bits(eight()?)),
        Type::String | Type::Array => return None,
    })
}
