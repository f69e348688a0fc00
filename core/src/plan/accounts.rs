//! A plain user's name in a container in which he has his own id: the lines that an image's `/etc/passwd` and `/etc/group`
//! get unless they have his name or his number, as in Podman (libpod's `generatePasswdAndGroup`).

use super::facts::Facts;
use super::userns;
use crate::spec::{IdRange, Spec};

/// Who starts containers, by the host's `/etc/passwd` and `/etc/group`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// His name.
    pub name: String,
    /// What he is called besides.
    pub comment: String,
    /// His home directory on the host.
    pub home: String,
    /// The name of his group; empty where it has none.
    pub group: String,
}

/// Finds him by his ids; who is not there, as one of LDAP's, has no name that we know of.
pub fn find(passwd: &str, group: &str, (uid, gid): (u32, u32)) -> Option<Account> {
    let own = with_id(passwd, uid).filter(|fields| fields.len() >= 7)?;
    let group = with_id(group, gid).map_or("", |fields| fields[0]);
    let [name, comment, home, group] = [own[0], own[4], own[5], group].map(str::to_owned);
    Some(Account { name, comment, home, group })
}

/// The fields of the first line of passwd(5) or group(5) with this number.
fn with_id(text: &str, id: u32) -> Option<Vec<&str>> {
    let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find(|fields| fields.len() >= 3 && !fields[0].is_empty() && fields[2].parse() == Ok(id))
}

/// File in the container, the line that it gets.
pub fn lines(spec: &Spec, facts: &Facts, account: Option<&Account>) -> Vec<(String, String)> {
    let (Some(ids), Some(Account { name, comment, home, group })) = (&spec.ids, account) else { return Vec::new() };
    if userns::is_roots(spec, facts) {
        return Vec::new();
    }
    let own = |map: &[IdRange]| map.iter().find(|range| range.inside == range.outside).map_or(0, |own| own.inside);
    let (uid, gid) = (own(&ids.uids), own(&ids.gids));
    let user = format!("{name}:*:{uid}:{gid}:{comment}:{}:/bin/sh", home_of(spec, home));
    let group = format!("{group}:x:{gid}:{name}");
    let all = [("/etc/passwd", uid, user), ("/etc/group", gid, group)];
    let given = all.into_iter().filter(|(_, id, line)| *id != 0 && !line.starts_with(':'));
    given.map(|(file, _, line)| (file.to_owned(), line)).collect()
}

/// His own where it, or a directory that it lies in, is mounted; else where the container's processes begin.
fn home_of<'a>(spec: &'a Spec, home: &'a str) -> &'a str {
    let holds = |target: &str| {
        let target = target.trim_end_matches('/');
        !target.is_empty() && home.strip_prefix(target).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let dir = match spec.mounts.iter().any(|mount| holds(&mount.mount.target)) {
        true => home,
        false => spec.workdir.as_str(),
    };
    // What would be another field.
    if dir.is_empty() || dir.contains([':', '\n']) { "/" } else { dir }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Mount, Rung};
    use crate::spec::{Ids, SpecMount};

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/bash\n\nbad\n:x:1000:1000:::\nalice:x:1000:1001:Alice,,:/home/alice:/bin/bash\n";
    const GROUP: &str = "root:x:0:\nhers:x:1001:bob\n";

    fn spec(uid: u32, gid: u32) -> Spec {
        let own = |id| {
            vec![IdRange { inside: 0, outside: 100_000, length: id }, IdRange { inside: id, outside: id, length: 1 }]
        };
        Spec { ids: Some(Ids { uids: own(uid), gids: own(gid) }), workdir: "/srv".into(), ..Spec::default() }
    }

    fn plain() -> Facts {
        Facts { rung: Rung::SubIds, ..Facts::default() }
    }

    fn words(spec: &Spec, facts: &Facts) -> Vec<String> {
        let account = find(PASSWD, GROUP, (1000, 1001));
        lines(spec, facts, account.as_ref()).into_iter().map(|(file, line)| format!("{file} {line}")).collect()
    }

    #[test]
    fn a_line_in_each_file() {
        let both = ["/etc/passwd alice:*:1000:1001:Alice,,:/srv:/bin/sh", "/etc/group hers:x:1001:alice"];
        assert_eq!(words(&spec(1000, 1001), &plain()), both);
        assert_eq!(words(&spec(1000, 0), &plain()).len(), 1);
        assert_eq!(find(PASSWD, GROUP, (1000, 7)).unwrap().group, "");
        assert_eq!(find(PASSWD, GROUP, (7, 7)), None);
        assert!(lines(&spec(1000, 1001), &plain(), None).is_empty());
        // Those of root's have none, and no others.
        assert!(words(&spec(1000, 1001), &Facts::default()).is_empty());
        assert!(words(&Spec { ids: None, ..spec(1000, 1001) }, &plain()).is_empty());
    }

    #[test]
    fn his_home_is_one_that_is_there() {
        let at = |target: &str| {
            let mount =
                SpecMount { mount: Mount { target: target.into(), ..Mount::default() }, ..SpecMount::default() };
            let spec = Spec { mounts: vec![mount], ..spec(1000, 1001) };
            words(&spec, &plain())[0].rsplit(':').nth(1).unwrap().to_owned()
        };
        for (target, home) in [
            ("/home/alice", "/home/alice"),
            ("/home/", "/home/alice"),
            ("/home/al", "/srv"),
            ("/home/alice/src", "/srv"),
            ("/", "/srv"),
        ] {
            assert_eq!(at(target), home, "{target}");
        }
        let odd = Spec { workdir: "/a:b".into(), ..spec(1000, 1001) };
        assert!(words(&odd, &plain())[0].ends_with(":/:/bin/sh"));
    }
}
