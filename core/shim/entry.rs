//! From the first instruction to the work that the request asks for.

use core::ffi::CStr;
use core::panic::PanicInfo;

use crate::ahead::Ahead;
use crate::fail::{At, Fail, Outcome};
use crate::sys::{self, Errno, Fd};
use crate::wire::{ABI, Field, Header, Kind, Launch, NEW_NET, Reader, Step, fd};
use crate::{bundle, enter, exec, files_enter, launch, memory, owners, program};

/// Called by `_start` with the address of the argument count, which the arguments follow.
pub extern "C" fn main(stack: *const usize) -> ! {
    // SAFETY: the kernel puts the count and the vector of strings there.
    if unsafe { *stack > 0 && CStr::from_ptr(*stack.add(1) as *const _) == c"/selftest" } {
        payload_of_selftest();
    }
    exec::default_actions();
    let outcome = request().and_then(|(header, body, ahead)| dispatch(&header, body, ahead));
    match outcome {
        Ok(()) => sys::exit(0),
        Err(fail) => {
            fail.report();
            sys::exit(1)
        }
    }
}

/// As the only program of a test image: proof that a container runs.
fn payload_of_selftest() -> ! {
    let told = sys::write_all(fd::STDOUT, b"ok\n");
    sys::exit(told.is_err() as i32)
}

fn dispatch(header: &Header, body: &'static [u8], ahead: Ahead) -> Outcome {
    match Kind::from_number(header.kind) {
        Some(Kind::Launch) => launch::run(header, kept(body)?, ahead),
        Some(Kind::ApplyOwners) => owners::apply(parse(body)?),
        Some(Kind::RemoveTrees) => owners::remove(parse(body)?),
        Some(Kind::Program) => program::run(parse(body)?),
        Some(Kind::Files) => files_enter::run(parse(body)?),
        Some(Kind::Bundle) => bundle::run(header, parse(body)?),
        Some(Kind::Enter) => enter::run(header, parse(body)?),
        // The others are asked of a container's own shim.
        _ => Err(malformed()),
    }
}

/// What is looked at for as long as the container runs. In a frame of its own, which is gone by then.
#[inline(never)]
fn kept(body: &'static [u8]) -> Outcome<&'static Launch<'static>> {
    memory::keep(parse(body)?).step(Step::Request)
}

fn parse<T: Field<'static>>(body: &'static [u8]) -> Outcome<T> {
    Reader(body).get().map_err(|_| malformed())
}

fn malformed() -> Fail {
    Fail { step: Step::Request, errno: Errno::EINVAL, detail: b"" }
}

/// Maps the request for good: every path in it is used where it lies.
fn request() -> Outcome<(Header, &'static [u8], Ahead)> {
    let ahead = if request_size()? == 0 { take_request().step(Step::Request)? } else { Ahead::NOTHING };
    let size = request_size()?;
    let blob = sys::map_file(fd::BLOB, size).step(Step::Request)?;
    let header = Header::read(blob).map_err(|_| malformed())?;
    if header.abi != ABI {
        return Err(Fail { step: Step::Abi, errno: Errno(0), detail: b"" });
    }
    let _ = sys::close(fd::BLOB);
    let body = blob[Header::SIZE..].get(..header.length as usize).ok_or_else(malformed)?;
    Ok((header, body, ahead))
}

fn request_size() -> Outcome<usize> {
    sys::fstat(fd::BLOB).step(Step::Request).map(|file| file.size as usize)
}

/// Started before its request was known: takes descriptors as they come, each with its number, to that of the request.
fn take_request() -> sys::Result<Ahead> {
    let mut ahead = Ahead::NOTHING;
    loop {
        let mut word = [0; 1];
        match sys::recv_fd(fd::STATUS, &mut word)? {
            (1, None) if word[0] == NEW_NET => ahead = Ahead::in_new_net(),
            (1, Some(given)) if word[0] < fd::FIRST_FREE as u8 => place(given, word[0].into())?,
            // The host has nothing to ask, or is gone.
            _ => sys::exit(0),
        }
        if i32::from(word[0]) == fd::BLOB {
            return Ok(ahead);
        }
    }
}

fn place(given: Fd, number: Fd) -> sys::Result {
    sys::dup_to(given, number)?;
    sys::close(given)
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    sys::exit(134)
}
