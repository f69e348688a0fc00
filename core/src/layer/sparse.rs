//! Sparse files: reading and checking their maps.

use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

use super::entry::Sparse;
use super::header::{BLOCK, Block, number};
use super::pax::unsigned;
use super::pipe::{TarStream, truncated};
use crate::error::Result;

/// Most stretches of data in one file: the map is bounded before it is allocated.
const MOST: usize = 1 << 16;

const MALFORMED: &str = "a sparse file's map is malformed";
const TOO_LONG: &str = "a sparse file has more than 65536 stretches of data";

/// Why the archive itself is refused, or the error of reading it.
pub enum Failure {
    /// Malformed.
    Refused(&'static str),
    /// Reading failed.
    Error(crate::error::Error),
}

impl From<crate::error::Error> for Failure {
    fn from(e: crate::error::Error) -> Self {
        Failure::Error(e)
    }
}

impl From<&'static str> for Failure {
    fn from(why: &'static str) -> Self {
        Failure::Refused(why)
    }
}

/// The shape in an old GNU header and the blocks that continue it.
pub fn from_gnu(block: &Block, stream: &mut TarStream) -> Result<Sparse, Failure> {
    let gnu = Header::from_byte_slice(block).as_gnu().ok_or("a sparse file has no GNU header")?;
    let size = number(&gnu.realsize).and_then(|n| u64::try_from(n).ok()).ok_or(MALFORMED)?;
    let mut map = Vec::new();
    append(&mut map, &gnu.sparse)?;
    let mut more = gnu.isextended[0] != 0;
    while more {
        let mut next = GnuExtSparseHeader::new();
        match stream.read_exact(next.as_mut_bytes())? {
            true => append(&mut map, next.sparse())?,
            false => return Err(truncated().into()),
        }
        more = next.isextended[0] != 0;
    }
    Ok(Sparse { size, map })
}

fn append(map: &mut Vec<(u64, u64)>, stretches: &[GnuSparseHeader]) -> Result<(), Failure> {
    for stretch in stretches.iter().take_while(|s| s.numbytes[0] != 0) {
        let field = |f: &[u8]| number(f).and_then(|n| u64::try_from(n).ok()).ok_or(MALFORMED);
        map.push((field(&stretch.offset)?, field(&stretch.numbytes)?));
    }
    match map.len() > MOST {
        true => Err(TOO_LONG.into()),
        false => Ok(()),
    }
}

/// Reads the map that lies in front of the data (GNU tar's format 1.0); the bytes it took.
pub fn from_data(stream: &mut TarStream, stored: u64) -> Result<(Vec<(u64, u64)>, u64), Failure> {
    let mut numbers = Numbers { stream, left: stored, block: [0; BLOCK], at: BLOCK };
    let count = numbers.next()? as usize;
    if count > MOST {
        return Err(TOO_LONG.into());
    }
    let mut map = Vec::new();
    for _ in 0..count {
        map.push((numbers.next()?, numbers.next()?));
    }
    Ok((map, stored - numbers.left))
}

/// Decimal numbers, one a line, in whole blocks.
struct Numbers<'a> {
    stream: &'a mut TarStream,
    left: u64,
    block: Block,
    at: usize,
}

impl Numbers<'_> {
    fn next(&mut self) -> Result<u64, Failure> {
        let mut digits = [0; 20];
        for i in 0..digits.len() {
            match self.byte()? {
                b'\n' => return Ok(unsigned(&digits[..i]).map_err(|_| MALFORMED)?),
                byte => digits[i] = byte,
            }
        }
        Err(MALFORMED.into())
    }

    fn byte(&mut self) -> Result<u8, Failure> {
        if self.at == BLOCK {
            self.left = self.left.checked_sub(BLOCK as u64).ok_or(MALFORMED)?;
            if !self.stream.read_exact(&mut self.block)? {
                return Err(truncated().into());
            }
            self.at = 0;
        }
        self.at += 1;
        Ok(self.block[self.at - 1])
    }
}

/// Checks that the stretches are in order, within the file, and together as long as the data.
pub fn check(sparse: &Sparse, stored: u64) -> Result<(), &'static str> {
    let mut end = 0u64;
    let mut sum = 0u64;
    for (offset, length) in &sparse.map {
        let in_order = *offset >= end;
        end = offset.checked_add(*length).filter(|_| in_order).ok_or(MALFORMED)?;
        sum += length;
    }
    match end <= sparse.size && sum == stored {
        true => Ok(()),
        false => Err("a sparse file's map does not fit its data"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_must_fit_the_data() {
        let fits = |size, map: &[(u64, u64)], stored| check(&Sparse { size, map: map.to_vec() }, stored).is_ok();
        assert!(fits(10, &[(0, 2), (4, 2), (10, 0)], 4));
        assert!(!fits(10, &[(0, 2), (1, 2)], 4), "overlap");
        assert!(!fits(10, &[(9, 2)], 2), "past the end");
        assert!(!fits(10, &[(0, 2)], 4), "too little");
        assert!(!fits(u64::MAX, &[(u64::MAX, 2)], 2), "overflow");
    }
}
