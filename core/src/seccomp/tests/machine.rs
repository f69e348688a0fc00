//! A machine for classic BPF, as far as the kernel allows it in filters; refuses what the kernel would refuse.

/// `struct seccomp_data`, but for the instruction pointer.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub audit: u32,
    pub number: u32,
    pub args: [u64; 6],
}

impl Call {
    fn word(&self, offset: u32) -> u32 {
        let half = |value: u64, high: bool| if high { (value >> 32) as u32 } else { value as u32 };
        match offset {
            0 => self.number,
            4 => self.audit,
            16..64 if offset.is_multiple_of(4) => half(self.args[(offset as usize - 16) / 8], offset % 8 == 4),
            _ => panic!("load at {offset}"),
        }
    }
}

/// The verdict of a program.
pub fn run(program: &[u8], call: &Call) -> u32 {
    let (mut at, mut a) = (0, 0);
    loop {
        let i = &program[at * 8..at * 8 + 8];
        let code = u16::from_ne_bytes([i[0], i[1]]);
        let k = u32::from_ne_bytes([i[4], i[5], i[6], i[7]]);
        let branch = |holds: bool| if holds { usize::from(i[2]) } else { usize::from(i[3]) };
        at += 1;
        match code {
            0x20 => a = call.word(k),
            0x54 => a &= k,
            0x05 => at += k as usize,
            0x15 => at += branch(a == k),
            0x25 => at += branch(a > k),
            0x35 => at += branch(a >= k),
            0x06 => return k,
            other => panic!("code {other:#x}"),
        }
    }
}
