//! cuBLASLt on a card: its handle, its workspaces, and what is known of each product.

use super::header::Algorithm;
use super::kept;
use super::library::{Addresses, Library, Place};
use super::plan::{Plan, WORKSPACE};
use super::problem::Problem;
use crate::kernels::{device, timing};
use crate::libtorch::context::{self, cuda_version};
use cudarc::driver::{CudaContext, sys};
use libc::c_void;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tch::{Device, Kind, Tensor};
use tracing::{debug, info};

/// Algorithms that are asked for.
const CANDIDATES: usize = 16;
/// Products that are timed in one process at most: where lengths are many, most come too seldom to be worth it.
const MOST_TIMED: usize = 256;
/// Products of fewer operations are not timed: they are over before the next can be started.
pub const WORTH_TIMING: f64 = 4e9;

/// A card on which products run.
struct Gpu {
    context: Arc<CudaContext>,
    cublaslt: Library,
    index: usize,
    /// Its name and number of multiprocessors.
    card: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// One for each stream that products ran on. They stay: graphs hold their addresses.
    workspaces: HashMap<usize, Tensor>,
    /// `None` where cuBLASLt refuses a product. Whether choices are fixed is part of the key.
    known: HashMap<(Problem, bool), Option<Known>>,
    /// Products that were timed in this process.
    timed: usize,
}

/// A product that is ready to run.
struct Known {
    plan: Plan,
    algorithm: Algorithm,
}

/// Makes a tensor that lies as an output does and holds the same; and its address.
pub type Scratch<'a> = &'a dyn Fn() -> (Tensor, *mut c_void);

type Gpus = HashMap<usize, Result<Arc<Gpu>, String>>;
static GPUS: Mutex<Option<Gpus>> = Mutex::new(None);

/// cuBLASLt's version where products run on the card with this number; if not, why not.
pub fn version(index: usize) -> Result<String, String> {
    gpu(index).map(|gpu| gpu.cublaslt.version())
}

fn gpu(index: usize) -> Result<Arc<Gpu>, String> {
    let mut gpus = GPUS.lock().unwrap_or_else(PoisonError::into_inner);
    gpus.get_or_insert_default().entry(index).or_insert_with(|| Gpu::open(index).map(Arc::new)).clone()
}

/// Runs the product that `problem` was read from on this thread's stream. `scratch` is asked where the output may not be
/// written more than once. False where cuBLASLt does not compute the product or is not there, and nothing has been done.
///
/// # Safety
/// The addresses are those of the tensors that the problem was read from, on this card.
pub unsafe fn run(index: usize, problem: Problem, at: Addresses, scratch: Scratch<'_>) -> bool {
    let Some((stream, recording)) = stream(index) else { return false };
    // A handle is not made while a graph is recorded.
    if recording && !opened(index) {
        return false;
    }
    let Ok(gpu) = gpu(index) else { return false };
    // SAFETY: as the caller says.
    gpu.context.bind_to_thread().is_ok() && unsafe { gpu.run(problem, at, stream, recording, scratch) }
}

/// The stream of libtorch's work in this thread, and whether its work is being recorded.
fn stream(index: usize) -> Option<(*mut c_void, bool)> {
    let stream = device::stream(index).ok()?;
    Some((stream, device::is_recording(stream)?))
}

/// Whether an algorithm is chosen by timing, now or before; else it is the heuristic's first, the same on every machine of
/// the kind.
fn by_timing(problem: &Problem, recording: bool, deterministic: bool) -> bool {
    !recording && !deterministic && problem.operations() >= WORTH_TIMING
}

fn opened(index: usize) -> bool {
    let gpus = GPUS.lock().unwrap_or_else(PoisonError::into_inner);
    gpus.as_ref().is_some_and(|gpus| gpus.contains_key(&index))
}

impl Gpu {
    fn open(index: usize) -> Result<Self, String> {
        if !cfg!(cuda_graphs) {
            return Err("this build has no CUDA headers".to_string());
        }
        let version = cuda_version().ok_or("this build has no CUDA")?;
        let mut cublaslt = Library::loaded(version.split('.').next().unwrap_or_default())?;
        // SAFETY: only tries to load a library.
        if !unsafe { sys::is_culib_present() } {
            return Err("the NVIDIA driver's libcuda was not found".to_string());
        }
        let text = |error: cudarc::driver::DriverError| format!("the CUDA driver said {error}");
        let context = CudaContext::new(index).map_err(text)?;
        context.bind_to_thread().map_err(text)?;
        cublaslt.open()?;
        let card = device::card(&context).map_err(text)?;
        Ok(Self { context, cublaslt, index, card, state: Mutex::default() })
    }

    /// # Safety
    /// As the function [`run`].
    unsafe fn run(
        &self,
        problem: Problem,
        at: Addresses,
        stream: *mut c_void,
        recording: bool,
        scratch: Scratch<'_>,
    ) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { workspaces, known, timed } = &mut *state;
        let Some(place) = self.place(workspaces, stream, recording) else { return false };
        let key = (problem, context::is_deterministic());
        // SAFETY: as the caller says; tensors stay until the allocator hands their memory to work on the same stream.
        let start = |found: &Option<Known>| {
            found
                .as_ref()
                .is_some_and(|known| unsafe { known.plan.run(&self.cublaslt, at, &known.algorithm, place) }.is_ok())
        };
        if let Some(found) = known.get(&key) {
            return start(found);
        }
        let by_timing = by_timing(&key.0, recording, key.1);
        // SAFETY: as the caller says.
        let found = unsafe { self.choose(&key.0, at, place, by_timing.then_some((timed, scratch))) };
        let started = start(&found);
        if !recording {
            known.insert(key, found.filter(|_| started));
        }
        started
    }

    /// The stream with its workspace; `None` where it has none and nothing that stays can be allocated.
    fn place(&self, kept: &mut HashMap<usize, Tensor>, stream: *mut c_void, recording: bool) -> Option<Place> {
        let number = stream as usize;
        if recording && !kept.contains_key(&number) {
            return None;
        }
        let new = || Tensor::empty([WORKSPACE as i64], (Kind::Uint8, Device::Cuda(self.index)));
        let workspace = kept.entry(number).or_insert_with(new).data_ptr();
        Some(Place { workspace, bytes: WORKSPACE, stream })
    }

    /// The product made ready: with the heuristic's first algorithm, or with the one that was or is chosen by timing.
    ///
    /// # Safety
    /// As the function [`run`].
    unsafe fn choose(
        &self,
        problem: &Problem,
        at: Addresses,
        place: Place,
        timing: Option<(&mut usize, Scratch<'_>)>,
    ) -> Option<Known> {
        let plan = Plan::new(&self.cublaslt, problem).map_err(|error| debug!("{problem:?}: {error}")).ok()?;
        let file = kept::file(&self.card, &self.cublaslt.version(), problem);
        if timing.is_some()
            && let Some(algorithm) = kept::read(&file).filter(|kept| plan.takes(&self.cublaslt, at, kept))
        {
            return Some(Known { plan, algorithm });
        }
        let candidates = plan.candidates(&self.cublaslt, at, CANDIDATES).unwrap_or_default();
        let first = *candidates.first()?;
        let Some((timed, scratch)) = timing.filter(|(timed, _)| candidates.len() > 1 && **timed < MOST_TIMED) else {
            return Some(Known { plan, algorithm: first });
        };
        *timed += 1;
        if *timed == 1 {
            info!("timing matrix products for {} (kept for the next time)", self.card);
        }
        // A product that is added must be added once: others are added elsewhere.
        let elsewhere = problem.adds.then(scratch);
        let out = elsewhere.as_ref().map_or(at.out, |(_, out)| *out);
        // SAFETY: as the caller says; the scratch lies as the output does.
        let fastest = unsafe { self.time(&plan, &candidates, Addresses { out, ..at }, place) };
        let chosen = candidates[fastest?];
        kept::write(&file, &chosen);
        Some(Known { plan, algorithm: chosen })
    }

    /// Which candidate is the fastest; `None` where none runs.
    ///
    /// # Safety
    /// As the function [`run`]; the product's output is overwritten, or added to, many times.
    unsafe fn time(&self, plan: &Plan, candidates: &[Algorithm], at: Addresses, place: Place) -> Option<usize> {
        // SAFETY: as the caller says.
        let run = |candidate: usize| unsafe { plan.run(&self.cublaslt, at, &candidates[candidate], place) }.is_ok();
        let mut lead = |first: usize, _| {
            let _ = run(first);
        };
        timing::fastest(place.stream, candidates.len(), &mut lead, &run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deterministic_runs_and_records_take_the_heuristic_s_first() {
        let bf16 = |shape: &[i64]| Tensor::empty(shape, (Kind::BFloat16, Device::Cpu));
        let square = |n: i64| Problem::of(&bf16(&[n, n]), [&bf16(&[n, n]), &bf16(&[n, n])], false, None).unwrap();
        assert!(by_timing(&square(2048), false, false));
        assert!(!by_timing(&square(1024), false, false), "too small");
        assert!(!by_timing(&square(2048), true, false) && !by_timing(&square(2048), false, true));
    }
}
