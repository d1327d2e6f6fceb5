//! The command line as a user types it: what works, what is refused and how, and full and read-only disks.

mod accumulation;
mod arguments;
mod batches;
mod bench;
mod calamities;
mod configurations;
mod disks;
mod evaluation;
mod events;
mod folders;
mod generation;
mod initial;
mod objective;
mod output;
mod pairs;
mod place;
mod run_list;
mod samples;
mod shards;
mod sweeps;
mod tensorboard;
mod texts;
mod tokenizers;
mod training;
