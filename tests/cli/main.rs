//! The command line as a user types it: what works, what is refused and how, and full and read-only disks.

mod accumulation;
mod arguments;
mod bench;
mod configurations;
mod disks;
mod evaluation;
mod folders;
mod generation;
mod output;
mod place;
mod sweeps;
mod texts;
mod tokenizers;
mod training;
