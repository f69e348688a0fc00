//! `-v`, `--mount` and `--tmpfs`, by Docker's rules.

use std::path::Path;

use sampan::{Mount, MountKind};

use crate::fail::Fail;

/// `[SOURCE:]TARGET[:OPTIONS]`: a path is a bind mount, a name is a volume, nothing is a new volume.
pub fn volume(text: &str) -> Result<Mount, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [target] => ("", target, ""),
        [source, target] if target.starts_with('/') => (source, target, ""),
        // `/data:ro`: a volume without a source still takes options.
        [target, options] if target.starts_with('/') => ("", target, options),
        [source, target, options] => (source, target, options),
        _ => return Err("expected SOURCE:TARGET[:OPTIONS]".to_owned()),
    };
    if parts.len() > 1 && source.is_empty() && parts[0].is_empty() {
        return Err("the source is empty".to_owned());
    }
    let mut mount = Mount { target: absolute(target)?, ..from_source(source)? };
    for word in options.split(',').filter(|w| !w.is_empty()) {
        volume_option(&mut mount, word)?;
    }
    Ok(mount)
}

fn from_source(source: &str) -> Result<Mount, String> {
    if source.starts_with('/') {
        return Ok(Mount { kind: MountKind::Bind, source: source.to_owned(), ..Default::default() });
    }
    if source == "." || source == ".." || source.starts_with("./") || source.starts_with("../") {
        let path = std::path::absolute(source).map_err(|e| format!("current directory: {e}"))?;
        let source = path.into_os_string().into_string().map_err(|p| format!("{p:?} is not UTF-8"))?;
        return Ok(Mount { kind: MountKind::Bind, source, ..Default::default() });
    }
    match source.is_empty() || is_name(source) {
        true => Ok(Mount { kind: MountKind::Volume, source: source.to_owned(), ..Default::default() }),
        false => {
            Err(format!("{source:?} is neither the name of a volume nor a path; a host path begins with '/' or './'"))
        }
    }
}

fn is_name(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric();
    text.bytes().next().is_some_and(word) && text.bytes().all(|b| word(b) || b"_.-".contains(&b))
}

fn absolute(target: &str) -> Result<String, String> {
    match target.starts_with('/') {
        true => Ok(target.to_owned()),
        false => Err(format!("the target {target:?} is not an absolute path in the container")),
    }
}

fn volume_option(mount: &mut Mount, word: &str) -> Result<(), String> {
    match word {
        "ro" | "readonly" => mount.read_only = true,
        "rw" => mount.read_only = false,
        // Hints for Docker Desktop's file sharing mean nothing here.
        "consistent" | "cached" | "delegated" => {}
        "z" | "Z" | "nocopy" | "shared" | "slave" | "private" | "rshared" | "rslave" | "rprivate" | "nosuid"
        | "nodev" | "noexec" => mount.options.push(word.to_owned()),
        _ => return Err(format!("{word:?} is not an option of a volume")),
    }
    Ok(())
}

/// `type=bind,source=/a,target=/b,readonly`.
pub fn mount(text: &str) -> Result<Mount, String> {
    // Docker's default kind.
    let mut mount = Mount { kind: MountKind::Volume, ..Default::default() };
    for field in text.split(',') {
        let (key, value) = field.split_once('=').map_or((field, None), |(k, v)| (k, Some(v)));
        mount_field(&mut mount, key, value)?;
    }
    if mount.target.is_empty() {
        return Err("a target is needed: target=/path".to_owned());
    }
    if mount.kind == MountKind::Bind && !mount.source.starts_with('/') {
        mount.source = bind_source(&mount.source)?;
    }
    Ok(mount)
}

fn bind_source(source: &str) -> Result<String, String> {
    match from_source(source) {
        Ok(m) if m.kind == MountKind::Bind => Ok(m.source),
        _ => Err(format!("the source {source:?} of a bind mount begins with '/' or './'")),
    }
}

fn mount_field(mount: &mut Mount, key: &str, value: Option<&str>) -> Result<(), String> {
    let needed = || value.ok_or_else(|| format!("{key} needs a value: {key}=…"));
    match key {
        "type" => mount.kind = needed()?.parse().map_err(|e: sampan::Error| e.cause())?,
        "source" | "src" => mount.source = needed()?.to_owned(),
        "target" | "destination" | "dst" => mount.target = absolute(needed()?)?,
        "readonly" | "ro" => mount.read_only = truth(key, value)?,
        "bind-propagation" => mount.options.push(needed()?.to_owned()),
        "tmpfs-size" => mount.options.push(format!("size={}", super::size::bytes(needed()?)?)),
        "tmpfs-mode" => mount.options.push(format!("mode={}", needed()?)),
        "volume-nocopy" if truth(key, value)? => mount.options.push("nocopy".to_owned()),
        "volume-nocopy" | "consistency" => {}
        _ => return Err(format!("{key:?} is not a field of --mount")),
    }
    Ok(())
}

fn truth(key: &str, value: Option<&str>) -> Result<bool, String> {
    super::truth(value.unwrap_or("true")).map_err(|e| format!("{key}={}: {e}", value.unwrap_or_default()))
}

/// `TARGET[:OPTIONS]`.
pub fn tmpfs(text: &str) -> Result<Mount, String> {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let mut mount = Mount { kind: MountKind::Tmpfs, target: absolute(target)?, ..Default::default() };
    for word in options.split(',').filter(|w| !w.is_empty()) {
        match word {
            "ro" => mount.read_only = true,
            "rw" => mount.read_only = false,
            _ => mount.options.push(word.to_owned()),
        }
    }
    Ok(mount)
}

/// `-v` makes the host directory that it binds, when there is none; `--mount` does not.
pub fn make_missing(volumes: &[Mount]) -> Result<(), Fail> {
    for mount in volumes.iter().filter(|m| m.kind == MountKind::Bind) {
        if Path::new(&mount.source).symlink_metadata().is_err() {
            std::fs::create_dir_all(&mount.source)
                .map_err(|e| Fail::usage(format_args!("make the directory {} to bind: {e}", mount.source)))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: MountKind, source: &str, target: &str) -> Mount {
        Mount { kind, source: source.into(), target: target.into(), ..Default::default() }
    }

    #[test]
    fn volumes_by_docker_s_rules() {
        assert_eq!(volume("/a:/b").unwrap(), of(MountKind::Bind, "/a", "/b"));
        assert_eq!(volume("data:/b").unwrap(), of(MountKind::Volume, "data", "/b"));
        assert_eq!(volume("/b").unwrap(), of(MountKind::Volume, "", "/b"));
        let ro = volume("/a:/b:ro,rslave,z").unwrap();
        assert!(ro.read_only);
        assert_eq!(ro.options, ["rslave", "z"]);
        let here = std::env::current_dir().unwrap();
        assert_eq!(volume("./x:/b").unwrap().source, here.join("x").to_str().unwrap());
        for bad in ["a/b:/c", "/a:b", ":/b", "/a:/b:ro:x", "/a:/b:nonsense", "-a:/b", "rel"] {
            assert!(volume(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn mounts_in_long_form() {
        let m = mount("type=bind,src=/a,dst=/b,readonly").unwrap();
        assert_eq!((m.kind, m.source.as_str(), m.target.as_str(), m.read_only), (MountKind::Bind, "/a", "/b", true));
        let t = mount("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770").unwrap();
        assert_eq!((t.kind, t.options), (MountKind::Tmpfs, vec!["size=1048576".into(), "mode=1770".into()]));
        assert_eq!(mount("target=/v,source=data").unwrap(), of(MountKind::Volume, "data", "/v"));
        for bad in ["type=bind,src=/a", "type=bind,src=a,dst=/b", "type=disk,dst=/b", "dst=b", "dst=/b,x=1", "dst"] {
            assert!(mount(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tmpfs_with_options() {
        let m = tmpfs("/t:size=64m,noexec,ro").unwrap();
        assert_eq!((m.options, m.read_only), (vec!["size=64m".into(), "noexec".into()], true));
        assert!(tmpfs("t").is_err());
    }
}
