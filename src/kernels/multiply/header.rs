//! What `cublasLt.h` declares, as far as it is used: numbers, and what algorithms look like.

use libc::c_int;

/// `cublasLtMatmulAlgo_t`: opaque, but plain data that may be kept for the same version.
pub type Algorithm = [u64; 8];
/// `cublasStatus_t`; 0 is success.
pub type Status = u32;

/// `cublasLtMatmulHeuristicResult_t`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Found {
    pub algorithm: Algorithm,
    /// Bytes of workspace that it needs.
    pub workspace: usize,
    pub status: Status,
    _waves: f32,
    _reserved: [c_int; 4],
}

/// `CUDA_R_32F` and `CUDA_R_16BF`.
pub const FLOAT: u32 = 0;
pub const BFLOAT16: u32 = 14;
/// `CUBLAS_COMPUTE_32F`.
pub const COMPUTE_FLOAT: u32 = 68;
/// `CUBLASLT_MATMUL_DESC_`…
pub const TRANSPOSE_A: u32 = 3;
pub const TRANSPOSE_B: u32 = 4;
pub const EPILOGUE: u32 = 7;
pub const BIAS_POINTER: u32 = 8;
pub const BIAS_KIND: u32 = 26;
/// `CUBLASLT_EPILOGUE_RELU_BIAS`.
pub const RELU_BIAS: u32 = 6;
/// `CUBLASLT_MATRIX_LAYOUT_`…
pub const BATCH_COUNT: u32 = 5;
pub const BATCH_STRIDE: u32 = 6;
/// `CUBLASLT_MATMUL_PREF_`…
pub const MOST_WORKSPACE: u32 = 1;
pub const REDUCTION_SCHEMES: u32 = 3;
/// Of the matrices a, b, c and d.
pub const ALIGNMENTS: [u32; 4] = [5, 6, 7, 8];
/// `CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE`.
pub const REDUCE_IN_FLOAT: u32 = 2;
