//! Names of units (systemd.unit(5), systemd.slice(5)).

/// The path of a slice below the manager's own cgroup: each dash is one step down. `None` for what names none.
pub fn slice_path(slice: &str) -> Option<String> {
    let name = slice.strip_suffix(".slice").filter(|name| is_plain(name))?;
    if name == "-" {
        return Some(String::new());
    }
    let mut path = String::new();
    for end in name.match_indices('-').map(|(at, _)| at).chain([name.len()]) {
        path.push_str(&format!("/{}.slice", &name[..end]));
    }
    (!name.split('-').any(str::is_empty)).then_some(path)
}

/// Whether a text may be a part of a unit's name.
pub fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\".contains(&byte);
    !text.is_empty() && text.len() < 200 && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_lie_in_each_other() {
        let path = |name| slice_path(name);
        assert_eq!(path("system.slice").as_deref(), Some("/system.slice"));
        assert_eq!(path("a-b-c.slice").as_deref(), Some("/a.slice/a-b.slice/a-b-c.slice"));
        assert_eq!(path("-.slice").as_deref(), Some(""));
        for none in ["a", ".slice", "a--b.slice", "-a.slice", "a/b.slice", "a-.slice", "../x.slice"] {
            assert_eq!(path(none), None, "{none}");
        }
    }
}
