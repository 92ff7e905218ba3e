//! Flat arrays that are either built in memory or lie in a mapped image.

use std::marker::PhantomData;
use std::ops::Deref;

use bytemuck::Pod;

use crate::memory::Zeroed;
use crate::mmap::Bytes;

/// A read-only array of `T`: owned, or a view of bytes that someone else keeps alive.
///
/// Engines take the slice once per call (`&*table`), so the choice costs them one branch a call and none a token.
pub(crate) enum Table<T> {
    /// Built by a loader.
    Owned(Vec<T>),
    /// The same, in huge pages.
    Pages(Zeroed<T>),
    /// Lies in an image; [`Table::mapped`] has checked length and alignment.
    Mapped(Bytes, PhantomData<T>),
}

impl<T: Pod> Table<T> {
    /// Views `bytes` as an array of `T`, or gives `None` when length or alignment do not fit.
    pub(crate) fn mapped(bytes: Bytes) -> Option<Self> {
        bytemuck::try_cast_slice::<u8, T>(&bytes).ok()?;
        Some(Self::Mapped(bytes, PhantomData))
    }

    /// The bytes of the array in the machine's own order, as an image stores them.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }
}

impl<T: Pod> Deref for Table<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Self::Owned(items) => items,
            Self::Pages(items) => items,
            Self::Mapped(bytes, _) => bytemuck::cast_slice(bytes),
        }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self::Owned(Vec::new())
    }
}

impl<T> From<Vec<T>> for Table<T> {
    fn from(items: Vec<T>) -> Self {
        Self::Owned(items)
    }
}

impl<T> From<Zeroed<T>> for Table<T> {
    fn from(items: Zeroed<T>) -> Self {
        Self::Pages(items)
    }
}

impl<T: Pod> std::fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = if matches!(self, Self::Mapped(..)) { "mapped" } else { "owned" };
        write!(f, "Table({place}, {} × {} bytes)", self.len(), size_of::<T>())
    }
}
