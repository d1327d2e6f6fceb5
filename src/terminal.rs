//! What a person sees on stderr: log lines and progress bars. Results go to stdout, by the commands.

use crate::exit::Interrupted;
use crate::panics::one_line;
use indicatif::ProgressStyle;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};
use tracing::level_filters::LevelFilter;
use tracing::{Span, info_span};
use tracing_indicatif::IndicatifLayer;
use tracing_indicatif::span_ext::IndicatifSpanExt;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Format;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Bars that are drawn at one time.
pub const MOST_BARS: u64 = 30;

/// Whether there is somebody to draw for.
pub fn draws() -> bool {
    std::io::stderr().is_terminal()
}

/// Sets up stderr for the process. `verbosity`: −1 warnings only, 0 what a user wants to know, 1 and more
/// for debugging; `SYNTH_LOG` overrides it with a filter such as `synth=debug`.
///
/// Bars are drawn on a terminal only, and colours follow the terminal and `NO_COLOR`.
pub fn init(verbosity: i8) {
    let level = match verbosity {
        i8::MIN..=-1 => LevelFilter::WARN,
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let filter = EnvFilter::builder().with_default_directive(level.into()).with_env_var("SYNTH_LOG").from_env_lossy();
    let more = ProgressStyle::with_template("… and {pending_progress_bars} more").ok();
    let bars = IndicatifLayer::new().with_max_progress_bars(MOST_BARS, more);
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt::layer()
        .event_format(Format::default().without_time().with_target(false).compact())
        .fmt_fields(tracing_subscriber::fmt::format::DefaultFields::new())
        .with_ansi(colour)
        .with_writer(bars.get_stderr_writer());
    tracing_subscriber::registry().with(filter).with(lines).with(bars).init();
}

/// Says in one line why a command ended early, whatever the verbosity.
pub fn say_ending(error: &anyhow::Error) {
    let line = one_line(error);
    let prefix = if error.is::<Interrupted>() { "" } else { "error: " };
    // A reader that has gone away must not change the exit code.
    let _ = writeln!(std::io::stderr(), "{prefix}{line}");
}

/// Writes to stdout, which may be the terminal that bars are drawn on.
pub fn beside_bars<T>(write: impl FnOnce() -> T) -> T {
    tracing_indicatif::suspend_tracing_indicatif(write)
}

/// What takes less time has no late bar.
const PATIENCE: Duration = Duration::from_secs(2);

/// A progress bar, or nothing where stderr is no terminal.
pub struct Bar {
    span: Span,
}

impl Bar {
    /// A bar of `total` steps, named `what`, that begins at `done`.
    pub fn new(what: &str, total: u64, done: u64) -> Self {
        Self::with_template(&format!("{what} {{wide_bar}} {{pos}}/{{len}} {{msg}} {{eta}} left"), total, done)
    }

    /// The same of bytes.
    pub fn of_bytes(what: &str, total: u64, done: u64) -> Self {
        let counts = "{bytes}/{total_bytes} {bytes_per_sec} {eta} left";
        Self::with_template(&format!("{what} {{wide_bar}} {counts}"), total, done)
    }

    /// A line of text, without any bar.
    pub fn text(what: &str) -> Self {
        Self::with_template(&format!("{what} {{msg}}"), 1, 0)
    }

    /// Becomes another bar, at `done` of `total`, in the same place.
    pub fn become_bar(&self, what: &str, total: u64, done: u64) {
        if let Ok(style) = ProgressStyle::with_template(&format!("{what} {{bar:24}} {{pos}}/{{len}} {{msg}}")) {
            self.span.pb_set_style(&style);
        }
        self.span.pb_set_length(total);
        self.span.pb_set_position(done);
    }

    /// Becomes a line of text in the same place.
    pub fn become_text(&self, what: &str) {
        if let Ok(style) = ProgressStyle::with_template(&format!("{what} {{msg}}")) {
            self.span.pb_set_style(&style);
        }
    }

    fn with_template(template: &str, total: u64, done: u64) -> Self {
        let span = info_span!(target: "synth::bar", "bar");
        // The time left is only right once steps are counted from here.
        if let Ok(style) = ProgressStyle::with_template(template) {
            span.pb_set_style(&style);
        }
        span.pb_set_length(total);
        span.pb_set_position(done);
        span.pb_start();
        // The time left is only right once steps are counted from here.
        span.pb_reset_eta();
        Self { span }
    }

    /// Moves the bar to `done`.
    pub fn set(&self, done: u64) {
        self.span.pb_set_position(done);
    }

    /// Shows `text` beside the bar.
    pub fn say(&self, text: &str) {
        self.span.pb_set_message(text);
    }
}

/// A bar that is drawn once there was something to wait for.
pub struct LateBar {
    what: String,
    total: u64,
    make: fn(&str, u64, u64) -> Bar,
    begun: Instant,
    bar: Option<Bar>,
}

impl LateBar {
    /// A bar of `total` steps, named `what`.
    pub fn new(what: &str, total: u64) -> Self {
        Self { what: what.into(), total, make: Bar::new, begun: Instant::now(), bar: None }
    }

    /// A bar of `total` bytes, named `what`.
    pub fn bytes(what: &str, total: u64) -> Self {
        Self { make: Bar::of_bytes, ..Self::new(what, total) }
    }

    /// Moves the bar to `done`.
    pub fn set(&mut self, done: u64) {
        if self.bar.is_none() && self.begun.elapsed() >= PATIENCE {
            self.bar = Some((self.make)(&self.what, self.total, done));
        }
        if let Some(bar) = &self.bar {
            bar.set(done);
        }
    }
}
