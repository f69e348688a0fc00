//! PAX extended headers (POSIX `pax`, "pax Header Block").
//!
//! The `tar` crate splits them at line ends, which breaks the binary values of `security.capability`;
//! here the records' own lengths rule.

use super::entry::{Entry, Sparse, Time};
use super::header::id;

const XATTR: &[u8] = b"SCHILY.xattr.";

/// What one extended header says about the next entry.
#[derive(Debug, Default)]
pub struct Pax {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<Time>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes of data, over the header's size field.
    pub size: Option<u64>,
    /// Anything that GNU tar says about sparseness.
    pub sparse: SparseRecords,
}

/// The records of GNU tar's three ways to write a sparse file.
#[derive(Debug, Default)]
pub struct SparseRecords {
    /// 1.0 keeps the map in front of the data.
    pub map_in_data: bool,
    /// The file's name; the entry's own is made up.
    name: Option<Vec<u8>>,
    size: Option<u64>,
    map: Vec<(u64, u64)>,
    offset: Option<u64>,
    said: bool,
}

type Refused = &'static str;

impl Pax {
    /// Parses the body of an extended header.
    pub fn parse(mut body: &[u8]) -> Result<Self, Refused> {
        let mut pax = Pax::default();
        while !body.is_empty() {
            let (key, value, rest) = record(body).ok_or("a PAX header is malformed")?;
            pax.take(key, value)?;
            body = rest;
        }
        Ok(pax)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refused> {
        // An empty value takes back what a global header said, and those are ignored.
        if value.is_empty() && !key.starts_with(XATTR) {
            return Ok(());
        }
        match key {
            b"path" => self.path = Some(text(value)?),
            b"linkpath" => self.link = Some(text(value)?),
            b"uid" => self.uid = Some(id(signed(value))?),
            b"gid" => self.gid = Some(id(signed(value))?),
            b"size" => self.size = Some(unsigned(value)?),
            b"mtime" => self.mtime = Some(time(value).ok_or("a PAX time is malformed")?),
            _ if key.starts_with(b"GNU.sparse.") => self.sparse.take(&key[b"GNU.sparse.".len()..], value)?,
            _ => {
                if let Some(name) = key.strip_prefix(XATTR) {
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }

    /// Puts all but size and sparse map into `entry`.
    pub fn apply(&mut self, entry: &mut Entry) {
        let set = |from: &mut Option<Vec<u8>>, to: &mut Vec<u8>| {
            if let Some(value) = from.take() {
                *to = value;
            }
        };
        set(&mut self.path, &mut entry.name);
        set(&mut self.sparse.name, &mut entry.name);
        set(&mut self.link, &mut entry.link);
        entry.meta.uid = self.uid.unwrap_or(entry.meta.uid);
        entry.meta.gid = self.gid.unwrap_or(entry.meta.gid);
        entry.meta.mtime = self.mtime.unwrap_or(entry.meta.mtime);
        entry.xattrs.append(&mut self.xattrs);
    }
}

impl SparseRecords {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refused> {
        self.said = true;
        match key {
            b"major" => self.map_in_data = value == b"1",
            b"name" => self.name = Some(text(value)?),
            b"size" | b"realsize" => self.size = Some(unsigned(value)?),
            b"offset" => self.offset = Some(unsigned(value)?),
            b"numbytes" => self.map.push((self.offset.take().ok_or(MALFORMED)?, unsigned(value)?)),
            b"map" => self.map = pairs(value)?,
            _ => {}
        }
        Ok(())
    }

    /// The shape that the records tell, but for 1.0's map.
    pub fn into_sparse(self) -> Result<Option<Sparse>, Refused> {
        match (self.said, self.size) {
            (false, _) => Ok(None),
            (true, Some(size)) => Ok(Some(Sparse { size, map: self.map })),
            (true, None) => Err(MALFORMED),
        }
    }
}

const MALFORMED: Refused = "a sparse file's map is malformed";

fn pairs(value: &[u8]) -> Result<Vec<(u64, u64)>, Refused> {
    let numbers = value.split(|b| *b == b',').map(unsigned).collect::<Result<Vec<_>, _>>()?;
    match numbers.as_chunks::<2>() {
        (pairs, []) => Ok(pairs.iter().map(|[offset, length]| (*offset, *length)).collect()),
        _ => Err(MALFORMED),
    }
}

/// Key, value, and the rest, of a body that begins `25 key=value\n`.
fn record(body: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = body.iter().take(20).position(|b| *b == b' ')?;
    let length = usize::try_from(unsigned(&body[..space]).ok()?).ok()?;
    let (record, rest) = body.split_at_checked(length)?;
    let pair = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|b| *b == b'=')?;
    let (key, value) = (&pair[..equals], &pair[equals + 1..]);
    (!key.is_empty() && !key.contains(&0)).then_some((key, value, rest))
}

fn text(value: &[u8]) -> Result<Vec<u8>, Refused> {
    match value.contains(&0) {
        true => Err("a PAX name contains a NUL byte"),
        false => Ok(value.to_vec()),
    }
}

/// A decimal number that fits a file's size; no sign, no spaces.
pub fn unsigned(value: &[u8]) -> Result<u64, Refused> {
    let digits = value.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(value).ok().filter(|_| digits).and_then(|s| s.parse().ok());
    number.filter(|n| i64::try_from(*n).is_ok()).ok_or("a number in a PAX header is malformed or negative")
}

fn signed(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn time(value: &[u8]) -> Option<Time> {
    let (whole, fraction) = match value.iter().position(|b| *b == b'.') {
        Some(dot) => (&value[..dot], &value[dot + 1..]),
        None => (value, &b""[..]),
    };
    let seconds = signed(whole)?;
    let digits = fraction.iter().chain([b'0'; 9].iter()).take(9);
    let nanoseconds = digits.map(|b| b.is_ascii_digit().then_some(u32::from(b.wrapping_sub(b'0'))));
    let nanoseconds = nanoseconds.collect::<Option<Vec<_>>>()?.iter().fold(0, |sum, digit| sum * 10 + digit);
    match whole.starts_with(b"-") && nanoseconds > 0 {
        true => Some(Time { seconds: seconds.checked_sub(1)?, nanoseconds: 1_000_000_000 - nanoseconds }),
        false => Some(Time { seconds, nanoseconds }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_hold_line_ends() {
        let body = b"35 SCHILY.xattr.security.cap=\n=\n\n\n\n9 uid=17\n";
        let pax = Pax::parse(body).unwrap();
        assert_eq!(pax.xattrs, [(b"security.cap".to_vec(), b"\n=\n\n\n".to_vec())]);
        assert_eq!(pax.uid, Some(17));
    }

    #[test]
    fn malformed_records_are_refused() {
        let bad: [&[u8]; 12] = [
            b"x",
            b"5 a=b",
            b"99 a=b\n",
            b"0 a=b\n",
            b"3 a=b\n",
            b"6 a=bc",
            b"5 ab\n",
            b"6 =ab\n",
            b"-6 a=b\n",
            b"12 size=-12\n",
            b"11 path=\0x\n",
            b"99999999999999999999999 a=b\n",
        ];
        for body in bad {
            assert!(Pax::parse(body).is_err(), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn times_before_1970_and_fractions() {
        let at = |s: &str| time(s.as_bytes()).map(|t| (t.seconds, t.nanoseconds));
        assert_eq!(at("1.5"), Some((1, 500_000_000)));
        assert_eq!(at("-1.25"), Some((-2, 750_000_000)));
        assert_eq!(at("12.0000000019"), Some((12, 1)));
        assert_eq!(at("1.x"), None);
        assert_eq!(at(""), None);
    }
}
