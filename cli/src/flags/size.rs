//! Sizes as Docker reads them: a number and a binary unit, `512m`, `1.5GiB`.

/// Bytes.
pub fn bytes(text: &str) -> Result<i64, String> {
    let digits = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| expected(text))?;
    let unit = text[digits..].trim_start().to_ascii_lowercase();
    let size = number * factor(&unit).ok_or_else(|| expected(text))?;
    // 2^63 is the first float that an i64 can't hold.
    match size < 9_223_372_036_854_775_808.0 {
        true => Ok(size as i64),
        false => Err(format!("{text} is more than can be counted")),
    }
}

fn factor(unit: &str) -> Option<f64> {
    let power = match unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(unit) {
        "" if unit == "ib" => return None,
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    Some(1024f64.powi(power))
}

fn expected(text: &str) -> String {
    format!("{text:?} is not a size; expected a number and b, k, m, g or t: 512m")
}

/// Bytes, or -1 for no limit.
pub fn bytes_or_unlimited(text: &str) -> Result<i64, String> {
    match text {
        "-1" => Ok(-1),
        _ => bytes(text),
    }
}

/// Bytes that can't be negative.
pub fn unsigned(text: &str) -> Result<u64, String> {
    bytes(text).map(|n| n as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary() {
        for (text, size) in [
            ("0", 0),
            ("100", 100),
            ("100b", 100),
            ("64k", 64 << 10),
            ("512m", 512 << 20),
            ("512MB", 512 << 20),
            ("1.5g", 3 << 29),
            ("2GiB", 2 << 30),
            ("1 t", 1 << 40),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for bad in ["", "m", "-1", "1x", "1.2.3m", "five", "1mm", "1ib", "9999999p", "1e3"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
        assert_eq!(bytes_or_unlimited("-1"), Ok(-1));
    }
}
