//! Kernels on an NVIDIA GPU: compiled for it when they are first used, kept in the user's cache folder.

mod compile;
mod tensor_map;

use super::{Text, cache};
use cudarc::driver::{CudaContext, DriverError, result, sys};
use libc::c_void;
use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
pub use tensor_map::tensor_map;
use tracing::info;

/// The first cards whose products in bfloat16 and vectors of it the kernels need.
const OLDEST: (i32, i32) = (8, 0);
const HOPPER: (i32, i32) = (9, 0);
/// Bytes of shared memory that a kernel has without asking.
const FREE_SHARED: u32 = 48 << 10;

/// A card that kernels run on.
struct Gpu {
    context: Arc<CudaContext>,
    name: String,
    architecture: (i32, i32),
    functions: Mutex<Functions>,
}

#[derive(Default)]
struct Functions {
    modules: HashMap<Text, Module>,
    /// Whether the user knows that something is compiled.
    said: bool,
}

/// A loaded text. The driver keeps it until the process ends.
struct Module {
    module: sys::CUmodule,
    kernels: HashMap<&'static str, sys::CUfunction>,
}

// SAFETY: handles of the driver, which any thread may use.
unsafe impl Send for Module {}

type Gpus = HashMap<usize, Result<Arc<Gpu>, String>>;
static GPUS: Mutex<Option<Gpus>> = Mutex::new(None);

/// Whether kernels run on the card with this number; if not, why not.
pub fn supports(index: usize) -> Result<(), String> {
    gpu(index).map(drop)
}

/// The number of multiprocessors of a card whose own instructions are Hopper's (sm_90a); `None` of another.
pub fn hopper_multiprocessors(index: usize) -> Option<i64> {
    let gpu = gpu(index).ok().filter(|gpu| gpu.architecture == HOPPER)?;
    gpu.context.attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT).ok().map(i64::from)
}

fn gpu(index: usize) -> Result<Arc<Gpu>, String> {
    let mut gpus = GPUS.lock().unwrap_or_else(PoisonError::into_inner);
    gpus.get_or_insert_default().entry(index).or_insert_with(|| Gpu::open(index).map(Arc::new)).clone()
}

impl Gpu {
    fn open(index: usize) -> Result<Self, String> {
        if !cfg!(cuda_graphs) {
            return Err("this build has no CUDA headers".to_string());
        }
        // SAFETY: both only try to load a library.
        let (driver, compiler) = unsafe { (sys::is_culib_present(), cudarc::nvrtc::sys::is_culib_present()) };
        if !driver {
            return Err("the NVIDIA driver's libcuda was not found".to_string());
        }
        if !compiler {
            return Err("NVRTC (libnvrtc, beside libtorch) was not found".to_string());
        }
        let context = CudaContext::new(index).map_err(|error| format!("the CUDA driver said {error}"))?;
        let name = context.name().map_err(|error| error.to_string())?;
        let architecture = context.compute_capability().map_err(|error| error.to_string())?;
        if architecture < OLDEST {
            let ((major, minor), oldest) = (architecture, OLDEST.0);
            return Err(format!("{name} is of sm_{major}{minor}; they need sm_{oldest}0 or newer"));
        }
        Ok(Self { context, name, architecture, functions: Mutex::default() })
    }

    fn function(&self, text: &Text, kernel: &'static str) -> Result<sys::CUfunction, String> {
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        let Functions { modules, said } = &mut *functions;
        if !modules.contains_key(text) {
            let module = self.load(text, said)?;
            modules.insert(text.clone(), Module { module, kernels: HashMap::new() });
        }
        let Some(Module { module, kernels }) = modules.get_mut(text) else { unreachable!("just put there") };
        if let Some(function) = kernels.get(kernel) {
            return Ok(*function);
        }
        let name = CString::new(kernel).map_err(|error| error.to_string())?;
        // SAFETY: a module that is never unloaded.
        let function = unsafe { result::module::get_function(*module, name) }.map_err(|error| error.to_string())?;
        kernels.insert(kernel, function);
        Ok(function)
    }

    /// The text as the driver runs it: from the cache, else compiled.
    fn load(&self, text: &Text, said: &mut bool) -> Result<sys::CUmodule, String> {
        let (whole, target) = (text.whole(), compile::target(self.architecture));
        let file = cache::file(&[&whole, &target, &compile::version()?, &driver_version()?], "cubin");
        let binary = match cache::read(&file) {
            Some(binary) => binary,
            None => {
                if !std::mem::replace(said, true) {
                    info!("compiling CUDA kernels for {} (kept for the next time)", self.name);
                }
                let start = Instant::now();
                let binary = compile::compile(text.name(), &whole, &target)?;
                tracing::debug!("{} took {:.2} s", text.name(), start.elapsed().as_secs_f64());
                cache::write(&file, &binary);
                binary
            }
        };
        self.context.bind_to_thread().map_err(|error| error.to_string())?;
        // SAFETY: a whole image, compiled by NVRTC and checked by its hash where it comes from the cache.
        unsafe { result::module::load_data(binary.as_ptr().cast()) }.map_err(|error| error.to_string())
    }
}

fn driver_version() -> Result<String, String> {
    let mut version = 0;
    // SAFETY: writes one number.
    let answer = unsafe { sys::cuDriverGetVersion(&mut version) };
    answer.result().map(|()| version.to_string()).map_err(|error| error.to_string())
}

/// The name and number of multiprocessors of the card with this number.
pub fn card_at(index: usize) -> Result<String, String> {
    card(&gpu(index)?.context).map_err(|error| error.to_string())
}

/// The same of a context's card.
pub fn card(context: &CudaContext) -> Result<String, DriverError> {
    let counted = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
    Ok(format!("{}, {} multiprocessors", context.name()?, context.attribute(counted)?))
}

/// What a launch runs over.
pub struct Sizes {
    pub blocks: [u32; 3],
    pub threads: [u32; 3],
    /// Bytes of a block's shared memory beside what the text declares.
    pub shared: u32,
}

/// Launches `kernel` on the stream of libtorch's work in this thread.
pub fn launch(
    index: usize,
    text: &Text,
    kernel: &'static str,
    Sizes { blocks: [x, y, z], threads: [across, down, deep], shared }: Sizes,
    mut arguments: Vec<*mut c_void>,
) -> Result<(), String> {
    let gpu = gpu(index)?;
    let function = gpu.function(text, kernel)?;
    gpu.context.bind_to_thread().map_err(|error| error.to_string())?;
    let stream = stream(index)?;
    if shared > FREE_SHARED {
        let most = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        // SAFETY: a function of a module that is never unloaded.
        let set = unsafe { result::function::set_function_attribute(function, most, shared as i32) };
        set.map_err(|error| error.to_string())?;
    }
    // SAFETY: the arguments are as many and of such sizes as the kernel's, which the tests on the host check; tensors
    // stay until the allocator hands their memory to work on the same stream.
    let launched = unsafe {
        result::launch_kernel(function, (x, y, z), (across, down, deep), shared, stream.cast(), &mut arguments)
    };
    launched.map_err(|error| error.to_string())
}

/// Whether the work of one of libtorch's streams is being recorded; `None` where the driver does not say.
pub fn is_recording(stream: *mut c_void) -> Option<bool> {
    // SAFETY: libtorch's streams stay.
    let status = unsafe { result::stream::is_capturing(stream.cast()) }.ok()?;
    Some(status != sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE)
}

/// The driver's handle of the stream of libtorch's work in this thread.
#[cfg(cuda_graphs)]
pub fn stream(index: usize) -> Result<*mut c_void, String> {
    crate::libtorch::cuda_graph::current_stream(index).map_err(|error| error.to_string())
}

/// There is none without CUDA's headers.
#[cfg(not(cuda_graphs))]
pub fn stream(_index: usize) -> Result<*mut c_void, String> {
    Err("this build has no CUDA headers".to_string())
}

/// Lets that stream do nothing for so many cycles of the card's clock.
#[cfg(cuda_graphs)]
pub fn hold(index: usize, cycles: i64) -> Result<(), String> {
    crate::libtorch::cuda_graph::hold(index, cycles).map_err(|error| error.to_string())
}

/// There is none without CUDA's headers.
#[cfg(not(cuda_graphs))]
pub fn hold(_index: usize, _cycles: i64) -> Result<(), String> {
    Err("this build has no CUDA headers".to_string())
}
