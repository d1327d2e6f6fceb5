//! Copies from pinned memory to a GPU on a stream of their own, while it computes.

use super::{TensorPointer, check, pointers};
use libc::{c_char, c_int, c_void};
use tch::{TchError, Tensor};

unsafe extern "C" {
    fn synth_ahead_new(device: c_int, slots: c_int, ahead: *mut *mut c_void) -> *mut c_char;
    fn synth_ahead_send(
        ahead: *mut c_void,
        slot: c_int,
        staging: TensorPointer,
        pinned: TensorPointer,
        fresh: bool,
    ) -> *mut c_char;
    fn synth_ahead_take(
        ahead: *mut c_void,
        slot: c_int,
        parts: *const TensorPointer,
        places: *const TensorPointer,
        count: c_int,
    ) -> *mut c_char;
    fn synth_ahead_free(ahead: *mut c_void);
}

/// A ring of slots on a GPU; each is filled ahead and then taken.
pub struct CopyAhead {
    ahead: *mut c_void,
    slots: Vec<Option<Tensor>>,
}

impl CopyAhead {
    /// A ring of `slots` slots on a CUDA device.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn new(index: usize, slots: usize) -> Result<Self, TchError> {
        let mut ahead = std::ptr::null_mut();
        // SAFETY: on success `ahead` is a new object, which `CopyAhead` frees.
        check(unsafe { synth_ahead_new(index as c_int, slots as c_int, &mut ahead) })?;
        Ok(Self { ahead, slots: (0..slots).map(|_| None).collect() })
    }

    /// Starts to copy `pinned` (one axis, in pinned memory) to the slot, once what it held before was taken. Answers at
    /// once; the host allocator keeps the memory of `pinned` until it has been read.
    ///
    /// # Errors
    /// What libtorch reports, out of memory first of all.
    pub fn send(&mut self, slot: usize, pinned: &Tensor, device: tch::Device) -> Result<(), TchError> {
        let place = &mut self.slots[slot];
        let fresh = place.as_ref().is_none_or(|staging| staging.size() != pinned.size());
        if fresh {
            *place = Some(Tensor::f_empty(pinned.size(), (pinned.kind(), device))?);
        }
        let Some(staging) = place else { unreachable!("the slot was just filled") };
        // SAFETY: live tensors; the slot exists in the ring.
        check(unsafe {
            let [staging, pinned] = [&*staging, pinned].map(|tensor| tensor.as_ptr() as TensorPointer);
            synth_ahead_send(self.ahead, slot as c_int, staging, pinned, fresh)
        })
    }

    /// Lets the current stream wait for the slot, and copies its entries, in order, to `places`.
    ///
    /// # Errors
    /// What libtorch reports; places that do not fit.
    pub fn take(&self, slot: usize, places: &[&Tensor]) -> Result<(), TchError> {
        let Some(staging) = &self.slots[slot] else { return Err(TchError::Shape("an empty slot".into())) };
        let mut first = 0;
        let part = |place: &&Tensor| {
            let count = place.numel() as i64;
            first += count;
            staging.f_narrow(0, first - count, count)?.f_view(place.size().as_slice())
        };
        let parts = places.iter().map(part).collect::<Result<Vec<_>, _>>()?;
        let (parts, places) = (pointers(&parts), pointers(places));
        // SAFETY: two lists of live tensors of the length that is given.
        check(unsafe {
            synth_ahead_take(self.ahead, slot as c_int, parts.as_ptr(), places.as_ptr(), parts.len() as c_int)
        })
    }
}

impl Drop for CopyAhead {
    fn drop(&mut self) {
        // SAFETY: made by `synth_ahead_new`, freed once.
        unsafe { synth_ahead_free(self.ahead) }
    }
}
