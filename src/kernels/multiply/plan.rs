//! A product made ready: its descriptors, and which algorithms it may have.

use super::header::{self, Algorithm};
use super::library::{Addresses, Descriptor, Descriptors, Library, Place};
use super::problem::{Epilogue, Matrix, Problem};

/// Bytes of workspace that an algorithm may ask for.
pub const WORKSPACE: usize = 64 << 20;

/// Descriptors of one problem.
pub struct Plan {
    descriptors: Descriptors,
    preference: Descriptor,
    beta: f32,
}

impl Plan {
    /// # Errors
    /// What cuBLASLt reports.
    pub fn new(library: &Library, problem: &Problem) -> Result<Self, String> {
        let kind = if problem.wide { header::FLOAT } else { header::BFLOAT16 };
        let layout = |matrix: &Matrix, kind: u32, [rows, columns]: [i64; 2]| {
            let shape = if matrix.transposed { [columns, rows] } else { [rows, columns] };
            let layout = library.layout(kind, shape, matrix.leading)?;
            if problem.batches > 1 {
                layout.set(header::BATCH_COUNT, problem.batches as i32)?;
                layout.set(header::BATCH_STRIDE, matrix.stride)?;
            }
            Ok::<_, String>(layout)
        };
        let descriptors = Descriptors {
            operation: operation(library, problem)?,
            a: layout(&problem.a, header::BFLOAT16, [problem.m, problem.k])?,
            b: layout(&problem.b, header::BFLOAT16, [problem.k, problem.n])?,
            out: layout(&problem.out, kind, [problem.m, problem.n])?,
        };
        let beta = if problem.adds { 1.0 } else { 0.0 };
        Ok(Self { descriptors, preference: preference(library, problem)?, beta })
    }

    /// At most `most` algorithms in the heuristic's order; none where cuBLASLt refuses the product. `at` tells how the
    /// bias is aligned.
    pub fn candidates(&self, library: &Library, at: Addresses, most: usize) -> Result<Vec<Algorithm>, String> {
        self.set_bias(at)?;
        let found = library.suggested(&self.descriptors, &self.preference, most);
        let fits = |found: &&header::Found| found.workspace <= WORKSPACE;
        Ok(found.iter().filter(fits).map(|found| found.algorithm).collect())
    }

    /// Whether this algorithm, from wherever it comes, can run.
    pub fn takes(&self, library: &Library, at: Addresses, algorithm: &Algorithm) -> bool {
        let bytes = self.set_bias(at).ok().and_then(|()| library.checked(&self.descriptors, algorithm));
        bytes.is_some_and(|bytes| bytes <= WORKSPACE)
    }

    /// Starts the product.
    ///
    /// # Safety
    /// As [`Library::run`]; the addresses are those of the tensors that the problem was read from, or of such that lie
    /// in the same way.
    pub unsafe fn run(
        &self,
        library: &Library,
        at: Addresses,
        algorithm: &Algorithm,
        place: Place,
    ) -> Result<(), String> {
        self.set_bias(at)?;
        // SAFETY: as the caller says.
        unsafe { library.run(&self.descriptors, self.beta, at, algorithm, place) }
    }

    fn set_bias(&self, at: Addresses) -> Result<(), String> {
        if at.bias.is_null() { Ok(()) } else { self.descriptors.operation.set(header::BIAS_POINTER, at.bias) }
    }
}

fn operation(library: &Library, problem: &Problem) -> Result<Descriptor, String> {
    let operation = library.operation()?;
    operation.set(header::TRANSPOSE_A, i32::from(problem.a.transposed))?;
    operation.set(header::TRANSPOSE_B, i32::from(problem.b.transposed))?;
    if let Epilogue::BiasRelu { wide } = problem.epilogue {
        let kind = if wide { header::FLOAT } else { header::BFLOAT16 };
        operation.set(header::EPILOGUE, header::RELU_BIAS)?;
        operation.set(header::BIAS_KIND, kind as i32)?;
    }
    Ok(operation)
}

/// What may be asked of algorithms. Sums in parts are added up in float32 in a step of its own, or not made: other ways
/// round the parts to the output's kind first, or add them in the output's place.
fn preference(library: &Library, problem: &Problem) -> Result<Descriptor, String> {
    let preference = library.preference()?;
    preference.set(header::MOST_WORKSPACE, WORKSPACE as u64)?;
    preference.set(header::REDUCTION_SCHEMES, header::REDUCE_IN_FLOAT)?;
    let [a, b, out] = [&problem.a, &problem.b, &problem.out].map(|matrix| matrix.alignment);
    for (attribute, bytes) in header::ALIGNMENTS.into_iter().zip([a, b, out, out]) {
        preference.set(attribute, bytes)?;
    }
    Ok(preference)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::libtorch::context::cuda_version;
    use tch::{Device, Kind, Tensor};

    /// Needs no card: every function is there, and every attribute has the size that cuBLASLt expects.
    #[test]
    #[expect(clippy::print_stderr, reason = "a test that skips says so")]
    fn cublaslt_accepts_every_description() {
        let Some(version) = cuda_version() else {
            eprintln!("skipped: this libtorch has no CUDA");
            return;
        };
        let major = version.split('.').next().unwrap();
        let library = Library::loaded(major).unwrap();
        assert!(library.version().starts_with(&format!("{major}.")), "{}", library.version());
        let tensor = |shape: &[i64], kind: Kind| Tensor::empty(shape, (kind, Device::Cpu));
        let bf16 = |shape: &[i64]| tensor(shape, Kind::BFloat16);
        let batch = [bf16(&[3, 8, 16]), bf16(&[3, 24, 16]).transpose(1, 2)];
        let problems = [
            Problem::of(&bf16(&[8, 24]), [&bf16(&[8, 16]), &bf16(&[16, 24])], false, None),
            Problem::of(&tensor(&[3, 8, 24], Kind::Float), [&batch[0], &batch[1]], true, None),
            Problem::of(&bf16(&[8, 24]), [&bf16(&[8, 16]), &bf16(&[16, 24])], false, Some(&tensor(&[24], Kind::Float))),
        ];
        for problem in problems {
            let plan = Plan::new(&library, &problem.unwrap()).unwrap();
            let bias = 256 as *const libc::c_void;
            plan.set_bias(Addresses { a: bias, b: bias, out: bias.cast_mut(), bias }).unwrap();
            assert!(plan.descriptors.operation.set(header::TRANSPOSE_A, 1u8).is_err(), "sizes are checked");
        }
    }
}
