//! `events`: what happens in the store, in Docker's words and form.

use jiff::Timestamp;
use sampan::{Engine, EngineEvent, EventOptions};
use serde_json::{Value, json};

use crate::cli::EventsArgs;
use crate::fail::{Fail, Outcome};
use crate::output::{self, Template};
use crate::readers;

pub fn events(engine: &Engine, args: &EventsArgs) -> Outcome {
    // A template that makes no sense is told now, not with the first event.
    if let Some(text) = args.format.as_deref().filter(|text| *text != "json") {
        Template::parse(text).map_err(Fail::usage)?;
    }
    let options = EventOptions { since: args.since.clone(), until: args.until.clone(), filters: args.filter.clone() };
    let mut events = engine.events(&options)?;
    readers::following(|unread| {
        while let Some(event) = events.next(unread)? {
            match &args.format {
                None => output::line(sentence(&event))?,
                Some(format) => output::record(format, &message(&event))?,
            }
        }
        Ok(0)
    })
}

/// `TIME container die ID (exitCode=1, image=alpine, name=web)`.
fn sentence(event: &EngineEvent) -> String {
    let attributes: Vec<String> = event.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let EngineEvent { time, kind, action, id, .. } = event;
    format!("{time} {kind} {action} {id} ({})", attributes.join(", "))
}

/// The object of Docker's API: `Type`, `Action`, `Actor`, and the older names that it keeps.
fn message(event: &EngineEvent) -> Value {
    let time = event.time.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    json!({
        "status": event.action,
        "id": event.id,
        "from": event.attributes.get("image"),
        "Type": event.kind,
        "Action": event.action,
        "Actor": { "ID": event.id, "Attributes": event.attributes },
        "scope": "local",
        "time": time.as_second(),
        "timeNano": i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_as_docker_tells_it() {
        let attributes = [("exitCode", "1"), ("image", "alpine"), ("name", "web")];
        let event = EngineEvent {
            time: "2024-01-02T03:04:05.000000006Z".into(),
            kind: "container".into(),
            action: "die".into(),
            id: "abc".into(),
            attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        };
        assert_eq!(
            sentence(&event),
            "2024-01-02T03:04:05.000000006Z container die abc (exitCode=1, image=alpine, name=web)"
        );
        let message = message(&event);
        assert_eq!(
            (&message["time"], &message["timeNano"]),
            (&json!(1_704_164_645), &json!(1_704_164_645_000_000_006_i64))
        );
        let filled = Template::parse("{{.Type}} {{.Action}} {{.Actor.ID}} {{.Actor.Attributes.name}} {{.From}}");
        assert_eq!(filled.unwrap().render(&message).unwrap(), "container die abc web alpine");
    }
}
