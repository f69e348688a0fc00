//! Images: list, pull, tag, remove.

use sampan::{Engine, ImageInfo, Kind, PullOptions, RemoveImageOptions, RemovedImage};
use serde_json::json;

use super::{confirmed, each};
use crate::cli::{ForceArg, ImagesArgs, PullArgs, RmiArgs, TagArgs};
use crate::fail::{Fail, Outcome};
use crate::flags::given;
use crate::output::{self, Column, Row, human};
use crate::signals::Forwarder;
use crate::{commands::system, progress};

const COLUMNS: &[Column] =
    &[("REPOSITORY", "Repository"), ("TAG", "Tag"), ("IMAGE ID", "ID"), ("CREATED", "CreatedSince"), ("SIZE", "Size")];
const DIGEST: Column = ("DIGEST", "Digest");

pub fn list(engine: &Engine, args: &ImagesArgs) -> Outcome {
    let filters = args.filter.iter().map(|text| Filter::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let mut rows = Vec::new();
    for image in engine.images()? {
        for name in names(&image) {
            let wanted = args.reference.as_deref().is_none_or(|wanted| is_named(&name, wanted));
            if wanted && filters.iter().all(|filter| filter.holds(&image, &name)) {
                rows.push(row(&image, &name, args.list.no_trunc));
            }
        }
    }
    if args.list.quiet {
        // An image of several tags is one id.
        rows.dedup_by(|a, b| a["ID"] == b["ID"]);
    }
    let mut columns = COLUMNS.to_vec();
    if args.digests {
        columns.insert(2, DIGEST);
    }
    output::list(&args.list, &columns, &rows)?;
    Ok(0)
}

/// Its familiar names; one that has none is shown once.
fn names(image: &ImageInfo) -> Vec<String> {
    match image.tags.is_empty() {
        true => vec!["<none>".to_owned()],
        false => image.tags.iter().map(|tag| human::familiar(tag).to_owned()).collect(),
    }
}

fn is_named(name: &str, wanted: &str) -> bool {
    let wanted = human::familiar(wanted);
    wanted == name || wanted == human::split_tag(name).0
}

fn row(image: &ImageInfo, name: &str, whole: bool) -> Row {
    let (repository, tag) = human::split_tag(name);
    let created = image.created.as_deref().unwrap_or_default();
    let row = json!({
        "Repository": repository,
        "Tag": tag,
        "ID": if whole { &image.id } else { human::short(&image.id) },
        "Digest": image.digest,
        "CreatedAt": created,
        "CreatedSince": human::ago(created),
        "Size": human::size(image.size),
    });
    row.as_object().cloned().unwrap_or_default()
}

/// A filter of `images`.
enum Filter {
    Reference(String),
    Label(String, Option<String>),
    Dangling(bool),
}

impl Filter {
    fn parse(text: &str) -> Result<Filter, Fail> {
        match text.split_once('=') {
            Some(("reference", pattern)) => Ok(Filter::Reference(pattern.to_owned())),
            Some(("dangling", "true" | "1")) => Ok(Filter::Dangling(true)),
            Some(("dangling", "false" | "0")) => Ok(Filter::Dangling(false)),
            Some(("label", label)) => {
                let (key, value) = label.split_once('=').map_or((label, None), |(k, v)| (k, Some(v.to_owned())));
                Ok(Filter::Label(key.to_owned(), value))
            }
            _ => Err(Fail::usage(format_args!(
                "{text:?} is no filter of images; there are reference=, label= and dangling="
            ))),
        }
    }

    fn holds(&self, image: &ImageInfo, name: &str) -> bool {
        match self {
            Filter::Reference(pattern) => matches(pattern, name) || matches(pattern, human::split_tag(name).0),
            Filter::Label(key, None) => image.labels.contains_key(key),
            Filter::Label(key, value) => image.labels.get(key) == value.as_ref(),
            Filter::Dangling(wanted) => image.tags.is_empty() == *wanted,
        }
    }
}

/// A pattern with `*` for any text without a slash.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, rest)) => text.strip_prefix(before).is_some_and(|text| {
            let end = text.find('/').unwrap_or(text.len());
            (0..=end).filter(|&at| text.is_char_boundary(at)).any(|at| matches(rest, &text[at..]))
        }),
    }
}

pub fn pull(engine: &Engine, args: &PullArgs) -> Outcome {
    let options = PullOptions { platform: given(&args.platform), ..Default::default() };
    let forwarder = Forwarder::start(true)?;
    let mut progress = progress::choose(args.quiet);
    let image = engine.pull(&args.image, &options, &mut *progress, &forwarder.cancel);
    match image {
        Ok(image) => output::line(
            image.tags.iter().find(|tag| is_named(human::familiar(tag), &args.image)).unwrap_or(&args.image),
        )?,
        // A shell expects the code of an interrupted command.
        Err(error) if error.kind() == Kind::Cancelled => return Err(Fail::new(130, error)),
        Err(error) => return Err(error.into()),
    }
    Ok(0)
}

pub fn tag(engine: &Engine, args: &TagArgs) -> Outcome {
    engine.tag(&args.source, &args.target)?;
    Ok(0)
}

pub fn remove(engine: &Engine, args: &RmiArgs) -> Outcome {
    let options = RemoveImageOptions { force: args.force };
    each(&args.images, |image| Ok(Some(steps(&engine.remove_image(image, &options)?))))
}

fn steps(removed: &[RemovedImage]) -> String {
    let lines = removed.iter().flat_map(|step| {
        let untagged = step.untagged.iter().map(|name| format!("Untagged: {}", human::familiar(name)));
        untagged.chain(step.deleted.iter().map(|id| format!("Deleted: {id}")))
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub fn prune(engine: &Engine, args: &ForceArg) -> Outcome {
    match confirmed(args.force, "image data that nothing uses")? {
        true => system::gc(engine),
        false => Ok(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> ImageInfo {
        ImageInfo {
            id: "sha256:0123456789abcdef".into(),
            tags: vec!["docker.io/library/alpine:3".into(), "127.0.0.1:5000/a/b:x".into()],
            size: 7_340_000,
            labels: [("k".to_owned(), "v".to_owned())].into(),
            ..Default::default()
        }
    }

    #[test]
    fn an_image_is_a_row_for_each_name() {
        assert_eq!(names(&image()), ["alpine:3", "127.0.0.1:5000/a/b:x"]);
        let row = row(&image(), "127.0.0.1:5000/a/b:x", false);
        assert_eq!((&row["Repository"], &row["Tag"]), (&json!("127.0.0.1:5000/a/b"), &json!("x")));
        assert_eq!((&row["ID"], &row["Size"]), (&json!("0123456789ab"), &json!("7.34MB")));
        assert_eq!(names(&ImageInfo::default()), ["<none>"]);
    }

    #[test]
    fn filters_hold() {
        let holds = |text: &str| Filter::parse(text).unwrap().holds(&image(), "alpine:3");
        assert!(holds("reference=alp*") && holds("reference=alpine:3") && holds("label=k") && holds("label=k=v"));
        assert!(holds("dangling=false"));
        assert!(!holds("reference=b*") && !holds("label=k=w") && !holds("dangling=true"));
        assert!(Filter::parse("colour=red").is_err());
        assert!(matches("*/a/*", "host/a/b") && !matches("*b", "host/a/b"));
    }
}
