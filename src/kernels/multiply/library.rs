//! cuBLASLt's functions in the copy that libtorch has loaded, and its descriptors. Names and signatures are those of
//! `cublasLt.h`.

use super::header::{Algorithm, COMPUTE_FLOAT, FLOAT, Found, Status};
use libc::{c_int, c_void};
use std::ffi::CString;

type Handle = *mut c_void;
type Set = unsafe extern "C" fn(*mut c_void, u32, *const c_void, usize) -> Status;
type Destroy = unsafe extern "C" fn(*mut c_void) -> Status;

/// Declares the functions that are called, each with the name of its symbol.
macro_rules! functions {
    ($($field:ident = $symbol:literal: $kind:ty;)*) => {
        /// Entries of the loaded library, which stays loaded.
        pub struct Library {
            $($field: $kind,)*
            handle: Handle,
        }

        impl Library {
            /// # Safety
            /// `library` is a handle of cuBLASLt from `dlopen`.
            unsafe fn of(library: *mut c_void) -> Result<Self, String> {
                Ok(Self {
                    $($field: {
                        // SAFETY: the symbol of this name has this signature.
                        let address = unsafe { libc::dlsym(library, concat!($symbol, "\0").as_ptr().cast()) };
                        if address.is_null() {
                            return Err(concat!("cuBLASLt has no ", $symbol).to_string());
                        }
                        unsafe { std::mem::transmute::<*mut c_void, $kind>(address) }
                    },)*
                    handle: std::ptr::null_mut(),
                })
            }
        }
    };
}

functions! {
    get_version = "cublasLtGetVersion": unsafe extern "C" fn() -> usize;
    create = "cublasLtCreate": unsafe extern "C" fn(*mut Handle) -> Status;
    new_description = "cublasLtMatmulDescCreate": unsafe extern "C" fn(*mut *mut c_void, u32, u32) -> Status;
    set_description = "cublasLtMatmulDescSetAttribute": Set;
    destroy_description = "cublasLtMatmulDescDestroy": Destroy;
    new_layout = "cublasLtMatrixLayoutCreate": unsafe extern "C" fn(*mut *mut c_void, u32, u64, u64, i64) -> Status;
    set_layout = "cublasLtMatrixLayoutSetAttribute": Set;
    destroy_layout = "cublasLtMatrixLayoutDestroy": Destroy;
    new_preference = "cublasLtMatmulPreferenceCreate": unsafe extern "C" fn(*mut *mut c_void) -> Status;
    set_preference = "cublasLtMatmulPreferenceSetAttribute": Set;
    destroy_preference = "cublasLtMatmulPreferenceDestroy": Destroy;
    heuristic = "cublasLtMatmulAlgoGetHeuristic": unsafe extern "C" fn(
        Handle, *mut c_void, *mut c_void, *mut c_void, *mut c_void, *mut c_void, *mut c_void, c_int, *mut Found, *mut c_int,
    ) -> Status;
    check = "cublasLtMatmulAlgoCheck": unsafe extern "C" fn(
        Handle, *mut c_void, *mut c_void, *mut c_void, *mut c_void, *mut c_void, *const Algorithm, *mut Found,
    ) -> Status;
    matmul = "cublasLtMatmul": unsafe extern "C" fn(
        Handle, *mut c_void, *const f32, *const c_void, *mut c_void, *const c_void, *mut c_void, *const f32,
        *const c_void, *mut c_void, *mut c_void, *mut c_void, *const Algorithm, *mut c_void, usize, *mut c_void,
    ) -> Status;
}

// SAFETY: functions and a handle that any thread may use.
unsafe impl Send for Library {}
unsafe impl Sync for Library {}

/// A description of a product, a layout or a preference; destroyed when it is dropped.
pub struct Descriptor {
    raw: *mut c_void,
    set: Set,
    destroy: Destroy,
}

// SAFETY: plain data behind a pointer that nobody else has.
unsafe impl Send for Descriptor {}

/// A product's descriptors: of the operation, and of where its matrices lie.
pub struct Descriptors {
    pub operation: Descriptor,
    pub a: Descriptor,
    pub b: Descriptor,
    pub out: Descriptor,
}

/// Where a product's numbers lie on the card.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    pub a: *const c_void,
    pub b: *const c_void,
    pub out: *mut c_void,
    /// Null where there is none.
    pub bias: *const c_void,
}

/// Where and with what a product runs.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub workspace: *mut c_void,
    pub bytes: usize,
    pub stream: *mut c_void,
}

impl Library {
    /// The copy that libtorch has loaded, for its CUDA of this major version, without a handle yet.
    pub fn loaded(major: &str) -> Result<Self, String> {
        let name = format!("libcublasLt.so.{major}");
        let text = CString::new(name.as_str()).map_err(|error| error.to_string())?;
        // SAFETY: finds a library that is loaded already; the handle is never given back.
        unsafe {
            let library = libc::dlopen(text.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD);
            if library.is_null() { Err(format!("libtorch has not loaded {name}")) } else { Self::of(library) }
        }
    }

    /// Makes the handle, for the card of this thread's context.
    pub fn open(&mut self) -> Result<(), String> {
        // SAFETY: writes the handle, which is kept as long as the process lives.
        answer("cublasLtCreate", unsafe { (self.create)(&mut self.handle) })
    }

    /// Such as 13.1.0.
    pub fn version(&self) -> String {
        // SAFETY: takes nothing.
        let version = unsafe { (self.get_version)() };
        format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100)
    }

    /// A product with sums in float32.
    pub fn operation(&self) -> Result<Descriptor, String> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: writes a new descriptor, which `Descriptor` destroys.
        let status = unsafe { (self.new_description)(&mut raw, COMPUTE_FLOAT, FLOAT) };
        answer("cublasLtMatmulDescCreate", status)?;
        Ok(Descriptor { raw, set: self.set_description, destroy: self.destroy_description })
    }

    /// A matrix as it lies, columns one after the other.
    pub fn layout(&self, kind: u32, [rows, columns]: [i64; 2], leading: i64) -> Result<Descriptor, String> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: likewise.
        let status = unsafe { (self.new_layout)(&mut raw, kind, rows as u64, columns as u64, leading) };
        answer("cublasLtMatrixLayoutCreate", status)?;
        Ok(Descriptor { raw, set: self.set_layout, destroy: self.destroy_layout })
    }

    /// What algorithms may ask for.
    pub fn preference(&self) -> Result<Descriptor, String> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: likewise.
        let status = unsafe { (self.new_preference)(&mut raw) };
        answer("cublasLtMatmulPreferenceCreate", status)?;
        Ok(Descriptor { raw, set: self.set_preference, destroy: self.destroy_preference })
    }

    /// At most `most` algorithms, the one that promises most first; none where the product is refused.
    pub fn suggested(&self, of: &Descriptors, preference: &Descriptor, most: usize) -> Vec<Found> {
        let (mut list, mut count) = (vec![Found::default(); most], 0);
        // SAFETY: live descriptors; the list has room for as many as are asked for.
        let status = unsafe {
            let [operation, a, b, out] = of.raw();
            let list = list.as_mut_ptr();
            (self.heuristic)(self.handle, operation, a, b, out, out, preference.raw, most as c_int, list, &mut count)
        };
        list.truncate(if status == 0 { count.max(0) as usize } else { 0 });
        list.retain(|found| found.status == 0);
        list
    }

    /// Bytes of workspace that this algorithm needs; `None` where it does not suit this product on this card.
    pub fn checked(&self, of: &Descriptors, algorithm: &Algorithm) -> Option<usize> {
        let mut found = Found::default();
        let [operation, a, b, out] = of.raw();
        // SAFETY: live descriptors; the algorithm is plain data, which is what is checked.
        let status = unsafe { (self.check)(self.handle, operation, a, b, out, out, algorithm, &mut found) };
        (status == 0).then_some(found.workspace)
    }

    /// Starts `a·b + beta·out` into `out`.
    ///
    /// # Safety
    /// The addresses are those of matrices that lie as described, the place's those of a workspace and a stream of the
    /// card, and all stay until the work is done.
    pub unsafe fn run(
        &self,
        of: &Descriptors,
        beta: f32,
        at: Addresses,
        algorithm: &Algorithm,
        place: Place,
    ) -> Result<(), String> {
        let Addresses { a, b, out, .. } = at;
        let [operation, layout_a, layout_b, layout] = of.raw();
        let Place { workspace, bytes, stream } = place;
        // SAFETY: as the caller says; alpha and beta are read before the call returns.
        let status = unsafe {
            #[rustfmt::skip]
            let status = (self.matmul)(
                self.handle, operation, &1.0, a, layout_a, b, layout_b, &beta, out, layout, out, layout, algorithm,
                workspace, bytes, stream,
            );
            status
        };
        answer("cublasLtMatmul", status)
    }
}

impl Descriptor {
    /// Sets an attribute, whose type is the one that the header names.
    pub fn set<T: Copy>(&self, attribute: u32, value: T) -> Result<(), String> {
        // SAFETY: a live descriptor; the value's bytes are copied, and their number is checked.
        let status = unsafe { (self.set)(self.raw, attribute, (&raw const value).cast(), size_of::<T>()) };
        answer("an attribute", status)
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: made by the function's counterpart, destroyed once.
        unsafe { (self.destroy)(self.raw) };
    }
}

impl Descriptors {
    fn raw(&self) -> [*mut c_void; 4] {
        [&self.operation, &self.a, &self.b, &self.out].map(|descriptor| descriptor.raw)
    }
}

fn answer(what: &str, status: Status) -> Result<(), String> {
    if status == 0 { Ok(()) } else { Err(format!("{what}: cuBLASLt's status {status}")) }
}
