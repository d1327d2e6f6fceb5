//! AdamW (arXiv 1711.05101) over parameters that lie in one buffer.

use super::{Launch, Text, new};
use tch::{Kind, Tensor};

/// Parameters of one launch: PARAMETERS in its text.
const AT_ONCE: usize = 200;
/// Numbers of a block; each parameter begins at a multiple.
const BLOCK: i64 = 1024;

/// Where parameters lie in one buffer.
#[derive(Debug, Clone, PartialEq)]
pub struct FlatLayout {
    numbers: Vec<i64>,
    /// Blocks of each parameter.
    blocks: Vec<i64>,
    weight_decay: Vec<f64>,
}

/// Buffers of one layout, float32 but for the last.
#[derive(Debug)]
pub struct FlatState {
    /// The parameters.
    pub parameters: Tensor,
    /// Their first moments.
    pub first: Tensor,
    /// Their second moments.
    pub second: Tensor,
    /// The parameters rounded to bfloat16, as products read them.
    pub narrow: Option<Tensor>,
}

/// What all parameters share in an update.
#[derive(Debug, Clone, Copy)]
pub struct Constants {
    /// Decay rates of the moments.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Largest norm of the gradient; 0 = any.
    pub clip_norm: f64,
}

impl FlatLayout {
    /// Parameters of these shapes, in their order, each with its weight decay. Behind a matrix there is room for rows up
    /// to a multiple of 8.
    pub fn new<'a>(parameters: impl IntoIterator<Item = (&'a [i64], f64)>) -> Self {
        let layout = |(shape, decay): (&[i64], f64)| {
            let room = match shape {
                [rows, width] => padded_rows(*rows) * width,
                _ => shape.iter().product(),
            };
            (shape.iter().product::<i64>(), ((room + BLOCK - 1) / BLOCK, decay))
        };
        let (numbers, (blocks, weight_decay)) = parameters.into_iter().map(layout).unzip();
        Self { numbers, blocks, weight_decay }
    }

    /// Numbers of a buffer.
    pub fn size(&self) -> i64 {
        self.blocks.iter().sum::<i64>() * BLOCK
    }

    /// Each parameter's part of a buffer.
    pub fn parts(&self, buffer: &Tensor) -> Vec<Tensor> {
        let mut start = 0;
        let part = |(numbers, blocks): (&i64, &i64)| {
            let part = buffer.narrow(0, start, *numbers);
            start += blocks * BLOCK;
            part
        };
        self.numbers.iter().zip(&self.blocks).map(part).collect()
    }

    /// The L2 norm of all `gradients` together, float32 `[1]`: one per parameter, float32.
    ///
    /// # Panics
    /// Where kernels do not run on the gradients' device.
    pub fn norm(&self, gradients: &[Tensor]) -> Tensor {
        let partial = new(&gradients[0], &[self.size() / BLOCK], Kind::Float);
        let mut first = 0;
        for (words, blocks) in self.launches(gradients) {
            let share = partial.narrow(0, first, blocks);
            Launch::new(&text(), "gradient_squares", [blocks, 1, 1], [256, 1, 1]).words(words).tensor(&share).run();
            first += blocks;
        }
        let norm = new(&partial, &[1], Kind::Float);
        Launch::new(&text(), "gradient_norm", [1, 1, 1], [1024, 1, 1])
            .tensor(&partial)
            .int(partial.numel() as i64)
            .tensor(&norm)
            .run();
        norm
    }

    /// One update of `state`. `step` counts the updates and `rate` is the learning rate, both float32 `[1]`; where `skip`
    /// is 1 nothing changes, as decided on the device.
    ///
    /// # Panics
    /// As [`FlatLayout::norm`].
    pub fn update(
        &self,
        state: &FlatState,
        gradients: &[Tensor],
        constants: Constants,
        [norm, step, rate, skip]: [&Tensor; 4],
    ) {
        let [beta1, beta2] = constants.betas;
        let scalars = new(norm, &[3], Kind::Float);
        Launch::new(&text(), "adamw_scalars", [1, 1, 1], [1, 1, 1])
            .tensor(norm)
            .tensor(step)
            .tensor(skip)
            .tensor(&scalars)
            .float(constants.clip_norm)
            .float(beta1)
            .float(beta2)
            .run();
        for (words, blocks) in self.launches(gradients) {
            Launch::new(&text(), "adamw", [blocks, 1, 1], [256, 1, 1])
                .words(words)
                .tensor(&state.parameters)
                .tensor(&state.first)
                .tensor(&state.second)
                .optional(state.narrow.as_ref())
                .tensor(&scalars)
                .tensor(rate)
                .tensor(skip)
                .float(beta1)
                .float(beta2)
                .float(constants.epsilon)
                .run();
        }
    }

    /// The kernels' `Gradients` and the blocks of each launch.
    fn launches(&self, gradients: &[Tensor]) -> Vec<(Vec<u64>, i64)> {
        assert_eq!(gradients.len(), self.numbers.len(), "one gradient per parameter");
        let mut offset = 0;
        let launch = |(range, gradients): (usize, &[Tensor])| {
            let range = range * AT_ONCE..range * AT_ONCE + gradients.len();
            let sizes = [&self.numbers[range.clone()], &self.blocks[range.clone()]];
            let (words, blocks) = words(gradients, sizes, &self.weight_decay[range], offset);
            offset += blocks;
            (words, blocks)
        };
        gradients.chunks(AT_ONCE).enumerate().map(launch).collect()
    }
}

/// Rows of a matrix with those that there is room for behind it, as products take them without a detour.
pub fn padded_rows(rows: i64) -> i64 {
    (rows + 7) / 8 * 8
}

fn text() -> Text {
    Text::new("adamw.cu", include_str!("cuda/adamw.cu"), &[])
}

/// `struct Gradients` of the text, field by field.
fn words(gradients: &[Tensor], [numbers, blocks]: [&[i64]; 2], decay: &[f64], offset: i64) -> (Vec<u64>, i64) {
    let mut pointers = vec![0u64; AT_ONCE];
    let mut halves = vec![0u32; 3 * AT_ONCE + 2];
    halves[..AT_ONCE + 1].fill(i32::MAX as u32);
    let mut first = 0;
    for (i, gradient) in gradients.iter().enumerate() {
        assert!(
            gradient.is_contiguous() && gradient.numel() as i64 == numbers[i],
            "a gradient of its parameter's size"
        );
        pointers[i] = gradient.data_ptr() as u64;
        halves[i] = first as u32;
        halves[AT_ONCE + 1 + i] = numbers[i] as u32;
        halves[2 * AT_ONCE + 1 + i] = (decay[i] as f32).to_bits();
        first += blocks[i];
    }
    halves[3 * AT_ONCE + 1] = offset as u32;
    pointers.extend(halves.chunks(2).map(|pair| u64::from(pair[0]) | u64::from(pair[1]) << 32));
    (pointers, first)
}

#[cfg(test)]
mod tests {
    use super::super::host::with_kernels;
    use super::*;
    use crate::libtorch::optimizer::{AdamWConstants, LearningRate, fused_adamw, global_norm, scale};
    use tch::Device;

    const CONSTANTS: Constants = Constants { betas: [0.9, 0.98], epsilon: 1e-8, clip_norm: 0.5 };

    /// Updates of parameters of these sizes, beside libtorch's in float64.
    fn compare(sizes: &[i64]) {
        let options = (Kind::Double, Device::Cpu);
        let decay = |i: usize| if i.is_multiple_of(2) { 0.1 } else { 0.0 };
        let layout = FlatLayout::new(sizes.iter().enumerate().map(|(i, size)| (std::slice::from_ref(size), decay(i))));
        let zeros = || Tensor::zeros([layout.size()], (Kind::Float, Device::Cpu));
        let narrow = Some(zeros().to_kind(Kind::BFloat16));
        let state = FlatState { parameters: zeros(), first: zeros(), second: zeros(), narrow };
        let expected: Vec<Tensor> = sizes.iter().map(|size| Tensor::randn([*size], options)).collect();
        let moments = || expected.iter().map(|x| x.zeros_like()).collect::<Vec<_>>();
        let (first, second) = (moments(), moments());
        for (part, numbers) in layout.parts(&state.parameters).iter_mut().zip(&expected) {
            part.copy_(numbers);
        }
        let [step, rate, go] = [0f32, 0.01, 0.0].map(|x| Tensor::from_slice(&[x]));
        let steps: Vec<Tensor> = expected.iter().map(|_| Tensor::from(0f32)).collect();
        for _ in 0..3 {
            let gradients: Vec<Tensor> = sizes.iter().map(|size| Tensor::randn([*size], options)).collect();
            let narrowed: Vec<Tensor> = gradients.iter().map(|gradient| gradient.to_kind(Kind::Float)).collect();
            let norm = layout.norm(&narrowed);
            layout.update(&state, &narrowed, CONSTANTS, [&norm, &step, &rate, &go]);
            let whole = global_norm(&gradients).unwrap();
            approx::assert_relative_eq!(norm.double_value(&[0]), whole.double_value(&[]), max_relative = 1e-6);
            scale(&gradients, &((whole + 1e-6).reciprocal() * CONSTANTS.clip_norm).clamp_max(1.0)).unwrap();
            for i in 0..sizes.len() {
                let constants =
                    AdamWConstants { betas: CONSTANTS.betas, eps: CONSTANTS.epsilon, weight_decay: decay(i) };
                let lists = [&expected[i], &gradients[i], &first[i], &second[i]].map(|x| vec![x.shallow_clone()]);
                let lists = lists.each_ref().map(Vec::as_slice);
                fused_adamw(lists, &steps[i], LearningRate::Host(0.01), constants, &Tensor::from(0f32)).unwrap();
            }
        }
        let mut checked =
            vec![(&state.parameters, &expected, 1e-5), (&state.first, &first, 1e-5), (&state.second, &second, 1e-5)];
        let narrow = state.narrow.as_ref().unwrap();
        checked.push((narrow, &expected, 4e-3));
        for (buffer, expected, bound) in checked {
            for (part, expected) in layout.parts(buffer).iter().zip(expected) {
                let difference =
                    ((part.to_kind(Kind::Double) - expected).abs().max() / expected.abs().max()).double_value(&[]);
                assert!(difference < bound, "{difference}");
            }
        }
        assert_eq!(step.double_value(&[0]), 3.0);
    }

    #[test]
    fn updates_equal_libtorch_s_in_float64() {
        let _turn = crate::randomness::lock_generator_for_test();
        tch::manual_seed(10);
        with_kernels(|| {
            compare(&[1, 5, 1024, 1025, 3000]);
            compare(&(0..450).map(|i| 1 + i % 7).collect::<Vec<_>>());
        });
    }

    #[test]
    fn a_skipped_update_changes_nothing() {
        with_kernels(|| {
            let layout = FlatLayout::new([(&[3i64][..], 0.1)]);
            let ones = || Tensor::ones([layout.size()], (Kind::Float, Device::Cpu));
            let state = FlatState { parameters: ones(), first: ones(), second: ones(), narrow: None };
            let gradients = [Tensor::from_slice(&[f32::NAN, 1.0, 2.0])];
            let norm = layout.norm(&gradients);
            assert!(norm.double_value(&[0]).is_nan());
            let [step, rate, skip] = [4f32, 0.01, 1.0].map(|x| Tensor::from_slice(&[x]));
            layout.update(&state, &gradients, CONSTANTS, [&norm, &step, &rate, &skip]);
            assert!([&state.parameters, &state.first, &state.second].iter().all(|buffer| **buffer == ones()));
            assert_eq!(step.double_value(&[0]), 4.0);
        });
    }
}
