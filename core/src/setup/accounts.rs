//! The users of the machine, and what it gives new ones.

use super::host::Host;
use crate::error::Result;

/// A user, as `/etc/passwd` has it, or by number alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    /// Its name; where it is not in `/etc/passwd`, its number.
    pub name: String,
    pub uid: u32,
    pub gid: Option<u32>,
}

/// Finds a user by name or number. One from elsewhere, as of LDAP, has to be named by number.
pub(super) fn find(host: &Host<'_>, word: &str) -> Result<Option<User>> {
    let text = host.text("/etc/passwd")?;
    let mut known = text.lines().filter_map(user);
    let number: Option<u32> = word.parse().ok().filter(|n| *n != u32::MAX);
    let found = known.find(|user| user.name == word || Some(user.uid) == number);
    Ok(found.or(number.map(|uid| User { name: uid.to_string(), uid, gid: None })))
}

/// A line of passwd(5).
fn user(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let (name, _password) = (fields.next()?.to_owned(), fields.next()?);
    Some(User { name, uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok() })
}

/// A number of `/etc/login.defs`, which may be hexadecimal (login.defs(5)); of several the last counts.
pub(super) fn setting(login_defs: &str, key: &str) -> Option<u64> {
    let mut lines = login_defs.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    number(lines.rfind(|(name, _)| *name == key)?.1.trim())
}

/// A number as C has it, hexadecimal or octal by how it begins: the tools for accounts read theirs so.
pub(super) fn number(text: &str) -> Option<u64> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    match (hexadecimal, text.strip_prefix('0')) {
        (Some(digits), _) => u64::from_str_radix(digits, 16).ok(),
        (None, Some(digits)) if !digits.is_empty() => u64::from_str_radix(digits, 8).ok(),
        _ => text.parse().ok(),
    }
}

/// The numbers that users have by `/etc/passwd`, or groups by `/etc/group`: the third field of either.
pub(super) fn ids(text: &str) -> impl Iterator<Item = u64> {
    text.lines().filter_map(|line| line.split(':').nth(2)?.parse().ok())
}

/// The groups that users have by `/etc/passwd`.
pub(super) fn primary_groups(passwd: &str) -> impl Iterator<Item = u64> {
    passwd.lines().filter_map(|line| line.split(':').nth(3)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_login_defs() {
        let text = "# SUB_UID_MIN 1\nSUB_UID_MIN\t\t 100000\nSUB_UID_COUNT 0x10000\n";
        assert_eq!(setting(text, "SUB_UID_MIN"), Some(100_000));
        assert_eq!(setting(text, "SUB_UID_COUNT"), Some(65_536));
        assert_eq!(setting(text, "SUB_UID_MAX"), None);
    }

    #[test]
    fn a_line_of_passwd() {
        let alice = User { name: "alice".into(), uid: 1000, gid: Some(100) };
        assert_eq!(user("alice:x:1000:100:Alice,,,:/home/alice:/bin/sh"), Some(alice));
        assert_eq!(user("+::::::"), None);
    }
}
