//! The keys that take a terminal away from a container without ending anything.

/// A sequence of keys, and how much of it has been typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    sequence: Vec<u8>,
    typed: usize,
}

impl Keys {
    /// `ctrl-p,ctrl-q`, `a,b`, `ctrl-@`; nothing for none.
    pub fn parse(text: &str) -> Result<Keys, String> {
        let words = text.split(',').filter(|_| !text.is_empty());
        let sequence = words
            .map(|word| key(word).ok_or(format!("{word:?} is not a key: a or ctrl-a")))
            .collect::<Result<_, _>>()?;
        Ok(Keys { sequence, typed: 0 })
    }

    /// What of this input is for the container, and whether the sequence is complete.
    pub fn filter(&mut self, input: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(input.len());
        for byte in input {
            if self.sequence.get(self.typed) != Some(byte) {
                // What looked like a beginning was none.
                passed.extend_from_slice(&self.sequence[..self.typed]);
                self.typed = 0;
            }
            match self.sequence.get(self.typed) == Some(byte) {
                true => self.typed += 1,
                false => passed.push(*byte),
            }
            if self.typed > 0 && self.typed == self.sequence.len() {
                return (passed, true);
            }
        }
        (passed, false)
    }
}

fn key(word: &str) -> Option<u8> {
    let byte = |word: &str| <[u8; 1]>::try_from(word.as_bytes()).ok().map(|[byte]| byte);
    match word.strip_prefix("ctrl-") {
        Some(rest) => byte(&rest.to_ascii_uppercase()).filter(|b| (b'@'..=b'_').contains(b)).map(|b| b - b'@'),
        None => byte(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_docker_s() {
        let of = |text| Keys::parse(text).map(|k| k.sequence);
        assert_eq!(of("ctrl-p,ctrl-q"), Ok(vec![16, 17]));
        assert_eq!(of("a,ctrl-@,ctrl-["), Ok(vec![b'a', 0, 27]));
        assert_eq!(of(""), Ok(vec![]));
        assert!(of("ctrl-1").is_err() && of("ab").is_err() && of("a,").is_err());
    }

    #[test]
    fn a_beginning_that_is_none_reaches_the_container() {
        let mut keys = Keys::parse("ctrl-p,ctrl-q").unwrap();
        assert_eq!(keys.filter(b"a\x10"), (b"a".to_vec(), false));
        assert_eq!(keys.filter(b"b"), (b"\x10b".to_vec(), false));
        assert_eq!(keys.filter(b"\x10\x10\x11z"), (b"\x10".to_vec(), true));
        let mut none = Keys::parse("").unwrap();
        assert_eq!(none.filter(b"\x10\x11"), (b"\x10\x11".to_vec(), false));
    }
}
