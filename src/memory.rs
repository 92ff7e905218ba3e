//! Memory for tables that are looked up all over: huge pages, and hints to fetch ahead.
#![allow(unsafe_code)]

use std::io;
use std::ops::{Deref, DerefMut};

use bytemuck::Pod;
use memmap2::{MmapMut, MmapOptions};

/// Pages of memory, all zero; those that are never touched take none.
pub(crate) fn reserve(len: usize) -> io::Result<MmapMut> {
    // A huge page is used only where all of it may be.
    let len = if len > HUGE_PAGE / 2 { len.next_multiple_of(HUGE_PAGE) } else { len.max(1) };
    let pages = MmapOptions::new().len(len).no_reserve_swap().map_anon()?;
    #[cfg(target_os = "linux")]
    if len >= HUGE_PAGE {
        // Advice: a system without huge pages goes on with small ones.
        let _ = pages.advise(memmap2::Advice::HugePage);
    }
    Ok(pages)
}

pub(crate) const HUGE_PAGE: usize = 2 << 20;

/// An array that begins as zeros, in huge pages where it is large: a table of some megabytes that is looked up at random places
/// costs, in small pages, as many misses of the processor's table of pages as of its caches.
pub(crate) enum Zeroed<T> {
    Small(Box<[T]>),
    /// So many items, from the beginning of the pages on.
    Pages(MmapMut, usize),
}

impl<T: Pod> Zeroed<T> {
    /// `len` items.
    pub(crate) fn new(len: usize) -> Self {
        const { assert!(align_of::<T>() <= 4096 && size_of::<T>() > 0) };
        let bytes = len.checked_mul(size_of::<T>()).filter(|&bytes| bytes > HUGE_PAGE / 2);
        match bytes.and_then(|bytes| reserve(bytes).ok()) {
            Some(pages) => Self::Pages(pages, len),
            None => Self::Small(bytemuck::zeroed_slice_box(len)),
        }
    }
}

impl<T: Pod> Deref for Zeroed<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Self::Small(items) => items,
            Self::Pages(pages, len) => bytemuck::cast_slice(&pages[..len * size_of::<T>()]),
        }
    }
}

impl<T: Pod> DerefMut for Zeroed<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::Small(items) => items,
            Self::Pages(pages, len) => bytemuck::cast_slice_mut(&mut pages[..*len * size_of::<T>()]),
        }
    }
}

/// Has the processor fetch the cache line where `item` begins, while other work goes on.
#[inline(always)]
pub(crate) fn prefetch<T>(item: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint reads nothing that the program could see, and never faults; every x86-64 has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>((&raw const *item).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = item;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_of_any_size_begins_as_zeros_and_keeps_what_is_written() {
        for len in [0, 1, 1000, HUGE_PAGE / 16, HUGE_PAGE / 16 + 1, HUGE_PAGE / 8 + 1, HUGE_PAGE] {
            let mut array = Zeroed::<u64>::new(len);
            assert_eq!(array.len(), len);
            assert!(array.iter().all(|&item| item == 0));
            if let Some(last) = array.last_mut() {
                *last = 7;
                prefetch(last);
            }
            assert_eq!(array.iter().sum::<u64>(), if len == 0 { 0 } else { 7 });
        }
    }
}
