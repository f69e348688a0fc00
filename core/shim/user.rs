//! The container's user: `user[:group]` looked up in the image's own /etc/passwd and /etc/group.
//!
//! Both files are hostile: read up to a bound, never through a device or pipe, parsed strictly, lines that
//! don't parse skipped. Nothing of the host's name services is asked.

use core::ffi::CStr;

use crate::fail::{At, Fail, Outcome, keep};
use crate::sys::{self, AT_FDCWD, Errno};
use crate::text::{Text, parse_dec};
use crate::wire::{Process, Step};

/// Who the payload runs as.
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// `HOME=` and the home directory.
    pub home: &'static CStr,
    groups: &'static mut [u32],
    count: usize,
}

const MOST_BYTES: usize = 1 << 20;
const MOST_GROUPS: usize = 1024;
const MOST_ID: u64 = i32::MAX as u64;

impl User {
    /// The supplementary groups.
    pub fn groups(&self) -> &[u32] {
        &self.groups[..self.count]
    }

    fn join(&mut self, gid: u32) {
        if self.count < MOST_GROUPS && !self.groups().contains(&gid) {
            self.groups[self.count] = gid;
            self.count += 1;
        }
    }
}

/// Finds the process's user, group and supplementary groups; the container's root is this process's.
pub fn find(process: &Process<'static>) -> Outcome<User> {
    let spec = process.user.to_bytes();
    let (user, group) = match spec.iter().position(|b| *b == b':') {
        Some(colon) => (&spec[..colon], Some(&spec[colon + 1..])),
        None => (spec, None),
    };
    let user = if user.is_empty() { b"0" } else { user };
    let passwd = read(c"/etc/passwd").step(Step::User)?;
    let entry = passwd_entry(passwd, user);
    let groups = words(MOST_GROUPS).step(Step::User)?;
    let mut found = match entry {
        Some(e) => User { uid: e.uid, gid: e.gid, home: home(e.home), groups, count: 0 },
        None => User { uid: id(user).ok_or(unknown(Step::User, user))?, gid: 0, home: c"HOME=/", groups, count: 0 },
    };
    add_groups(&mut found, entry.map(|e| e.name), group, process)?;
    // Else the process could leave its group by a set-group-id program and shed what is denied to it (CVE-2022-36109).
    found.join(found.gid);
    Ok(found)
}

fn add_groups(
    user: &mut User,
    name: Option<&[u8]>,
    group: Option<&'static [u8]>,
    process: &Process<'static>,
) -> Outcome {
    let file = read(c"/etc/group").step(Step::Group)?;
    match (group, name) {
        (Some(group), _) => user.gid = group_id(file, group)?,
        // Only without a group of its own choice a user is a member of those that list him, as in Docker.
        (None, Some(name)) => lines(file).filter(|g| g.lists(name)).for_each(|g| user.join(g.gid)),
        (None, None) => {}
    }
    for extra in process.groups.iter() {
        let gid = group_id(file, extra.to_bytes())?;
        user.join(gid);
    }
    Ok(())
}

fn unknown(step: Step, detail: &'static [u8]) -> Fail {
    Fail { step, errno: Errno::ENOENT, detail }
}

/// A user's or a group's number.
pub fn id(text: &[u8]) -> Option<u32> {
    parse_dec(text).filter(|n| *n <= MOST_ID).map(|n| n as u32)
}

fn home(path: &[u8]) -> &'static CStr {
    let path = if path.is_empty() { b"/" } else { path };
    let text: Text<1024> = Text::of(&[b"HOME=", path, b"\0"]);
    CStr::from_bytes_until_nul(keep(&text)).unwrap_or(c"HOME=/")
}

#[derive(Clone, Copy)]
struct PasswdEntry {
    name: &'static [u8],
    uid: u32,
    gid: u32,
    home: &'static [u8],
}

/// The first entry with this name; a number is never taken for one, or an image's entry of that name could make root
/// of it.
fn passwd_entry(file: &'static [u8], user: &[u8]) -> Option<PasswdEntry> {
    let (number, numeric) = (id(user), is_number(user));
    let wanted = |e: &PasswdEntry| if numeric { Some(e.uid) == number } else { e.name == user };
    file.split(|b| *b == b'\n').filter_map(parse_passwd).find(wanted)
}

fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

fn parse_passwd(line: &'static [u8]) -> Option<PasswdEntry> {
    let mut fields = line.split(|b| *b == b':');
    let name = fields.next().filter(|n| !n.is_empty())?;
    let (_, uid, gid) = (fields.next()?, id(fields.next()?)?, id(fields.next()?)?);
    let (_, home) = (fields.next(), fields.next().unwrap_or_default());
    Some(PasswdEntry { name, uid, gid, home })
}

#[derive(Clone, Copy)]
struct GroupEntry {
    name: &'static [u8],
    gid: u32,
    members: &'static [u8],
}

impl GroupEntry {
    fn lists(&self, user: &[u8]) -> bool {
        self.members.split(|b| *b == b',').any(|m| m == user)
    }
}

fn lines(file: &'static [u8]) -> impl Iterator<Item = GroupEntry> {
    file.split(|b| *b == b'\n').filter_map(|line| {
        let mut fields = line.split(|b| *b == b':');
        let name = fields.next().filter(|n| !n.is_empty())?;
        let (_, gid) = (fields.next()?, id(fields.next()?)?);
        Some(GroupEntry { name, gid, members: fields.next().unwrap_or_default() })
    })
}

fn group_id(file: &'static [u8], group: &'static [u8]) -> Outcome<u32> {
    let found = if is_number(group) { id(group) } else { lines(file).find(|g| g.name == group).map(|g| g.gid) };
    found.ok_or(unknown(Step::Group, group))
}

/// A regular file's content; nothing when there is no such file, an error when it is too long.
fn read(path: &CStr) -> sys::Result<&'static [u8]> {
    // O_NONBLOCK: a pipe in its place must not stop the start.
    let flags = sys::O_RDONLY | sys::O_NONBLOCK | sys::O_NOCTTY;
    let fd = match sys::openat2(AT_FDCWD, path, flags, 0, sys::RESOLVE_NO_MAGICLINKS) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(b""),
        other => other?,
    };
    let content = read_open(fd);
    let _ = sys::close(fd);
    content
}

/// The same of one that is open.
pub fn read_open(fd: sys::Fd) -> sys::Result<&'static [u8]> {
    let stat = sys::fstat(fd)?;
    // A masked file is /dev/null.
    if stat.kind() != sys::S_IFREG {
        return Ok(b"");
    }
    if stat.size as usize > MOST_BYTES {
        return Err(Errno::EFBIG);
    }
    let memory = sys::map_anonymous(stat.size as usize)?;
    let (mut n, size) = (0, stat.size as usize);
    while n < size {
        match sys::read(fd, &mut memory[n..])? {
            0 => break,
            more => n += more,
        }
    }
    Ok(&memory[..n])
}

fn words(n: usize) -> sys::Result<&'static mut [u32]> {
    let memory = sys::map_anonymous(n * 4)?;
    // SAFETY: the mapping is fresh, page-aligned, zeroed, that long, and nobody unmaps it.
    Ok(unsafe { core::slice::from_raw_parts_mut(memory.as_mut_ptr().cast(), n) })
}
