//! The device's limit: the rate of its fastest plain matrix product.

use super::timing::{Stepper, Timing};
use anyhow::Result;
use tch::{Device, Kind, Tensor};

/// On a GPU long enough that clocks settle where the device's power lets them.
const TIMING: Timing = Timing { warmup: 3, repeats: 5, seconds: 2.0 };

/// Operations per second, in 10¹², that products of two square matrices of normal random numbers reach: bfloat16 of
/// side 8192 on a GPU, float32 of side 2048 on the CPU. The median of five rounds, which on the CPU are one product
/// each.
///
/// # Errors
/// What libtorch reports, out of memory first of all.
pub fn measure(device: Device) -> Result<f64> {
    let (side, timed) = match device {
        Device::Cuda(_) => (8192, TIMING.measure(&mut Product::new(8192, Kind::BFloat16, device)?)?),
        _ => {
            let timing = Timing { warmup: 1, ..TIMING };
            (2048, timing.measure_rounds_of(1, &mut Product::new(2048, Kind::Float, device)?)?)
        }
    };
    Ok(2.0 * f64::from(side).powi(3) / timed.step_s / 1e12)
}

struct Product {
    factors: [Tensor; 2], // [side, side]
    result: Tensor,
}

impl Product {
    fn new(side: i64, kind: Kind, device: Device) -> Result<Self> {
        tch::manual_seed(super::cell::SEED as i64);
        // Zeros would be faster: a product of real numbers takes more power.
        let normal = || Tensor::f_randn([side, side], (Kind::Float, device)).and_then(|x| x.f_to_kind(kind));
        Ok(Self { factors: [normal()?, normal()?], result: Tensor::f_empty([side, side], (kind, device))? })
    }
}

impl Stepper for Product {
    fn step(&mut self) -> Result<()> {
        self.factors[0].f_matmul_out(&self.result, &self.factors[1]).map(drop)?;
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        wait_for(self.result.device());
        Ok(())
    }
}

/// Waits until all that was queued on `device` is done.
pub fn wait_for(device: Device) {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
    }
}
