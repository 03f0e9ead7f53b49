//! What a test binary allocates, in all its threads or in one.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Bytes that are allocated now, and the most that were since somebody set it.
pub static NOW: AtomicUsize = AtomicUsize::new(0);
pub static PEAK: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The same of this thread alone: what it frees may be another's.
    static HERE: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

/// What `work` gives, and the most bytes that this thread held at once for it. Other tests may run meanwhile.
#[allow(dead_code, reason = "not every test binary measures one thread")]
pub fn peak_here<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HERE.with(|here| {
        here.set((here.get().0, here.get().0));
        here.get().0
    });
    let given = work();
    (given, HERE.with(|here| (here.get().1 - before).max(0) as usize))
}

fn count_here(bytes: isize) {
    // At a thread's end there is nothing left to be counted in.
    let _ = HERE.try_with(|here| {
        let (now, peak) = here.get();
        here.set((now + bytes, peak.max(now + bytes)));
    });
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        count_here(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        count_here(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
