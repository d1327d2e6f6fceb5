//! Adafactor (arXiv 1804.04235), as mesh-tensorflow computes it.

use crate::config::Config;
use crate::folder::Tensor;
use crate::moments::Moments;

/// `[optimizer.adafactor]`.
pub struct Adafactor {
    decay_exponent: f64,
    clip_threshold: f64,
    scale_by_parameter: bool,
    min_factored: usize,
    beta1: f64,
    eps: Vec<f64>,
}

impl Adafactor {
    /// That of a resolved experiment.
    pub fn new(config: &Config) -> Self {
        let key = |key: &str| format!("optimizer.adafactor.{key}");
        Self {
            decay_exponent: config.required_number(&key("decay_exponent")),
            clip_threshold: config.required_number(&key("clip_threshold")),
            scale_by_parameter: config.required_choice(&key("scale_by_parameter")),
            min_factored: config.required_count(&key("min_factored")),
            beta1: config.required_number(&key("beta1")),
            eps: config.numbers(&key("eps")).expect("two eps"),
        }
    }

    /// What an update, counted from 1, takes from a tensor.
    pub fn step(
        &self,
        moments: &mut Moments,
        name: &str,
        tensor: &Tensor,
        gradient: &[f64],
        at: (f64, usize),
    ) -> Vec<f64> {
        let (rate, update) = at;
        let kept = 1.0 - (update as f64).powf(-self.decay_exponent);
        let squares: Vec<f64> = gradient.iter().map(|g| g * g + self.eps[0]).collect();
        let roots = match self.factored(&tensor.shape) {
            Some(axes) => factored_roots(moments, name, &squares, &tensor.shape, axes, kept),
            None => {
                let moment = moments.of("second_moment", name, &tensor.shape);
                decay(moment, &squares, kept);
                moment.iter().map(|moment| moment.sqrt()).collect()
            }
        };
        let mut step: Vec<f64> = gradient.iter().zip(roots).map(|(g, root)| g / root).collect();
        let clipped = if self.clip_threshold > 0.0 { (rms(&step) / self.clip_threshold).max(1.0) } else { 1.0 };
        let scale = if self.scale_by_parameter { rms(&tensor.values).max(self.eps[1]) } else { 1.0 };
        step.iter_mut().for_each(|step| *step *= rate * scale / clipped);
        if self.beta1 > 0.0 {
            let moment = moments.of("first_moment", name, &tensor.shape);
            decay(moment, &step, self.beta1);
            step.clone_from(moment);
        }
        step
    }

    /// The largest axis and the second largest, the earlier of equal ones first, where the moment is factored.
    fn factored(&self, shape: &[usize]) -> Option<[usize; 2]> {
        let mut axes: Vec<usize> = (0..shape.len()).collect();
        axes.sort_by_key(|axis| std::cmp::Reverse(shape[*axis]));
        let [largest, second, ..] = axes[..] else { return None };
        (shape[second] >= self.min_factored).then_some([largest, second])
    }
}

/// The roots of the second moment that follows from its means over either of two axes.
fn factored_roots(
    moments: &mut Moments,
    name: &str,
    squares: &[f64],
    shape: &[usize],
    [largest, second]: [usize; 2],
    kept: f64,
) -> Vec<f64> {
    let row_shape = left(shape, largest);
    let rows = moments.of("row_moment", name, &row_shape);
    decay(rows, &means(squares, shape, largest), kept);
    let rows = rows.clone();
    let columns = moments.of("column_moment", name, &left(shape, second));
    decay(columns, &means(squares, shape, second), kept);
    // The second axis among those of the rows.
    let axis = second - usize::from(largest < second);
    let row_means = means(&rows, &row_shape, axis);
    let root = |index: usize| {
        let [row, column] = [largest, second].map(|axis| place(index, shape, axis));
        (rows[row] / row_means[place(row, &row_shape, axis)] * columns[column]).sqrt()
    };
    (0..squares.len()).map(root).collect()
}

/// A running mean's next value.
fn decay(mean: &mut [f64], values: &[f64], kept: f64) {
    mean.iter_mut().zip(values).for_each(|(mean, value)| *mean = kept * *mean + (1.0 - kept) * value);
}

/// A shape without an axis.
fn left(shape: &[usize], axis: usize) -> Vec<usize> {
    [&shape[..axis], &shape[axis + 1..]].concat()
}

/// The means over an axis.
fn means(values: &[f64], shape: &[usize], axis: usize) -> Vec<f64> {
    let mut means = vec![0.0; values.len() / shape[axis]];
    for (index, value) in values.iter().enumerate() {
        means[place(index, shape, axis)] += value / shape[axis] as f64;
    }
    means
}

/// Where an element's mean over an axis stands.
fn place(index: usize, shape: &[usize], axis: usize) -> usize {
    let inner: usize = shape[axis + 1..].iter().product();
    index / (inner * shape[axis]) * inner + index % inner
}

fn rms(values: &[f64]) -> f64 {
    (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "decay_exponent = 1.0\nclip_threshold = 0.0\nscale_by_parameter = false\nmin_factored = 2\n\
                         beta1 = 0.0\neps = [0.0, 0.5]";

    fn adafactor(changed: &str) -> Adafactor {
        let key = changed.split(' ').next().expect("a key");
        let others = PLAIN.lines().filter(|line| changed.is_empty() || !line.starts_with(key));
        let lines: Vec<&str> = others.chain([changed]).collect();
        Adafactor::new(&Config::parse(&format!("[optimizer.adafactor]\n{}", lines.join("\n"))))
    }

    fn tensor(shape: &[usize], values: &[f64]) -> Tensor {
        Tensor { kind: safetensors::Dtype::F64, shape: shape.to_vec(), values: values.to_vec() }
    }

    fn agree(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        let near = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12);
        assert!(near, "{found:?} against {expected:?}");
    }

    #[test]
    fn the_axes_are_the_two_largest_and_of_equal_ones_the_earlier_first() {
        let adafactor = adafactor("min_factored = 4");
        for (shape, expected) in [
            (&[4, 9][..], Some([1, 0])),
            (&[9, 4], Some([0, 1])),
            (&[5, 5], Some([0, 1])),
            (&[2, 8, 8], Some([1, 2])),
            (&[8, 8, 8], Some([0, 1])),
            (&[4, 8, 3], Some([1, 0])),
            (&[8, 3], None),
            (&[8], None),
        ] {
            assert_eq!(adafactor.factored(shape), expected, "{shape:?}");
        }
    }

    #[test]
    fn the_factors_are_means_over_the_other_axis() {
        let mut moments = Moments::default();
        let weights = tensor(&[2, 3], &[0.0; 6]);
        let step = adafactor("").step(&mut moments, "w", &weights, &[1.0, 2.0, 3.0, -4.0, 5.0, 6.0], (0.1, 1));
        // Means over the three columns, of each row; means over the two rows, of each column.
        agree(moments.of("row_moment", "w", &[2]), &[14.0 / 3.0, 77.0 / 3.0]);
        agree(moments.of("column_moment", "w", &[3]), &[8.5, 14.5, 22.5]);
        let mean = 91.0 / 6.0;
        agree(&step[..1], &[0.1 / (14.0 / 3.0 / mean * 8.5f64).sqrt()]);
        agree(&step[4..5], &[0.5 / (77.0 / 3.0 / mean * 14.5f64).sqrt()]);
    }

    #[test]
    fn of_three_axes_the_first_keeps_factors_of_its_own() {
        let gradient: Vec<f64> = (0..18).map(|g| f64::from(g) - 6.5).collect();
        let step = |shape: &[usize], gradient: &[f64]| {
            let weights = tensor(shape, &vec![0.0; gradient.len()]);
            adafactor("").step(&mut Moments::default(), "w", &weights, gradient, (0.1, 1))
        };
        let tables = [&gradient[..9], &gradient[9..]].map(|table| step(&[3, 3], table));
        agree(&step(&[2, 3, 3], &gradient), &tables.concat());
    }

    #[test]
    fn the_moment_decays_with_the_updates() {
        let (mut moments, weights) = (Moments::default(), tensor(&[1], &[2.0]));
        let adafactor = adafactor("decay_exponent = 0.5");
        agree(&adafactor.step(&mut moments, "w", &weights, &[-3.0], (0.1, 1)), &[-0.1]);
        adafactor.step(&mut moments, "w", &weights, &[1.0], (0.1, 2));
        agree(moments.of("second_moment", "w", &[1]), &[(1.0 - 0.5f64.sqrt()) * 9.0 + 0.5f64.sqrt()]);
    }

    #[test]
    fn steps_are_clipped_scaled_and_averaged() {
        let weights = tensor(&[2], &[3.0, 4.0]);
        let step = |changed| adafactor(changed).step(&mut Moments::default(), "w", &weights, &[7.0, -7.0], (0.1, 1));
        agree(&step("clip_threshold = 0.25"), &[0.025, -0.025]);
        agree(&step("clip_threshold = 4.0"), &[0.1, -0.1]);
        agree(&step("scale_by_parameter = true"), &[0.1 * 12.5f64.sqrt(), -0.1 * 12.5f64.sqrt()]);
        agree(&step("beta1 = 0.75"), &[0.025, -0.025]);
        let small = adafactor("scale_by_parameter = true");
        let small = small.step(&mut Moments::default(), "w", &tensor(&[2], &[0.1, 0.1]), &[1.0, 1.0], (0.1, 1));
        agree(&small, &[0.05, 0.05]);
    }
}
