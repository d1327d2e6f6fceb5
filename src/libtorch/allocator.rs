//! How this process's allocator treats memory that tensors on the CPU give back.

/// Blocks from this size on still come from the system and go back to it: 1 GiB.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_FROM: libc::c_int = 1 << 30;

/// Keeps freed memory for the next tensors instead of giving it back to the system, which clears every page that it hands
/// out again: an update on the CPU frees and takes the same sizes each time. To be called at the start of a process.
///
/// Where the C library is not GNU's, or refuses, it stays as it is.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets numbers of the allocator; the answer says whether it took them.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
    }
}
