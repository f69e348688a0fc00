//! The cases of a file: lines of words.

use std::path::Path;

use anyhow::{Context, Result, bail};

pub struct Case {
    pub id: String,
    pub lines: Vec<Line>,
}

pub struct Line {
    /// `FILE:LINE`, for whoever looks for it.
    pub place: String,
    pub words: Vec<String>,
}

pub fn read(path: &Path) -> Result<Vec<Case>> {
    let text = std::fs::read_to_string(path)?;
    let file = path.file_name().unwrap_or_default().display();
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let place = format!("{file}:{}", number + 1);
        let words = split(line).with_context(|| place.clone())?;
        match words.first().map(String::as_str) {
            None => {}
            Some("case") => cases.push(Case { id: words[1].clone(), lines: Vec::new() }),
            Some(_) => cases.last_mut().context(place.clone())?.lines.push(Line { place, words }),
        }
    }
    Ok(cases)
}

fn split(line: &str) -> Result<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '#') if words.is_empty() && word.is_none() => return Ok(words),
            (None, '\'' | '"') => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            (None, ' ') => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        bail!("a quote is not closed");
    }
    words.extend(word);
    Ok(words)
}
