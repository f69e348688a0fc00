//! Text without a heap: a buffer of fixed size that numbers and bytes are appended to.

use core::ffi::CStr;
use core::mem::MaybeUninit;

/// Up to `N - 1` bytes, always followed by a NUL; what doesn't fit is cut and remembered.
pub struct Text<const N: usize> {
    // Left as it is found: most texts are paths of some dozen bytes in room for 4096.
    bytes: [MaybeUninit<u8>; N],
    len: usize,
    cut: bool,
}

#[allow(dead_code)]
impl<const N: usize> Text<N> {
    /// Nothing.
    #[inline(always)]
    pub const fn new() -> Self {
        Text { bytes: [MaybeUninit::uninit(); N], len: 0, cut: false }
    }

    /// These pieces, one after the other. Inlined, so that the text is made where it is kept.
    #[inline(always)]
    pub fn of(pieces: &[&[u8]]) -> Self {
        let mut text = Self::new();
        for piece in pieces {
            text.push(piece);
        }
        text
    }

    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) -> &mut Self {
        let n = bytes.len().min(N - 1 - self.len);
        // SAFETY: `n` bytes fit behind those that there are.
        unsafe { self.bytes.as_mut_ptr().cast::<u8>().add(self.len).copy_from_nonoverlapping(bytes.as_ptr(), n) };
        self.len += n;
        self.cut |= n < bytes.len();
        self
    }

    /// Appends a number in decimal.
    pub fn dec(&mut self, n: u64) -> &mut Self {
        let (mut digits, mut at, mut rest) = ([0u8; 20], 20, n);
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return self.push(&digits[at..]);
            }
        }
    }

    /// Appends a number in decimal, with its sign.
    pub fn signed(&mut self, n: i64) -> &mut Self {
        if n < 0 {
            self.push(b"-");
        }
        self.dec(n.unsigned_abs())
    }

    /// Appends a number in decimal, zero-padded to `width`.
    pub fn padded(&mut self, n: u64, width: usize) -> &mut Self {
        let mut least = 10u64.saturating_pow(width as u32 - 1);
        while least > 1 && n < least {
            self.push(b"0");
            least /= 10;
        }
        self.dec(n)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        (self.len, self.cut) = (0, false);
    }

    /// The text.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: that many were written.
        unsafe { core::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.len) }
    }

    /// True when something did not fit.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// The text as a path for a system call; ends at the first NUL.
    pub fn c(&mut self) -> &CStr {
        self.bytes[self.len].write(0);
        // SAFETY: that many were written, and the NUL.
        let bytes = unsafe { core::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.len + 1) };
        match CStr::from_bytes_until_nul(bytes) {
            Ok(s) => s,
            Err(_) => c"",
        }
    }
}

/// An unsigned decimal number and nothing else.
pub fn parse_dec(s: &[u8]) -> Option<u64> {
    if s.is_empty() {
        return None;
    }
    s.iter().try_fold(0u64, |n, b| match b {
        b'0'..=b'9' => n.checked_mul(10)?.checked_add((b - b'0') as u64),
        _ => None,
    })
}
