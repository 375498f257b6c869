//! The heap of this process in large pages.
//!
//! A short command touches some twenty megabytes once: with pages of 4 KiB, a fifth of its processor time goes into making
//! them available one by one. Nothing here changes what the program does; where it has no effect, it is as slow as before.

/// Bytes by which the heap grows at once, and of which large pages are asked for.
const HEAP: usize = 64 << 20;

/// Bytes in a large page.
const LARGE: usize = 2 << 20;

/// Asks the system to back the heap of this process with large pages. To be called once, when it turns out that there is
/// work to be done: one large page costs as much as some fifty small ones.
pub fn prefer_large_pages() {
    #[cfg(target_env = "gnu")]
    {
        const SETTINGS: [(libc::c_int, usize); 3] =
            [(libc::M_TOP_PAD, HEAP), (libc::M_TRIM_THRESHOLD, 2 * HEAP), (libc::M_MMAP_THRESHOLD, 2 * LARGE)];
        for (setting, value) in SETTINGS {
            let Ok(value) = libc::c_int::try_from(value) else { return };
            // SAFETY: mallopt takes two numbers, and may be called at any time.
            unsafe { libc::mallopt(setting, value) };
        }
        let before = heap_end();
        // More than is left of the heap, so that it grows, and little enough to come from the heap.
        drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE)));
        let (first, last) = (before.next_multiple_of(LARGE), heap_end() / LARGE * LARGE);
        if first < last {
            // SAFETY: the range was just added to the heap, and advice changes no content. A heap that has moved elsewhere,
            // or memory that is not there, is refused by the kernel.
            unsafe { libc::madvise(std::ptr::without_provenance_mut(first), last - first, libc::MADV_HUGEPAGE) };
        }
    }
}

#[cfg(target_env = "gnu")]
fn heap_end() -> usize {
    // SAFETY: asked to grow by nothing, sbrk only says where the heap ends.
    unsafe { libc::sbrk(0) }.addr()
}
