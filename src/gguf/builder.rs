//! Writing metadata: for test data, and for programs that change a key.

use super::cursor::{ByteOrder, Layout};
use super::{Gguf, Type};

/// Builds the bytes of a GGUF file from metadata and tensor infos; tensor data is not written.
///
/// It is public because test data and other people's tests need small files with exactly these keys. It writes what it is
/// told, also what a reader must refuse: the same key twice, an empty one.
///
/// ```
/// use anytok::gguf::{ByteOrder, Gguf, GgufBuilder};
/// let bytes = GgufBuilder::with_layout(2, ByteOrder::Big).bool("tokenizer.ggml.add_bos_token", true).finish();
/// assert_eq!(Gguf::parse(bytes)?.bool("tokenizer.ggml.add_bos_token"), Some(true));
/// # Ok::<(), anytok::gguf::ParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct GgufBuilder {
    version: u32,
    layout: Layout,
    metadata: Vec<u8>,
    metadata_count: u64,
    tensors: Vec<u8>,
    tensor_count: u64,
}

impl GgufBuilder {
    /// An empty file of version 3, little-endian.
    #[must_use]
    pub fn new() -> Self {
        Self::with_layout(3, ByteOrder::Little)
    }

    /// An empty file of that version and byte order. Version 1 has lengths of 32 bits.
    #[must_use]
    pub fn with_layout(version: u32, order: ByteOrder) -> Self {
        Self {
            version,
            layout: Layout { order, narrow: version == 1 },
            metadata: Vec::new(),
            metadata_count: 0,
            tensors: Vec::new(),
            tensor_count: 0,
        }
    }

    /// A file with the entries of `gguf` whose keys `keep` accepts, byte for byte and in their order, and no tensors.
    #[must_use]
    pub fn copy_of(gguf: &Gguf, mut keep: impl FnMut(&[u8]) -> bool) -> Self {
        let Layout { order, .. } = gguf.layout();
        let mut builder = Self::with_layout(gguf.version(), order);
        for entry in gguf.entries().filter(|entry| keep(entry.key())) {
            builder.metadata.extend_from_slice(entry.raw());
            builder.metadata_count += 1;
        }
        builder
    }

    /// Adds a `STRING`.
    #[must_use]
    pub fn string(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.key(key, Type::String);
        put_string(&mut self.metadata, self.layout, value.as_ref());
        self
    }

    /// Adds a `UINT8`.
    #[must_use]
    pub fn u8(self, key: &str, value: u8) -> Self {
        self.scalar(key, Type::Uint8, value.to_le_bytes())
    }

    /// Adds an `INT8`.
    #[must_use]
    pub fn i8(self, key: &str, value: i8) -> Self {
        self.scalar(key, Type::Int8, value.to_le_bytes())
    }

    /// Adds a `UINT16`.
    #[must_use]
    pub fn u16(self, key: &str, value: u16) -> Self {
        self.scalar(key, Type::Uint16, value.to_le_bytes())
    }

    /// Adds an `INT16`.
    #[must_use]
    pub fn i16(self, key: &str, value: i16) -> Self {
        self.scalar(key, Type::Int16, value.to_le_bytes())
    }

    /// Adds a `UINT32`.
    #[must_use]
    pub fn u32(self, key: &str, value: u32) -> Self {
        self.scalar(key, Type::Uint32, value.to_le_bytes())
    }

    /// Adds an `INT32`.
    #[must_use]
    pub fn i32(self, key: &str, value: i32) -> Self {
        self.scalar(key, Type::Int32, value.to_le_bytes())
    }

    /// Adds a `UINT64`.
    #[must_use]
    pub fn u64(self, key: &str, value: u64) -> Self {
        self.scalar(key, Type::Uint64, value.to_le_bytes())
    }

    /// Adds an `INT64`.
    #[must_use]
    pub fn i64(self, key: &str, value: i64) -> Self {
        self.scalar(key, Type::Int64, value.to_le_bytes())
    }

    /// Adds a `FLOAT32`.
    #[must_use]
    pub fn f32(self, key: &str, value: f32) -> Self {
        self.scalar(key, Type::Float32, value.to_le_bytes())
    }

    /// Adds a `FLOAT64`.
    #[must_use]
    pub fn f64(self, key: &str, value: f64) -> Self {
        self.scalar(key, Type::Float64, value.to_le_bytes())
    }

    /// Adds a `BOOL`.
    #[must_use]
    pub fn bool(self, key: &str, value: bool) -> Self {
        self.scalar(key, Type::Bool, [u8::from(value)])
    }

    /// Adds an `ARRAY` of `STRING`.
    #[must_use]
    pub fn strings<S: AsRef<[u8]>>(mut self, key: &str, values: impl IntoIterator<Item = S>) -> Self {
        let mut elements = Vec::new();
        let mut count = 0;
        for value in values {
            put_string(&mut elements, self.layout, value.as_ref());
            count += 1;
        }
        self.array(key, Type::String, count);
        self.metadata.append(&mut elements);
        self
    }

    /// Adds an `ARRAY` of `UINT8`.
    #[must_use]
    pub fn u8s(self, key: &str, values: impl IntoIterator<Item = u8>) -> Self {
        self.scalars(key, Type::Uint8, values.into_iter().map(u8::to_le_bytes))
    }

    /// Adds an `ARRAY` of `INT8`.
    #[must_use]
    pub fn i8s(self, key: &str, values: impl IntoIterator<Item = i8>) -> Self {
        self.scalars(key, Type::Int8, values.into_iter().map(i8::to_le_bytes))
    }

    /// Adds an `ARRAY` of `UINT32`.
    #[must_use]
    pub fn u32s(self, key: &str, values: impl IntoIterator<Item = u32>) -> Self {
        self.scalars(key, Type::Uint32, values.into_iter().map(u32::to_le_bytes))
    }

    /// Adds an `ARRAY` of `INT32`.
    #[must_use]
    pub fn i32s(self, key: &str, values: impl IntoIterator<Item = i32>) -> Self {
        self.scalars(key, Type::Int32, values.into_iter().map(i32::to_le_bytes))
    }

    /// Adds an `ARRAY` of `FLOAT32`.
    #[must_use]
    pub fn f32s(self, key: &str, values: impl IntoIterator<Item = f32>) -> Self {
        self.scalars(key, Type::Float32, values.into_iter().map(f32::to_le_bytes))
    }

    /// Adds the name and shape of a tensor: dimensions in elements, the fastest first, and a ggml type number. Its data
    /// offset is written as 0.
    #[must_use]
    pub fn tensor(mut self, name: &str, dims: &[u64], type_id: u32) -> Self {
        put_string(&mut self.tensors, self.layout, name.as_bytes());
        put(&mut self.tensors, self.layout, (dims.len() as u32).to_le_bytes());
        for &dim in dims {
            put_length(&mut self.tensors, self.layout, dim);
        }
        put(&mut self.tensors, self.layout, type_id.to_le_bytes());
        put(&mut self.tensors, self.layout, 0u64.to_le_bytes());
        self.tensor_count += 1;
        self
    }

    /// The file's bytes, up to where padding and tensor data would begin.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        put(&mut file, self.layout, self.version.to_le_bytes());
        put_length(&mut file, self.layout, self.tensor_count);
        put_length(&mut file, self.layout, self.metadata_count);
        file.extend(self.metadata);
        file.extend(self.tensors);
        file
    }

    fn key(&mut self, key: &str, kind: Type) {
        put_string(&mut self.metadata, self.layout, key.as_bytes());
        put(&mut self.metadata, self.layout, (kind as u32).to_le_bytes());
        self.metadata_count += 1;
    }

    fn array(&mut self, key: &str, element: Type, count: u64) {
        self.key(key, Type::Array);
        put(&mut self.metadata, self.layout, (element as u32).to_le_bytes());
        put_length(&mut self.metadata, self.layout, count);
    }

    fn scalar<const N: usize>(mut self, key: &str, kind: Type, little_endian: [u8; N]) -> Self {
        self.key(key, kind);
        put(&mut self.metadata, self.layout, little_endian);
        self
    }

    fn scalars<const N: usize>(
        mut self,
        key: &str,
        element: Type,
        values: impl Iterator<Item = [u8; N]>,
    ) -> Self {
        let mut elements = Vec::new();
        for value in values {
            put(&mut elements, self.layout, value);
        }
        self.array(key, element, (elements.len() / N) as u64);
        self.metadata.append(&mut elements);
        self
    }
}

impl Default for GgufBuilder {
    fn default() -> Self {
        Self::new()
    }
}

fn put<const N: usize>(to: &mut Vec<u8>, layout: Layout, mut little_endian: [u8; N]) {
    if layout.order == ByteOrder::Big {
        little_endian.reverse();
    }
    to.extend_from_slice(&little_endian);
}

fn put_length(to: &mut Vec<u8>, layout: Layout, length: u64) {
    if layout.narrow {
        put(to, layout, (length as u32).to_le_bytes());
    } else {
        put(to, layout, length.to_le_bytes());
    }
}

fn put_string(to: &mut Vec<u8>, layout: Layout, string: &[u8]) {
    put_length(to, layout, string.len() as u64);
    to.extend_from_slice(string);
}
