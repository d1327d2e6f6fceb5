//! What each kind can learn, and what it cannot: to find a token by its content, and to copy from fixed places.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use synth::attention::options::AttentionOptions;
use synth::attention::{Dimensions, Kind, Mask, Pass, SynthesizedAttention, TokenMixer};
use synth::libtorch::optimizer::LearningRate;
use synth::parameters::{Init, Parameters};
use synth::train::optimizer::Optimizer;
use synth::train::options::OptimizerOptions;
use tch::{Device, Kind as NumberKind, Tensor};

const PASS: Pass<'static> = Pass { compute: NumberKind::Float, dropout: None, copies: None };
const D_MODEL: i64 = 32;
const BATCH: i64 = 64;
/// Samples on which accuracy is measured, none of them trained on but by chance.
const TEST: i64 = 1000;

/// Samples of a task.
struct Samples {
    /// Two tokens at each position, whose embeddings are added: int64 `[batch, N, 2]`.
    input: Tensor,
    /// The answers at the last positions: int64 `[batch, answers]`.
    answers: Tensor,
}

/// One attention between embeddings and output, beside a residual stream.
struct Model {
    embedding: Tensor, // [vocabulary, d_model]
    attention: SynthesizedAttention,
    output: Tensor, // [vocabulary, d_model]
    parameters: Parameters,
}

impl Model {
    fn new(kind: Kind, vocabulary: i64, length: i64) -> Self {
        let dimensions = Dimensions { d_model: D_MODEL, heads: 2, head_width: 16, max_length: length };
        let mut parameters = Parameters::new(3, Device::Cpu, NumberKind::Float);
        let mut root = parameters.root();
        let embedding = root.tensor("embedding", &[vocabulary, D_MODEL], Init::Normal(1.0));
        let output = root.tensor("output", &[vocabulary, D_MODEL], Init::Normal(0.1));
        let options = AttentionOptions::default();
        let attention = SynthesizedAttention::new(root.enter("attention"), kind, &options, dimensions, 0.0, 25);
        Self { embedding, attention, output, parameters }
    }

    /// Logits of the last positions, `[batch, answers, vocabulary]`.
    fn forward(&self, samples: &Samples) -> Tensor {
        let embedded = Tensor::embedding(&self.embedding, &samples.input, -1, false, false);
        let x = embedded.sum_dim_intlist([2i64].as_slice(), false, NumberKind::Float);
        let y = &x + self.attention.forward(&x, &Mask::default(), PASS).unwrap();
        let answers = samples.answers.size()[1];
        y.narrow(1, y.size()[1] - answers, answers).linear(&self.output, None::<Tensor>)
    }

    fn train(&self, steps: usize, lr: f64, mut draw: impl FnMut(i64) -> Samples) {
        let options = OptimizerOptions { weight_decay: 0.0, ..Default::default() };
        let optimizer = Optimizer::new(&self.parameters, &options, NumberKind::Float).unwrap();
        let skip = Tensor::from(0f32);
        for step in 0..steps {
            let samples = draw(BATCH);
            optimizer.zero_gradients().unwrap();
            let logits = self.forward(&samples).flatten(0, 1);
            logits.cross_entropy_for_logits(&samples.answers.view([-1])).backward();
            // Down to a tenth in a straight line.
            let rate = LearningRate::Host(lr * (1.0 - 0.9 * step as f64 / steps as f64));
            optimizer.update(&optimizer.gradients().unwrap(), 0.0, rate, &skip).unwrap();
        }
    }

    fn accuracy(&self, samples: &Samples) -> f64 {
        let found = tch::no_grad(|| self.forward(samples)).argmax(-1, false);
        found.eq_tensor(&samples.answers).to_kind(NumberKind::Double).mean(NumberKind::Double).double_value(&[])
    }
}

/// Key-value pairs at random positions; the last token asks for a key, and the answer is its value.
mod content {
    use super::*;

    pub const PAIRS: i64 = 8;
    const VALUES: i64 = 12;
    pub const VOCABULARY: i64 = PAIRS + VALUES + 1;
    pub const LENGTH: i64 = PAIRS + 1;
    const QUESTION: i64 = PAIRS + VALUES;

    pub fn draw(generator: &mut ChaCha8Rng, batch: i64) -> Samples {
        let (mut input, mut answers) = (Vec::new(), Vec::new());
        for _ in 0..batch {
            let mut keys: Vec<i64> = (0..PAIRS).collect();
            for i in (1..keys.len()).rev() {
                keys.swap(i, generator.random_range(0..=i));
            }
            let values: Vec<i64> = keys.iter().map(|_| PAIRS + generator.random_range(0..VALUES)).collect();
            let asked = generator.random_range(0..keys.len());
            input.extend(keys.iter().zip(&values).flat_map(|(&key, &value)| [key, value]));
            input.extend([keys[asked], QUESTION]);
            answers.push(values[asked]);
        }
        let input = Tensor::from_slice(&input).view([batch, LENGTH, 2]);
        Samples { input, answers: Tensor::from_slice(&answers).view([batch, 1]) }
    }
}

/// Accuracy of a kind on the content task after training.
fn content_accuracy(kind: &str) -> f64 {
    let model = Model::new(kind.parse().unwrap(), content::VOCABULARY, content::LENGTH);
    let mut generator = ChaCha8Rng::seed_from_u64(1);
    model.train(400, 0.01, |batch| content::draw(&mut generator, batch));
    model.accuracy(&content::draw(&mut ChaCha8Rng::seed_from_u64(2), TEST))
}

#[test]
fn dot_products_find_a_token_by_its_content() {
    for kind in ["vanilla", "random+vanilla", "dense+vanilla", "factorized-random+vanilla"] {
        let accuracy = content_accuracy(kind);
        assert!(accuracy > 0.95, "{kind}: {accuracy}");
    }
}

#[test]
fn what_reads_no_keys_cannot_find_a_token_by_its_content() {
    for kind in ["random", "fixed-random", "factorized-random", "dense", "factorized-dense", "random+dense"] {
        let accuracy = content_accuracy(kind);
        // The values that were seen, whichever key was asked for, are a guess of one in eight at best.
        assert!(accuracy < 0.5, "{kind}: {accuracy}");
    }
}

/// Output i is input π(i).
mod permutation {
    use super::*;

    pub const LENGTH: i64 = 12;
    pub const VOCABULARY: i64 = 10;
    const NOTHING: i64 = VOCABULARY - 1;

    pub fn draw(generator: &mut ChaCha8Rng, batch: i64) -> Samples {
        let tokens: Vec<i64> = (0..batch * LENGTH).map(|_| generator.random_range(0..NOTHING)).collect();
        let tokens = Tensor::from_slice(&tokens).view([batch, LENGTH]);
        let order: Vec<i64> = (0..LENGTH).map(|i| (5 * i + 3) % LENGTH).collect();
        let answers = tokens.index_select(1, &Tensor::from_slice(&order));
        Samples { input: Tensor::stack(&[&tokens, &tokens.full_like(NOTHING)], 2), answers }
    }
}

/// Accuracy of a kind, which is told of no positions, on the permutation after training.
fn permutation_accuracy(kind: &str) -> f64 {
    let model = Model::new(kind.parse().unwrap(), permutation::VOCABULARY, permutation::LENGTH);
    let mut generator = ChaCha8Rng::seed_from_u64(1);
    model.train(300, 0.02, |batch| permutation::draw(&mut generator, batch));
    model.accuracy(&permutation::draw(&mut ChaCha8Rng::seed_from_u64(2), TEST))
}

#[test]
fn a_trained_table_learns_a_fixed_permutation() {
    for kind in ["random", "random+vanilla"] {
        let accuracy = permutation_accuracy(kind);
        assert!(accuracy > 0.95, "{kind}: {accuracy}");
    }
}

#[test]
fn without_positions_neither_a_fixed_table_nor_a_dot_product_learns_a_permutation() {
    for kind in ["fixed-random", "vanilla"] {
        let accuracy = permutation_accuracy(kind);
        assert!(accuracy < 0.5, "{kind}: {accuracy}");
    }
}
