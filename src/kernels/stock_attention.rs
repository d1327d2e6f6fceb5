//! Attention by a stock kernel, cuDNN's or FlashAttention: by the one that was the faster on this card when its shape first
//! came, which is remembered, in the process and in the user's cache folder.
//!
//! Deterministic runs, and those in which libtorch would not take cuDNN's, have the kernel that libtorch prefers.

mod choices;
mod problem;

use super::{cache, device, timing};
use crate::libtorch::context::{cudnn_version, is_deterministic, loaded_version};
use crate::libtorch::generator::keeping_generator;
pub use crate::libtorch::stock_attention::{Backend, Settings, StockAttention};
use choices::{Choices, Now, Search};
use libc::c_void;
use problem::Problem;
use std::sync::{LazyLock, Mutex, PoisonError};
use tch::{Device, TchError, Tensor};
use tracing::{debug, info};

/// Of what is kept and how it was chosen; another one finds nothing of this one's.
const FORMAT: &str = "attention 1";
/// cuDNN's stands first: it stays unless the other is clearly faster.
const BACKENDS: [Backend; 2] = [Backend::Cudnn, Backend::Flash];
/// Cycles of a card's clock, some 0.3 ms, in which the host has started a forward and a backward pass.
const CYCLES_TO_START: i64 = 600_000;

static CHOICES: LazyLock<Mutex<Choices>> = LazyLock::new(Mutex::default);

/// Attention over `[q, k, v]` in bfloat16 on CUDA, each `[batch, heads, length, width]`, without a history. `preferred` is
/// the kernel that libtorch would take. libtorch's generator of the device draws what this attention needs, and no more.
///
/// # Errors
/// What libtorch reports, such as widths that the kernel does not take.
pub fn attend(preferred: Backend, operands: [Tensor; 3], settings: Settings) -> Result<StockAttention, TchError> {
    StockAttention::new(choose(preferred, &operands, settings), operands, settings)
}

fn choose(preferred: Backend, operands: &[Tensor; 3], settings: Settings) -> Backend {
    let Device::Cuda(index) = operands[0].device() else { return preferred };
    let Ok(stream) = device::stream(index) else { return preferred };
    let recording = device::is_recording(stream).unwrap_or(true);
    let problem = Problem::of(operands, settings);
    let search = OnCard { index, stream, problem: &problem, operands, settings };
    let mut choices = CHOICES.lock().unwrap_or_else(PoisonError::into_inner);
    choices.backend((index, &problem), Now { preferred, recording, deterministic: is_deterministic() }, &search)
}

/// A shape that came with these operands.
struct OnCard<'a> {
    index: usize,
    stream: *mut c_void,
    problem: &'a Problem,
    operands: &'a [Tensor; 3],
    settings: Settings,
}

impl OnCard<'_> {
    /// Where the choice is kept.
    fn file(&self) -> Option<String> {
        let card = device::card_at(self.index).ok()?;
        let versions = format!("libtorch {}, cuDNN {:?}", loaded_version(), cudnn_version());
        Some(cache::file(&[FORMAT, &card, &versions, &format!("{:?}", self.problem)], "attention"))
    }

    /// Starts the work of a kernel on this thread's stream: its forward pass and, in training, its backward pass.
    fn start(&self, backend: Backend) -> Result<(), TchError> {
        let operands = self.operands.each_ref().map(Tensor::shallow_clone);
        let attention = StockAttention::new(backend, operands, self.settings)?;
        if self.settings.training {
            // The output lies as its gradient does, and its numbers cost the same.
            let _gradients = attention.backward(&attention.output())?;
        }
        Ok(())
    }

    fn fastest(&self) -> Option<Backend> {
        let run = |i: usize| {
            let started = self.start(BACKENDS[i]);
            started.map_err(|error| debug!("{:?} of {:?}: {error}", BACKENDS[i], self.problem)).is_ok()
        };
        // What is small is over before the next is started, which a recorded step does not wait for: the card is held
        // until all is.
        let mut lead = |_, runs: usize| {
            device::hold(self.index, CYCLES_TO_START * runs as i64).unwrap_or_else(|error| debug!("not held: {error}"));
        };
        let timed = || timing::fastest(self.stream, BACKENDS.len(), &mut lead, &run);
        let fastest = keeping_generator(self.index, timed).unwrap_or_else(|error| {
            debug!("attention was not timed: {error}");
            None
        });
        fastest.map(|i| BACKENDS[i])
    }
}

impl Search for OnCard<'_> {
    fn kept(&self) -> Option<Backend> {
        decode(&cache::read(&self.file()?)?)
    }

    fn time(&self, first: bool) -> Option<Backend> {
        if first {
            let card = device::card_at(self.index).unwrap_or_default();
            info!("timing attention for {card} (kept for the next time)");
        }
        let fastest = self.fastest()?;
        if let Some(file) = self.file() {
            cache::write(&file, name(fastest).as_bytes());
        }
        Some(fastest)
    }
}

fn name(backend: Backend) -> &'static str {
    match backend {
        Backend::Cudnn => "cudnn",
        Backend::Flash => "flash",
    }
}

fn decode(bytes: &[u8]) -> Option<Backend> {
    BACKENDS.into_iter().find(|&backend| name(backend).as_bytes() == bytes)
}

#[cfg(test)]
mod tests;
