//! From the first instruction to the work that the request asks for.

use core::panic::PanicInfo;

use crate::fail::{At, Fail, Outcome};
use crate::sys::{self, Errno};
use crate::wire::{ABI, Field, Header, Kind, Reader, Step, fd};
use crate::{launch, owners};

/// Called by `_start`. Arguments and environment are not looked at.
pub extern "C" fn main(_stack: *const usize) -> ! {
    let outcome = request().and_then(|(header, body)| dispatch(&header, body));
    match outcome {
        Ok(()) => sys::exit(0),
        Err(fail) => {
            fail.report();
            sys::exit(1)
        }
    }
}

fn dispatch(header: &Header, body: &'static [u8]) -> Outcome {
    match Kind::from_number(header.kind) {
        Some(Kind::Launch) => launch::run(header, parse(body)?),
        Some(Kind::ApplyOwners) => owners::apply(parse(body)?),
        Some(Kind::RemoveTrees) => owners::remove(parse(body)?),
        Some(Kind::Program) => Err(malformed()),
        None => Err(malformed()),
    }
}

fn parse<T: Field<'static>>(body: &'static [u8]) -> Outcome<T> {
    Reader(body).get().map_err(|_| malformed())
}

fn malformed() -> Fail {
    Fail { step: Step::Request, errno: Errno::EINVAL, detail: b"" }
}

/// Maps the request for good: every path in it is used where it lies.
fn request() -> Outcome<(Header, &'static [u8])> {
    let size = sys::fstat(fd::BLOB).step(Step::Request)?.size as usize;
    let blob = sys::map_file(fd::BLOB, size).step(Step::Request)?;
    let header = Header::read(blob).map_err(|_| malformed())?;
    if header.abi != ABI {
        return Err(Fail { step: Step::Abi, errno: Errno(0), detail: b"" });
    }
    let _ = sys::close(fd::BLOB);
    let body = blob[Header::SIZE..].get(..header.length as usize).ok_or_else(malformed)?;
    Ok((header, body))
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    sys::exit(134)
}
