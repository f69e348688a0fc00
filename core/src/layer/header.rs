//! The fields of a tar header block.
//!
//! The `tar` crate knows where the fields lie; what they hold is parsed here, since its own parsing
//! takes a negative size for a huge one and refuses the empty fields that many archives have.

use tar::Header;

use super::entry::{Entry, Meta, Time};

/// Size of a header and of the unit that data is padded to.
pub const BLOCK: usize = 512;

/// A block of the archive.
pub type Block = [u8; BLOCK];

/// True when the block's checksum is right. Old tars summed signed bytes.
pub fn checksum_fits(block: &Block) -> bool {
    let Some(stored) = number(&Header::from_byte_slice(block).as_old().cksum) else { return false };
    let (before, after) = (&block[..148], &block[156..]);
    let spaces = 8 * i64::from(b' ');
    let bytes = || before.iter().chain(after);
    let unsigned: i64 = bytes().map(|b| i64::from(*b)).sum();
    stored == unsigned + spaces || stored == bytes().map(|b| i64::from(*b as i8)).sum::<i64>() + spaces
}

/// The block's size field.
pub fn size(block: &Block) -> Result<u64, &'static str> {
    let size = number(&Header::from_byte_slice(block).as_old().size).ok_or("the size is not a number")?;
    u64::try_from(size).map_err(|_| "the size is negative")
}

/// The block's type.
pub fn typeflag(block: &Block) -> u8 {
    Header::from_byte_slice(block).as_old().linkflag[0]
}

/// Puts the fields of `block` into `entry`, all but kind and size.
pub fn read(block: &Block, entry: &mut Entry) -> Result<(), &'static str> {
    let header = Header::from_byte_slice(block);
    let old = header.as_old();
    entry.name.clear();
    if let Some(ustar) = header.as_ustar().filter(|u| u.prefix[0] != 0) {
        entry.name.extend_from_slice(until_nul(&ustar.prefix));
        entry.name.push(b'/');
    }
    entry.name.extend_from_slice(until_nul(&old.name));
    entry.link.clear();
    entry.link.extend_from_slice(until_nul(&old.linkname));
    entry.meta = Meta {
        uid: id(number(&old.uid))?,
        gid: id(number(&old.gid))?,
        mode: number(&old.mode).ok_or("the mode is not a number")? as u32 & 0o7777,
        mtime: Time { seconds: number(&old.mtime).ok_or("the time is not a number")?, nanoseconds: 0 },
    };
    entry.device = device(header)?;
    Ok(())
}

fn device(header: &Header) -> Result<(u32, u32), &'static str> {
    let (major, minor) = match (header.as_ustar(), header.as_gnu()) {
        (Some(ustar), _) => (&ustar.dev_major, &ustar.dev_minor),
        (_, Some(gnu)) => (&gnu.dev_major, &gnu.dev_minor),
        _ => return Ok((0, 0)),
    };
    let part =
        |field: &[u8]| number(field).and_then(|n| u32::try_from(n).ok()).ok_or("the device number is out of range");
    // Some writers leave rubbish here in entries that aren't devices.
    match header.as_old().linkflag[0] {
        b'3' | b'4' => Ok((part(major)?, part(minor)?)),
        _ => Ok((0, 0)),
    }
}

/// A user or group id. The largest means "unchanged" to the kernel, so it is none.
pub fn id(number: Option<i64>) -> Result<u32, &'static str> {
    number.and_then(|n| u32::try_from(n).ok()).filter(|n| *n != u32::MAX).ok_or("the owner is out of range")
}

/// A numeric field: octal text, or GNU's base 256 when the first bit is set. An empty field is 0.
pub fn number(field: &[u8]) -> Option<i64> {
    if field[0] & 0x80 != 0 {
        return base256(field);
    }
    let digits = until_nul(trim(field));
    digits.iter().try_fold(0i64, |sum, digit| match digit {
        b'0'..=b'7' => sum.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

fn base256(field: &[u8]) -> Option<i64> {
    // Two's complement whose sign is the second bit; the first is only the mark.
    let first = (i128::from(field[0]) & 0x7f) - ((i128::from(field[0]) & 0x40) << 1);
    let value = field[1..].iter().fold(first, |sum, byte| (sum << 8) | i128::from(*byte));
    i64::try_from(value).ok()
}

fn trim(field: &[u8]) -> &[u8] {
    let filler = |b: &u8| matches!(b, 0 | b' ');
    let start = field.iter().position(|b| !filler(b)).unwrap_or(field.len());
    let end = field.iter().rposition(|b| !filler(b)).map_or(start, |last| last + 1);
    &field[start..end]
}

/// The field up to its first NUL.
pub fn until_nul(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    &field[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_fields_as_writers_pad_them() {
        for field in [&b"0000644\0"[..], b"   644 \0", b"000644 \0", b"644\0\0\0\0\0", b"\0\0000644\0"] {
            assert_eq!(number(field), Some(0o644), "{field:?}");
        }
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"        "), Some(0));
        for bad in [&b"-000001\0"[..], b"0000008\0", b"0x10\0\0\0\0", b"7777777777777777777777777"] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn binary_fields_keep_their_sign() {
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 1, 0]), Some(256));
        assert_eq!(number(&[0xff; 12]), Some(-1));
        let mut huge = [0; 12];
        (huge[0], huge[3]) = (0x80, 1);
        assert_eq!(number(&huge), None);
        assert_eq!(id(Some(-1)), Err("the owner is out of range"));
        assert!(id(Some(i64::from(u32::MAX))).is_err());
    }
}
