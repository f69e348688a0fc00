//! The log that the shim writes: its forms, and the files it is put aside in.

#![allow(clippy::disallowed_methods)]

use std::fs;

use super::supervise_tests::Place;

/// The lines of a log in Docker's form: what was written, to which stream.
fn json_lines(text: &[u8]) -> Vec<(String, String)> {
    let lines = text.split_inclusive(|b| *b == b'\n');
    let values = lines.map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap());
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    values
        .map(|v| {
            assert!(text(&v["time"]).ends_with('Z'), "{v}");
            (text(&v["log"]), text(&v["stream"]))
        })
        .collect()
}

fn names(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.path("c")).unwrap().flatten();
    let mut names: Vec<_> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
    names.retain(|name| name.starts_with("log"));
    names.sort();
    names
}

/// What a log in our form holds.
fn text_of(log: &[u8]) -> String {
    let lines = String::from_utf8(log.to_vec()).unwrap();
    lines.lines().map(|line| format!("{}\n", line.splitn(4, ' ').nth(3).unwrap())).collect()
}

#[test]
fn docker_s_form_keeps_all_text() {
    let place = Place::new();
    let mut plan = place.plan(r#"printf 'a "quoted" \\ \t\001 \377é\n'; echo err >&2; printf end"#);
    plan.supervise.log_json = true;
    place.run(&plan);
    let mut lines = json_lines(&fs::read(place.path("c/log")).unwrap());
    lines.sort_by(|a, b| a.1.cmp(&b.1));
    let line = |text: &str, stream: &str| (text.to_owned(), stream.to_owned());
    let first = line("a \"quoted\" \\ \t\u{1} \u{fffd}é\n", "stdout");
    assert_eq!(lines, [line("err\n", "stderr"), first, line("end", "stdout")]);
}

#[test]
fn a_long_line_in_docker_s_form_is_cut_between_characters() {
    let place = Place::new();
    // A byte before characters of three, so that no multiple of the longest part falls between two.
    let mut plan = place
        .plan("b=/bin/busybox; printf x; $b yes € | $b head -n 100000 | $b tr -d '\\n'; $b yes '' | $b head -n 5000");
    plan.supervise.log_json = true;
    place.run(&plan);
    let lines = json_lines(&fs::read(place.path("c/log")).unwrap());
    let text: String = lines.iter().map(|(text, _)| text.as_str()).collect();
    assert!(text == format!("x{}{}", "€".repeat(100_000), "\n".repeat(5000)), "{} characters", text.chars().count());
}

#[test]
fn a_full_log_is_put_aside_and_the_oldest_goes() {
    for (json, max_size) in [(false, 600), (true, 900)] {
        let place = Place::new();
        let mut plan = place.plan("/bin/busybox seq 1 100");
        plan.supervise.log_json = json;
        plan.supervise.log_max_size = max_size;
        plan.supervise.log_max_files = 3;
        assert_eq!(place.run(&plan)["log_error"], serde_json::Value::Null);
        assert_eq!(names(&place), ["log", "log.1", "log.2"]);
        let mut text = String::new();
        for name in ["c/log.2", "c/log.1", "c/log"] {
            let log = fs::read(place.path(name)).unwrap();
            assert!(log.len() as u64 <= max_size, "{name} has {} bytes", log.len());
            text += &if json { json_lines(&log).into_iter().map(|l| l.0).collect() } else { text_of(&log) };
        }
        // The last lines without a gap.
        let kept = text.lines().count();
        let last: String = (101 - kept..=100).map(|n| format!("{n}\n")).collect();
        assert!(kept > 20, "{text}");
        assert_eq!(text, last);
    }
}

#[test]
fn one_file_alone_begins_anew() {
    let place = Place::new();
    let mut plan = place.plan("/bin/busybox seq 1 100");
    (plan.supervise.log_max_size, plan.supervise.log_max_files) = (300, 1);
    place.run(&plan);
    assert_eq!(names(&place), ["log"]);
    let text = text_of(&fs::read(place.path("c/log")).unwrap());
    assert!(text.ends_with("99\n100\n") && text.len() < 300, "{text}");
}

#[test]
fn a_line_longer_than_a_file_may_be_is_whole() {
    let place = Place::new();
    let mut plan = place.plan("echo first; printf '%01000d\\n' 0; echo last");
    (plan.supervise.log_max_size, plan.supervise.log_max_files) = (100, 5);
    place.run(&plan);
    let middle = text_of(&fs::read(place.path("c/log.1")).unwrap());
    assert_eq!(middle, format!("{}\n", "0".repeat(1000)));
    assert_eq!(text_of(&fs::read(place.path("c/log")).unwrap()), "last\n");
}

#[test]
fn a_log_that_was_there_counts() {
    let place = Place::new();
    let mut plan = place.plan("echo one");
    (plan.supervise.log_max_size, plan.supervise.log_max_files) = (60, 2);
    place.run(&plan);
    fs::remove_file(place.path("c/exit.json")).unwrap();
    place.run(&plan);
    assert_eq!(names(&place), ["log", "log.1"]);
}
