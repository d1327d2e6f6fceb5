//! Matrices as Hopper's tensor memory accelerator has them described.

use cudarc::driver::sys;
use tch::{Kind, Tensor};

/// Numbers of a row of a box: 128 bytes, which is what is swizzled.
const BOX_COLUMNS: u32 = 64;

/// The words of the driver's `CUtensorMap` for `matrix` `[rows, columns]` in bfloat16, row by row, which is read in boxes of
/// `box_rows` x 64 numbers. It names the tensor's memory and must not outlive it.
///
/// # Errors
/// What the driver reports: of an address that 16 does not divide, say.
pub fn tensor_map(matrix: &Tensor, box_rows: u32) -> Result<Vec<u64>, String> {
    let &[rows, columns] = matrix.size().as_slice() else { return Err("a tensor map is of a matrix".to_string()) };
    if matrix.kind() != Kind::BFloat16 || !matrix.is_contiguous() {
        return Err("a tensor map is of bfloat16 in one piece".to_string());
    }
    let (sizes, row_bytes) = ([columns as u64, rows as u64], [2 * columns as u64]);
    let (of_box, steps) = ([BOX_COLUMNS, box_rows], [1, 1]);
    let mut map = sys::CUtensorMap { opaque: [0; 16] };
    // SAFETY: fills `map`, from arrays of as many numbers as the two dimensions have; the matrix's memory is not read.
    let answer = unsafe {
        sys::cuTensorMapEncodeTiled(
            &mut map,
            sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
            2,
            matrix.data_ptr(),
            sizes.as_ptr(),
            row_bytes.as_ptr(),
            of_box.as_ptr(),
            steps.as_ptr(),
            sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
            sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
            sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
            sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
        )
    };
    answer.result().map(|()| map.opaque.to_vec()).map_err(|error| error.to_string())
}
