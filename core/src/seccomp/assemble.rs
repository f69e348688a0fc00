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

/// Where a decision leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To this verdict, wherever in the program it is returned.
    Return(u32),
    /// To the instruction that was the first when there were so many.
    To(usize),
}

/// A program that is written from its end to its beginning, so that a jump's length is known when it is written.
#[derive(Default)]
pub struct Backwards {
    program: Vec<Instruction>,
    /// The verdicts that are returned somewhere, and the first of each as [`Way::To`] counts.
    returns: Vec<(u32, usize)>,
}

/// So many instructions a comparison skips at most.
const FAR: usize = u8::MAX as usize;

impl Backwards {
    /// How many instructions there are so far.
    pub fn len(&self) -> usize {
        self.program.len()
    }

    /// Goes before all that is there.
    pub fn put(&mut self, instruction: Instruction) {
        self.program.push(instruction);
    }

    /// `if A <code> k { yes } else { no }`
    pub fn branch(&mut self, code: u16, k: u32, mut yes: Way, mut no: Way) -> Way {
        loop {
            let before = self.len();
            let (there, elsewhere) = (self.near(yes), self.near(no));
            if self.len() == before {
                let over = |place| (before - place) as u8;
                self.put(Instruction { code, jt: over(there), jf: over(elsewhere), k });
                return Way::To(self.len());
            }
            // What was put for one of them has moved the other away.
            (yes, no) = (Way::To(there), Way::To(elsewhere));
        }
    }

    /// Goes there from what is put next.
    pub fn lead(&mut self, way: Way) {
        match way {
            Way::To(place) if place == self.len() => {}
            Way::To(place) => self.put(plain(code::SKIP, (self.len() - place) as u32)),
            Way::Return(verdict) => {
                self.put(plain(code::RETURN, verdict));
                self.returns.retain(|(other, _)| *other != verdict);
                self.returns.push((verdict, self.len()));
            }
        }
    }

    /// A place that a comparison reaches from here. Verdicts are shared as far as that goes, since the kernel takes its
    /// time over each instruction of a filter.
    fn near(&mut self, way: Way) -> usize {
        let there = match way {
            Way::To(place) => Some(place),
            Way::Return(verdict) => self.returns.iter().find(|(other, _)| *other == verdict).map(|(_, place)| *place),
        };
        match there {
            Some(place) if self.len() - place <= FAR => place,
            _ => {
                self.lead(way);
                self.len()
            }
        }
    }

    /// From the beginning.
    pub fn into_forwards(self) -> impl Iterator<Item = Instruction> {
        self.program.into_iter().rev()
    }
}
