//! `synth data` as a user types it: formats, real sets, damage, and processes that are killed.

mod damage;
mod descriptions;
mod epochs;
mod formats;
mod pairs;
mod place;
mod real;
mod shown;
mod unfinished;
