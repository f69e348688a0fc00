//! The packets that go back and forth while a container lives.

use super::field::{Malformed, Reader};

/// The longest packet; longer details are cut.
pub const PACKET_MAX: usize = 1024;

/// What the kernel's out-of-memory killer did to the processes of a cgroup, and what it had to go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oom {
    /// Processes that it killed.
    pub kills: u64,
    /// The limit in bytes; 0 for none.
    pub limit: u64,
    /// The most that was in use, in bytes; 0 where that is not counted.
    pub peak: u64,
    /// How often the limit was hit: v1's `memory.failcnt`, `oom` of v2's `memory.events`.
    pub hits: u64,
}

impl Oom {
    const SIZE: usize = 32;

    /// Without what was killed before; nothing when that is all.
    pub fn since(self, before: u64) -> Oom {
        match self.kills.saturating_sub(before) {
            0 => Oom::default(),
            kills => Oom { kills, ..self },
        }
    }

    fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        for (chunk, n) in bytes.chunks_exact_mut(8).zip([self.kills, self.limit, self.peak, self.hits]) {
            chunk.copy_from_slice(&n.to_ne_bytes());
        }
        bytes
    }

    fn decode(r: &mut Reader<'_>) -> Result<Oom, Malformed> {
        Ok(Oom { kills: r.get()?, limit: r.get()?, peak: r.get()?, hits: r.get()? })
    }
}

/// An answer of the shim, or a word of a client to it. One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status<'a> {
    /// The payload runs: its pid and the shim's, as the host sees them.
    Ready { init: i32, shim: i32 },
    /// Nothing runs: the step that failed, the errno, and the path or text that belongs to it.
    Failed { step: u32, errno: i32, detail: &'a [u8] },
    /// It ended: exit code, or the signal that killed it; what the out-of-memory killer did meanwhile. `unwritten`: the errno
    /// with which the host's standard output or error took no more, or 0.
    Exited { code: i32, signal: i32, unwritten: i32, oom: Oom },
    /// Client to shim: the new size of the command's terminal.
    Resize { rows: u16, columns: u16 },
    /// Client to shim: a signal for the command.
    Signal { number: i32 },
    /// The command ran out of its time and was killed; its end follows.
    TimedOut,
    /// What was asked for is done.
    Done,
    /// Client to shim: nobody wants the command any more; it is killed, with its process group.
    Abandon,
    /// The pipes of a container's streams come along, in their order: 1 for input, 2 for output, 4 for errors.
    Attached { streams: u32 },
    /// Nothing runs yet: this process, as the host sees it, waits to be put into a cgroup.
    Born { pid: i32 },
    /// Client to shim: nobody reads these any more, 2 for output, 4 for errors; what comes there is thrown away.
    Unread { streams: u32 },
}

impl<'a> Status<'a> {
    const FIXED: usize = 16;

    /// Writes the packet and returns its length.
    pub fn encode(&self, packet: &mut [u8; PACKET_MAX]) -> usize {
        let none: &[u8] = &[];
        let killed;
        let (words, detail) = match *self {
            Status::Ready { init, shim } => ([1, init as u32, shim as u32, 0], none),
            Status::Failed { step, errno, detail } => ([2, step, errno as u32, 0], detail),
            Status::Exited { code, signal, unwritten, ref oom } => {
                killed = oom.encode();
                ([3, code as u32, signal as u32, unwritten as u32], &killed[..])
            }
            Status::Resize { rows, columns } => ([4, rows as u32, columns as u32, 0], none),
            Status::Signal { number } => ([5, number as u32, 0, 0], none),
            Status::TimedOut => ([6, 0, 0, 0], none),
            Status::Done => ([7, 0, 0, 0], none),
            Status::Abandon => ([8, 0, 0, 0], none),
            Status::Attached { streams } => ([9, streams, 0, 0], none),
            Status::Unread { streams } => ([10, streams, 0, 0], none),
            Status::Born { pid } => ([11, pid as u32, 0, 0], none),
        };
        for (chunk, word) in packet.chunks_exact_mut(4).zip(words) {
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
        let n = detail.len().min(PACKET_MAX - Self::FIXED);
        packet[Self::FIXED..Self::FIXED + n].copy_from_slice(&detail[..n]);
        Self::FIXED + n
    }

    /// Reads a packet.
    pub fn decode(packet: &'a [u8]) -> Result<Status<'a>, Malformed> {
        let r = &mut Reader(packet);
        let (tag, a, b, c): (u32, u32, u32, u32) = (r.get()?, r.get()?, r.get()?, r.get()?);
        match tag {
            1 => Ok(Status::Ready { init: a as i32, shim: b as i32 }),
            2 => Ok(Status::Failed { step: a, errno: b as i32, detail: r.0 }),
            3 => {
                let (code, signal, unwritten) = (a as i32, b as i32, c as i32);
                Ok(Status::Exited { code, signal, unwritten, oom: Oom::decode(r)? })
            }
            4 => Ok(Status::Resize { rows: a as u16, columns: b as u16 }),
            5 => Ok(Status::Signal { number: a as i32 }),
            6 => Ok(Status::TimedOut),
            7 => Ok(Status::Done),
            8 => Ok(Status::Abandon),
            9 => Ok(Status::Attached { streams: a }),
            10 => Ok(Status::Unread { streams: a }),
            11 => Ok(Status::Born { pid: a as i32 }),
            _ => Err(Malformed),
        }
    }
}
