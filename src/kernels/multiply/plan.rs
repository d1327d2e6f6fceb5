//! A product made ready: its descriptors, and which algorithms it may have.

use super::library::{self, Addresses, Algorithm, Descriptor, Descriptors, Library, Place};
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
        let kind = if problem.wide { library::FLOAT } else { library::BFLOAT16 };
        let layout = |matrix: &Matrix, kind: u32, [rows, columns]: [i64; 2]| {
            let shape = if matrix.transposed { [columns, rows] } else { [rows, columns] };
            let layout = library.layout(kind, shape, matrix.leading)?;
            if problem.batches > 1 {
                layout.set(library::BATCH_COUNT, problem.batches as i32)?;
                layout.set(library::BATCH_STRIDE, matrix.stride)?;
            }
            Ok::<_, String>(layout)
        };
        let descriptors = Descriptors {
            operation: operation(library, problem)?,
            a: layout(&problem.a, library::BFLOAT16, [problem.m, problem.k])?,
            b: layout(&problem.b, library::BFLOAT16, [problem.k, problem.n])?,
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
        let fits = |found: &&library::Found| found.workspace <= WORKSPACE;
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
        if at.bias.is_null() { Ok(()) } else { self.descriptors.operation.set(library::BIAS_POINTER, at.bias) }
    }
}

fn operation(library: &Library, problem: &Problem) -> Result<Descriptor, String> {
    let operation = library.operation()?;
    operation.set(library::TRANSPOSE_A, i32::from(problem.a.transposed))?;
    operation.set(library::TRANSPOSE_B, i32::from(problem.b.transposed))?;
    if let Epilogue::BiasRelu { wide } = problem.epilogue {
        let kind = if wide { library::FLOAT } else { library::BFLOAT16 };
        operation.set(library::EPILOGUE, library::RELU_BIAS)?;
        operation.set(library::BIAS_KIND, kind as i32)?;
    }
    Ok(operation)
}

/// What may be asked of algorithms. Sums in parts are added up in float32 in a step of its own, or not made: other ways
/// round the parts to the output's kind first, or add them in the output's place.
fn preference(library: &Library, problem: &Problem) -> Result<Descriptor, String> {
    let preference = library.preference()?;
    preference.set(library::MOST_WORKSPACE, WORKSPACE as u64)?;
    preference.set(library::REDUCTION_SCHEMES, library::REDUCE_IN_FLOAT)?;
    let [a, b, out] = [&problem.a, &problem.b, &problem.out].map(|matrix| matrix.alignment);
    for (attribute, bytes) in library::ALIGNMENTS.into_iter().zip([a, b, out, out]) {
        preference.set(attribute, bytes)?;
    }
    Ok(preference)
}
