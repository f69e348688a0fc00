//! A pull's progress: bars on a terminal, plain lines elsewhere, always on standard error.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{IsTerminal, Write, stderr};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sampan::{Event, Progress, Quiet};

use crate::output::human;

const DAMAGED: &str = "damaged in the store, fetched again";

/// What fits the terminal and the flags.
pub fn choose(quiet: bool) -> Box<dyn Progress> {
    match quiet {
        true => Box::new(Quiet),
        false if can_draw(std::env::var_os("TERM").as_deref()) => Box::new(Bars::default()),
        false => Box::new(Lines),
    }
}

/// Whether bars can be drawn: a terminal of no kind, or a dumb one, can't move its cursor, and indicatif draws nothing
/// at all there.
fn can_draw(term: Option<&OsStr>) -> bool {
    stderr().is_terminal() && term.is_some_and(|term| term != "dumb")
}

struct Lines;

impl Progress for Lines {
    fn event(&mut self, event: &Event) {
        let text = match event {
            Event::Resolved { reference, layers, bytes, .. } => {
                format!("pulling {}: {layers} layers, {}", human::familiar(reference), human::size(*bytes))
            }
            Event::LayerSkipped { digest, .. } => format!("{}: already there", human::short(digest)),
            Event::LayerDamaged { digest, .. } => format!("{}: {DAMAGED}", human::short(digest)),
            Event::LayerDone { digest, unpacked } => {
                format!("{}: unpacked {}", human::short(digest), human::size(*unpacked))
            }
            Event::Done { digest, .. } => format!("done: {digest}"),
            _ => return,
        };
        let _ = writeln!(stderr(), "{text}");
    }
}

/// One bar a layer.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    layers: HashMap<String, ProgressBar>,
}

impl Bars {
    fn bar(&mut self, digest: &str, total: u64) -> &ProgressBar {
        let style = "{prefix} {bar:32} {bytes:>10}/{total_bytes:<10} {msg}";
        self.layers.entry(digest.to_owned()).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new(total).with_prefix(human::short(digest).to_owned()));
            bar.set_style(ProgressStyle::with_template(style).expect("the style is well formed").progress_chars("=> "));
            bar
        })
    }
}

impl Progress for Bars {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Resolved { reference, layers, .. } => {
                let _ = self.all.println(format!("pulling {}: {layers} layers", human::familiar(reference)));
            }
            Event::LayerStarted { digest, total } => self.bar(digest, *total).set_position(0),
            Event::LayerBytes { digest, done, total } => self.bar(digest, *total).set_position(*done),
            Event::LayerSkipped { digest, total } => {
                let bar = self.bar(digest, *total);
                bar.set_position(*total);
                bar.finish_with_message("already there");
            }
            Event::LayerDamaged { digest, total } => self.bar(digest, *total).set_message(DAMAGED),
            Event::LayerDone { digest, .. } => self.bar(digest, 0).finish_with_message("done"),
            Event::Done { digest, .. } => {
                let _ = self.all.println(format!("done: {digest}"));
            }
            _ => {}
        }
    }
}
