//! Turns of those who are compared, taken in turn, so that all see the same load.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// The middle of what was measured; NaN of nothing.
pub fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Milliseconds that it took.
pub fn timed(turn: impl FnOnce()) -> f64 {
    let began = Instant::now();
    turn();
    began.elapsed().as_secs_f64() * 1e3
}

/// A command that runs in silence and must succeed.
pub fn quiet(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// A line for the shell, for what is made ready before.
pub fn shell(line: &str) -> bool {
    quiet(Command::new("sh").args(["-c", line]))
}

/// Takes one turn and tells its milliseconds.
pub type Turn<'a> = Box<dyn FnMut() -> f64 + 'a>;
/// A participant, or why it takes no part.
pub type Entry<'a> = Result<Turn<'a>, String>;

/// Of something in this process.
pub fn inside<'a>(mut turn: impl FnMut() + 'a) -> Entry<'a> {
    Ok(Box::new(move || timed(&mut turn)))
}

/// Of a whole process, from its start to its end.
pub fn process<'a>(mut command: Command) -> Entry<'a> {
    let words = format!("{command:?}");
    turns_of(words, move || quiet(&mut command))
}

/// Of a process whose command line is another one each time.
pub fn processes<'a>(mut make: impl FnMut() -> Command + 'a) -> Entry<'a> {
    let words = format!("{:?}", make());
    turns_of(words, move || quiet(&mut make()))
}

/// One turn before the first makes what the later ones find, and shows whether it can be done here.
fn turns_of<'a>(words: String, mut turn: impl FnMut() -> bool + 'a) -> Entry<'a> {
    match turn() {
        true => Ok(Box::new(move || timed(|| assert!(turn(), "{words} failed")))),
        false => Err(format!("{words} fails here")),
    }
}

/// A program that takes a turn for each line and answers with its milliseconds; it ends with its input.
pub struct Partner {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Partner {
    /// Starts it and lets it take a first turn, which makes what the later ones find.
    pub fn start(command: &mut Command) -> Result<Partner, String> {
        let failed = |what: String| format!("{command:?}: {what}");
        let started = Command::new(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = started.map_err(|e| failed(e.to_string()))?;
        let answers = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let mut partner = Partner { child, answers };
        match partner.turn() {
            Some(_) => Ok(partner),
            None => Err(failed("it took no turn; what it says stands above".to_owned())),
        }
    }

    fn turn(&mut self) -> Option<f64> {
        writeln!(self.child.stdin.as_mut()?).ok()?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).ok()?;
        answer.trim().parse().ok()
    }

    /// As a participant.
    pub fn entry<'a>(mut self) -> Turn<'a> {
        Box::new(move || self.turn().expect("a partner that took a turn before"))
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

struct Participant<'a> {
    name: &'static str,
    /// One turn of it goes on so many rounds.
    every: usize,
    entry: Entry<'a>,
    times: Vec<f64>,
}

/// Who takes part.
#[derive(Default)]
pub struct Race<'a>(Vec<Participant<'a>>);

/// The times of all, by name.
pub struct Results(Vec<(&'static str, Vec<f64>)>);

impl<'a> Race<'a> {
    /// Enters one that takes a turn each round.
    pub fn enter(&mut self, name: &'static str, entry: Entry<'a>) {
        self.enter_slow(name, 1, entry);
    }

    /// Enters one that takes a turn every so many rounds.
    pub fn enter_slow(&mut self, name: &'static str, every: usize, entry: Entry<'a>) {
        self.0.push(Participant { name, every, entry, times: Vec::new() });
    }

    /// Turn about, with a pause before each; then prints a table, with ratios to the first.
    pub fn run(mut self, rounds: usize, gap: Duration) -> Results {
        for round in 0..rounds {
            for p in self.0.iter_mut().filter(|p| round % p.every == 0) {
                if let Ok(turn) = &mut p.entry {
                    std::thread::sleep(gap);
                    p.times.push(turn());
                }
            }
        }
        self.print();
        Results(self.0.into_iter().map(|p| (p.name, p.times)).collect())
    }

    fn print(&self) {
        let first = self.0.first().map_or(f64::NAN, |p| median(&p.times));
        let first_name = self.0.first().map_or("", |p| p.name);
        println!("{:<46} {:>5} {:>9} {:>9} {:>9}", "", "turns", "least ms", "median", "/ first");
        for p in &self.0 {
            let least = p.times.iter().copied().fold(f64::INFINITY, f64::min);
            match &p.entry {
                Ok(_) => println!(
                    "{:<46} {:>5} {least:>9.2} {:>9.2} {:>9.2}",
                    p.name,
                    p.times.len(),
                    median(&p.times),
                    median(&p.times) / first
                ),
                Err(why) => println!("{:<46} no turns: {why}", p.name),
            }
        }
        if first.is_nan() {
            println!("no ratios, since there is no {first_name:?}");
        }
    }
}

impl Results {
    /// The median of one of them; NaN when it took no part.
    pub fn median(&self, name: &str) -> f64 {
        self.0.iter().find(|(n, _)| *n == name).map_or(f64::NAN, |(_, times)| median(times))
    }
}

/// One number beside what it should be.
pub fn target(what: &str, value: f64, unit: &str, wanted: Wanted) {
    let (sign, bound, met) = match wanted {
        Wanted::AtMost(bound) => ("<=", bound, value <= bound),
        Wanted::AtLeast(bound) => (">=", bound, value >= bound),
    };
    let verdict = if value.is_nan() {
        "not measured"
    } else if met {
        "met"
    } else {
        "MISSED"
    };
    println!("  {what:<58} {value:>8.2} {unit:<5} {sign} {bound:<6} {verdict}");
}

/// Which side of a bound is good.
#[derive(Clone, Copy)]
pub enum Wanted {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}
