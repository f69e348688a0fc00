//! One name in the manner of each language.

/// `RunOptions` → `run_options`.
pub fn snake(camel: &str) -> String {
    let mut out = String::new();
    for (i, c) in camel.chars().enumerate() {
        if c.is_uppercase() && i > 0 {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// `RunOptions` → `RUN_OPTIONS`.
pub fn screaming(camel: &str) -> String {
    snake(camel).to_uppercase()
}

/// `stop_timeout` → `stopTimeout`.
pub fn camel(snake: &str) -> String {
    let mut parts = snake.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| name + &capitalised(part))
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|c| c.to_uppercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manner() {
        assert_eq!(snake("RunOptions"), "run_options");
        assert_eq!(screaming("SubIds"), "SUB_IDS");
        assert_eq!(camel("stop_timeout"), "stopTimeout");
        assert_eq!(camel("cap_add"), "capAdd");
    }
}
