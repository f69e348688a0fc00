//! What a file of AppArmor's says of a program, as far as its text alone does (apparmor.d(5)): globs, variables and what is
//! included are the compiler's to read.

/// A profile that is for one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Profile {
    pub name: String,
    /// It has a rule for user namespaces of its own; those of profiles within it are theirs.
    pub gives_userns: bool,
}

/// The profiles of a file that are attached to this very path.
pub(super) fn attached(text: &str, program: &str) -> Vec<Profile> {
    let (mut found, mut open): (Vec<Profile>, Vec<Option<usize>>) = (Vec::new(), Vec::new());
    for statement in statements(text) {
        match statement.as_slice() {
            [header @ .., "{"] => {
                let profile = of_header(header, program);
                open.push(profile.is_some().then_some(found.len()));
                found.extend(profile);
            }
            ["}"] => drop(open.pop()),
            rule => {
                if let Some(Some(at)) = open.last() {
                    found[*at].gives_userns |= is_userns(rule);
                }
            }
        }
    }
    found
}

/// Words up to what ends them: a brace that stands for itself, a comma at a word's end, or the line's end after an include.
fn statements(text: &str) -> Vec<Vec<&str>> {
    let (mut all, mut current) = (Vec::new(), Vec::new());
    for line in text.lines().map(|line| line.split('#').next().unwrap_or_default()) {
        for word in line.split_whitespace().flat_map(split_brace) {
            if word == "}" && !current.is_empty() {
                all.push(std::mem::take(&mut current));
            }
            current.push(word.trim_end_matches(','));
            if word.ends_with(',') || word == "{" || word == "}" {
                all.push(std::mem::take(&mut current));
            }
        }
        if current.first() == Some(&"include") {
            current.clear();
        }
    }
    all
}

/// A profile's brace may stand at the end of a word; a glob's has its other half in the same one.
fn split_brace(word: &str) -> impl Iterator<Item = &str> {
    let at = if word.ends_with('{') { word.len() - 1 } else { word.len() };
    let (before, brace) = word.split_at(at);
    [before, brace].into_iter().filter(|part| !part.is_empty())
}

/// `profile NAME [PATH] [flags=(...)]`, or the path alone, which is its name then.
fn of_header(words: &[&str], program: &str) -> Option<Profile> {
    let mut named = words.iter().map(|word| word.trim_matches('"'));
    let name = match named.next()? {
        "profile" => named.next()?,
        path if path.starts_with('/') => path,
        _ => return None,
    };
    let is_for_it = name == program || named.next() == Some(program);
    is_for_it.then(|| Profile { name: name.to_owned(), gives_userns: false })
}

fn is_userns(rule: &[&str]) -> bool {
    let plain: Vec<&str> = rule.iter().copied().filter(|word| !["allow", "audit"].contains(word)).collect();
    matches!(plain[..], ["userns"] | ["userns", "create"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<(String, bool)> {
        attached(text, "/usr/bin/x").into_iter().map(|profile| (profile.name, profile.gives_userns)).collect()
    }

    #[test]
    fn a_rule_is_the_profiles_in_whose_block_it_is() {
        let one = |name: &str, gives| vec![(name.to_owned(), gives)];
        assert_eq!(of("abi <abi/4.0>,\nprofile x /usr/bin/x flags=(unconfined) {\n  userns,\n}\n"), one("x", true));
        assert_eq!(of("profile x \"/usr/bin/x\" flags=(unconfined){ userns }\n"), one("x", true));
        assert_eq!(of("/usr/bin/x {\n include <a/b>\n userns create, # all\n}\n"), one("/usr/bin/x", true));
        assert_eq!(
            of("profile /usr/bin/x {\n  include if exists <local/x>\n  audit userns,\n}\n"),
            one("/usr/bin/x", true)
        );
        assert_eq!(of("profile x /usr/bin/x {\n}\nprofile y /usr/bin/y {\n  userns,\n}\n"), one("x", false));
        assert_eq!(of("profile x /usr/bin/x {\n  profile part {\n    userns,\n  }\n}\n"), one("x", false));
        assert_eq!(
            of("profile x /usr/bin/x {\n  ^hat {\n  }\n  /usr/{bin,sbin}/y rix,\n  userns,\n}\n"),
            one("x", true)
        );
        assert_eq!(of("profile x /usr/bin/x {\n  deny userns,\n  # userns,\n}\n"), one("x", false));
    }

    #[test]
    fn a_profile_for_others_is_none_of_its() {
        for text in ["", "profile x /usr/bin/xy {\n  userns,\n}\n", "# profile x /usr/bin/x {\nuserns,\n", "}}{{,"] {
            assert_eq!(of(text), []);
        }
    }
}
