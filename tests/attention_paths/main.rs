//! Every path of `attend` against the materialised one, forward and backward, and all against finite differences.

mod agreement;
#[path = "../attention_layers/mod.rs"]
mod attention_layers;
mod blocks;
mod cases;
mod choice;
mod dropout;
mod gradients;
mod underflow;
