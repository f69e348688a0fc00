//! `key=value` of `events --filter`, as Docker has them.

use crate::api::EngineEvent;
use crate::error::{Error, Kind, Result};
use crate::reference::Reference;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    key: String,
    value: String,
}

const KEYS: [&str; 6] = ["container", "image", "volume", "type", "event", "label"];

impl Filter {
    pub fn parse(text: &str) -> Result<Self> {
        match text.split_once('=') {
            Some((key, value)) if KEYS.contains(&key) => Ok(Filter { key: key.to_owned(), value: value.to_owned() }),
            _ => Err(Error::new(Kind::InvalidArgument, "read filter", format!("{text:?}"))
                .because(format!("a filter is key=value with a key of: {}", KEYS.join(" ")))),
        }
    }

    /// Those of one key are alternatives, except labels: all of them must be there, as in Docker.
    pub fn all_match(filters: &[Filter], event: &EngineEvent) -> bool {
        filters.iter().all(|f| match f.key.as_str() {
            "label" => f.matches(event),
            key => filters.iter().filter(|g| g.key == key).any(|g| g.matches(event)),
        })
    }

    fn matches(&self, event: &EngineEvent) -> bool {
        let value = self.value.as_str();
        let attribute = |name: &str| event.attributes.get(name).map(String::as_str);
        match self.key.as_str() {
            "container" => event.kind == "container" && (is_id(&event.id, value) || attribute("name") == Some(value)),
            "volume" => event.kind == "volume" && event.id == value,
            "image" if event.kind == "image" => {
                is_id(bare_id(&event.id), bare_id(value)) || attribute("name").is_some_and(|name| is_image(name, value))
            }
            "image" => attribute("image").is_some_and(|name| is_image(name, value)),
            "type" => event.kind == value,
            // `exec_start: ls` is an `exec_start`.
            "event" => event.action == value || event.action.split_once(':').is_some_and(|(action, _)| action == value),
            "label" => match value.split_once('=') {
                Some((key, wanted)) => attribute(key) == Some(wanted),
                None => attribute(value).is_some(),
            },
            _ => false,
        }
    }
}

/// The whole of an id, or as much of it as people type.
fn is_id(id: &str, value: &str) -> bool {
    !value.is_empty() && id.starts_with(value)
}

fn bare_id(text: &str) -> &str {
    text.trim_start_matches("sha256:")
}

/// The same reference however it is written, or the repository of any tag.
fn is_image(name: &str, value: &str) -> bool {
    let whole = |text: &str| text.parse::<Reference>().ok();
    match (whole(name), whole(value)) {
        (Some(name), Some(wanted)) => name == wanted || (is_bare(value) && name.name() == wanted.name()),
        _ => name == value,
    }
}

fn is_bare(text: &str) -> bool {
    let last = text.rsplit('/').next().unwrap_or_default();
    !last.contains([':', '@'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, action: &str, id: &str, attributes: &[(&str, &str)]) -> EngineEvent {
        let attributes = attributes.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        EngineEvent { kind: kind.into(), action: action.into(), id: id.into(), attributes, ..EngineEvent::default() }
    }

    fn matches(filters: &[&str], event: &EngineEvent) -> bool {
        let filters: Vec<Filter> = filters.iter().map(|f| Filter::parse(f).unwrap()).collect();
        Filter::all_match(&filters, event)
    }

    #[test]
    fn filters_are_docker_s() {
        let die = event("container", "die", "abc123", &[("name", "web"), ("image", "alpine:3.20"), ("tier", "front")]);
        for right in [
            &["container=web"][..],
            &["container=abc"],
            &["type=container", "event=die"],
            &["event=start", "event=die"],
            &["image=alpine"],
            &["image=docker.io/library/alpine:3.20"],
            &["label=tier"],
            &["label=tier=front"],
            &[],
        ] {
            assert!(matches(right, &die), "{right:?}");
        }
        for wrong in [
            &["container=we"][..],
            &["type=image"],
            &["event=start"],
            &["image=alpine:3.19"],
            &["label=tier=back"],
            &["label=tier", "label=none"],
            &["type=container", "event=start"],
            &["volume=abc123"],
            &["container="],
        ] {
            assert!(!matches(wrong, &die), "{wrong:?}");
        }
        let exec = event("container", "exec_start: sh -c ls", "abc", &[]);
        assert!(matches(&["event=exec_start"], &exec) && matches(&["event=exec_start: sh -c ls"], &exec));
        let pull = event("image", "pull", "alpine:latest", &[("name", "alpine:latest")]);
        assert!(matches(&["image=alpine"], &pull) && !matches(&["container=docker"], &pull));
        for odd in ["", "name", "name=x", "=x"] {
            assert_eq!(Filter::parse(odd).unwrap_err().kind(), Kind::InvalidArgument);
        }
    }
}
