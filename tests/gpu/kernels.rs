//! Gradients of whole models by our kernels on a GPU, against plain operations in float64 on the CPU.

use crate::gpu;
use synth::attention::options::AttentionOptions;
use synth::attention::{Part, Pass};
use synth::kernels::dropout::DropoutKey;
use synth::kernels::runs_on;
use synth::kernels::vocabulary_loss::Objective;
use synth::model::Decoder;
use synth::model::options::{Activation, ModelOptions, Positions, ResidualStream};
use synth::model::vocabulary_loss::vocabulary_loss;
use synth::parameters::Parameters;
use tch::{Device, Kind, Tensor};

/// A model and the tokens that it reads.
struct Case {
    model: ModelOptions,
    attention: AttentionOptions,
    vocabulary: i64,
    shape: [i64; 2],
}

impl Case {
    /// Whether nothing in it has a kink.
    fn is_smooth(&self) -> bool {
        let dense = self.attention.kind.is_some_and(|kind| kind.parts().any(|part| part == Part::Dense));
        self.model.activation != Activation::Relu && !dense
    }

    /// The loss of random tokens, then the gradients of all parameters, by name.
    fn gradients(&self, device: Device, [stored, compute]: [Kind; 2]) -> Vec<(String, Tensor)> {
        let mut parameters = Parameters::new(1, device, stored);
        let decoder = Decoder::new(&mut parameters, &self.model, &self.attention, self.vocabulary);
        tch::manual_seed(2);
        let draw = || Tensor::randint(self.vocabulary, self.shape, (Kind::Int64, Device::Cpu));
        let (tokens, targets) = (draw(), draw().view([-1]));
        let _ = targets.narrow(0, 4, 3).fill_(-100);
        let (tokens, targets) = (tokens.to_device(device), targets.to_device(device));
        let key = DropoutKey::start(3, 4, 5, device);
        let pass = Pass { dropout: Some(&key), ..Pass::evaluation(compute) };
        let hidden = decoder.hidden(&tokens, pass).unwrap().flatten(0, 1);
        let loss = vocabulary_loss(&hidden, decoder.output(), &targets, Objective::default(), pass).unwrap();
        let loss = loss.objective / targets.numel() as f64;
        loss.backward();
        let gradients = parameters.trainable().map(|p| (p.name.clone(), p.tensor.grad()));
        let all = [("loss".to_string(), loss)].into_iter().chain(gradients);
        all.map(|(name, x)| (name, x.detach().to_device(Device::Cpu).to_kind(Kind::Double))).collect()
    }
}

/// How far one is from the other, in units of that one's norm.
fn distance(a: &Tensor, b: &Tensor) -> f64 {
    ((a - b).norm() / (b.norm() + 1e-12)).double_value(&[])
}

/// The tensor that is furthest from what is expected, in units of that one's norm.
fn furthest(found: &[(String, Tensor)], expected: &[(String, Tensor)]) -> (f64, String) {
    let of = |(a, b): (&(String, Tensor), &(String, Tensor))| (distance(&a.1, &b.1), a.0.clone());
    let distances = found.iter().zip(expected).map(of);
    distances.fold((0.0, String::new()), |most, next| if next.0 > most.0 || next.0.is_nan() { next } else { most })
}

/// The distance of the tensor in the middle.
fn median_distance(found: &[(String, Tensor)], expected: &[(String, Tensor)]) -> f64 {
    let mut distances: Vec<f64> = found.iter().zip(expected).map(|(a, b)| distance(&a.1, &b.1)).collect();
    distances.sort_by(f64::total_cmp);
    distances[distances.len() / 2]
}

fn cases() -> Vec<Case> {
    let base = ModelOptions {
        layers: 2,
        d_model: 128,
        heads: 2,
        d_ff: Some(512),
        dropout: 0.1,
        max_length: 72,
        ..ModelOptions::default()
    };
    let models = [
        base.clone(),
        ModelOptions { dropout: 0.0, d_model: 512, heads: 8, d_ff: Some(2048), layers: 1, ..base.clone() },
        ModelOptions { activation: Activation::Gelu, positions: Positions::Sinusoidal, d_model: 96, ..base.clone() },
        ModelOptions {
            activation: Activation::GeluTanh,
            bias: false,
            positions: Positions::None,
            tie_embeddings: false,
            d_ff: Some(300),
            ..base
        },
    ];
    // Libtorch's own masks, of attention weights on the fused path, differ between devices.
    let attentions = [
        "kind = \"vanilla\"\ndropout = 0.0",
        "kind = \"dense\"\ndropout = 0.0",
        "kind = \"random\"\ndropout = 0.2",
        "kind = \"factorized-random\"\ndropout = 0.2",
        "kind = \"dense+vanilla\"\ndropout = 0.0",
        "kind = \"factorized-random+vanilla\"\ndropout = 0.0",
        "kind = \"random+vanilla\"\ndropout = 0.2",
    ];
    let case = |model: &ModelOptions, attention: &str| Case {
        model: model.clone(),
        attention: toml::from_str(attention).unwrap(),
        vocabulary: 1003,
        shape: [5, 72],
    };
    models.iter().flat_map(|model| attentions.map(|attention| case(model, attention))).collect()
}

#[test]
fn gpu_gradients_of_models_are_those_of_plain_operations_in_float64() {
    let Some(_turn) = gpu() else { return };
    assert_eq!(runs_on(Device::Cuda(0)), Ok(()));
    for case in cases() {
        let expected = case.gradients(Device::Cpu, [Kind::Double; 2]);
        let float = case.gradients(Device::Cuda(0), [Kind::Float; 2]);
        let bf16 = [Kind::Float, Kind::BFloat16];
        let (kernels, plain) = (case.gradients(Device::Cuda(0), bf16), case.gradients(Device::Cpu, bf16));
        let of = |found: &[(String, Tensor)]| furthest(found, &expected);
        let (float, kernels, plain) = (of(&float), of(&kernels), of(&plain));
        let what = format!("{:?} {:?}", case.attention, case.model);
        // Of 10⁵ inputs of relu one is so near 0 that the two fall on different sides, and what comes before it differs.
        let bound = if case.is_smooth() { 1e-4 } else { 2e-2 };
        assert!(float.0 < bound, "{float:?} in float32: {what}");
        assert!(kernels.0 < 1.5 * plain.0, "{kernels:?}, plain operations {plain:?}: {what}");
    }
}

#[test]
fn gpu_gradients_along_a_stream_in_bfloat16() {
    let Some(_turn) = gpu() else { return };
    for wide in cases().into_iter().step_by(5) {
        let expected = wide.gradients(Device::Cpu, [Kind::Double; 2]);
        let (bf16, gpu) = ([Kind::Float, Kind::BFloat16], Device::Cuda(0));
        let wide_gradients = wide.gradients(gpu, bf16);
        let model = ModelOptions { residual_stream: ResidualStream::Bfloat16, ..wide.model };
        let narrow = Case { model, ..wide };
        let (kernels, plain) = (narrow.gradients(gpu, bf16), narrow.gradients(Device::Cpu, bf16));
        let [median, wide_median] = [&kernels, &wide_gradients].map(|found| median_distance(found, &expected));
        // The error of a mixture's two weights is that of a draw: no worst case says how good a way is.
        let large = |list: &[(String, Tensor)]| -> Vec<(String, Tensor)> {
            let large = list.iter().filter(|(_, x)| x.numel() > 16);
            large.map(|(name, x)| (name.clone(), x.shallow_clone())).collect()
        };
        let expected = large(&expected);
        let [kernels, plain] = [kernels, plain].map(|found| furthest(&large(&found), &expected));
        let what = format!("{:?} {:?}", narrow.attention, narrow.model);
        assert!(median < 2.0 * wide_median, "median {median}, along a float32 stream {wide_median}: {what}");
        assert!(kernels.0 < 1.5 * plain.0, "{kernels:?}, plain operations {plain:?}: {what}");
    }
}
