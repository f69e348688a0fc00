//! Classic BPF, one instruction at a time (linux/filter.h, linux/seccomp.h).

/// `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// Instructions to skip when a jump's comparison holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// The constant.
    pub k: u32,
}

/// Codes that filters are made of.
pub mod code {
    /// `A = seccomp_data[k]`, four bytes.
    pub const LOAD: u16 = 0x20;
    /// `A &= k`
    pub const AND: u16 = 0x54;
    /// Skip k instructions.
    pub const SKIP: u16 = 0x05;
    /// `A == k`
    pub const EQUAL: u16 = 0x15;
    /// `A > k`
    pub const GREATER: u16 = 0x25;
    /// `A >= k`
    pub const GREATER_OR_EQUAL: u16 = 0x35;
    /// The verdict is k.
    pub const RETURN: u16 = 0x06;
}

/// Offset of the call's number in `struct seccomp_data`.
pub const NUMBER: u32 = 0;
/// Offset of the architecture.
pub const ARCH: u32 = 4;

/// Offset of the low half of an argument; both architectures of ours are little-endian.
pub fn argument(index: u8) -> u32 {
    16 + 8 * u32::from(index)
}

/// An instruction that does not jump by a comparison.
pub fn plain(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

/// A program that is written from its end to its beginning, so that a jump's length is known when it is written.
#[derive(Default)]
pub struct Backwards(Vec<Instruction>);

impl Backwards {
    /// How many instructions there are so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Goes before all that is there.
    pub fn put(&mut self, instruction: Instruction) {
        self.0.push(instruction);
    }

    /// `if A <code> k { yes } else { no }`, where neither part falls out at its end: the no part was written first,
    /// then the yes part, of so many instructions.
    pub fn branch(&mut self, code: u16, k: u32, yes: usize) {
        match u8::try_from(yes) {
            Ok(over) => self.put(Instruction { code, jt: 0, jf: over, k }),
            // Comparisons reach 255 instructions, a skip any number.
            Err(_) => {
                self.put(plain(code::SKIP, yes as u32));
                self.put(Instruction { code, jt: 1, jf: 0, k });
            }
        }
    }

    /// From the beginning.
    pub fn into_forwards(self) -> impl Iterator<Item = Instruction> {
        self.0.into_iter().rev()
    }
}
