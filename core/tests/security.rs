//! What a container may not do, tried from inside.

#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use common::{Host, command, text};
use sampan::{Kind, RunOptions};

const WITHOUT_MKDIR: &str = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}"#;

fn shell(script: &str, security_opt: &[&str]) -> RunOptions {
    let security_opt = security_opt.iter().map(|option| option.to_string()).collect();
    RunOptions { security_opt, ..command(&["sh", "-c", script]) }
}

fn lines(host: &Host, options: RunOptions) -> Vec<String> {
    text(&host.run(options).unwrap().stdout).lines().map(str::to_owned).collect()
}

/// Mode of the filter and whether new privileges are refused, from the kernel.
const STATUS: &str = "grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status | tr -d '\\t'";

#[test]
fn system_calls_are_filtered_unless_it_is_asked_otherwise() {
    let host = Host::new();
    assert_eq!(lines(&host, shell(STATUS, &[])), ["NoNewPrivs:0", "Seccomp:2"]);
    assert_eq!(lines(&host, shell(STATUS, &["no-new-privileges"])), ["NoNewPrivs:1", "Seccomp:2"]);
    assert_eq!(lines(&host, shell(STATUS, &["seccomp=unconfined"])), ["NoNewPrivs:0", "Seccomp:0"]);
    let privileged = RunOptions { privileged: true, ..shell(STATUS, &[]) };
    assert_eq!(lines(&host, privileged), ["NoNewPrivs:0", "Seccomp:0"]);
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn no_user_namespace_is_made_inside() {
    let host = Host::new();
    let attempt = "unshare -U true 2>&1 | grep -o 'Operation not permitted'";
    assert_eq!(lines(&host, shell(attempt, &[])), ["Operation not permitted"]);
    let user = RunOptions { user: Some("1000".into()), ..shell(attempt, &["no-new-privileges"]) };
    match host.run(user) {
        Ok(out) => assert_eq!(text(&out.stdout), "Operation not permitted\n"),
        // One id is mapped, so no other user can be had.
        Err(error) => assert!(error.to_string().contains("user and group ids"), "{error}"),
    }
}

#[test]
fn a_profile_of_ones_own_by_path_or_text() {
    let host = Host::new();
    let path = host.dir.path().join("profile.json");
    std::fs::write(&path, WITHOUT_MKDIR).unwrap();
    let attempt = "mkdir /made 2>&1 | grep -o 'No space left on device'";
    for option in [format!("seccomp={}", path.display()), format!("seccomp={WITHOUT_MKDIR}")] {
        assert_eq!(lines(&host, shell(attempt, &[&option])), ["No space left on device"]);
    }
}

#[test]
fn a_profile_is_kept_with_its_container() {
    let host = Host::new();
    let path = host.dir.path().join("profile.json");
    std::fs::write(&path, WITHOUT_MKDIR).unwrap();
    let options = shell("mkdir /made || exit 5", &[&format!("seccomp={}", path.display())]);
    let container = host.engine.create(&options, &mut sampan::Quiet, &sampan::Cancel::new()).unwrap();
    std::fs::remove_file(&path).unwrap();
    container.start(&sampan::Stdio::default(), &sampan::Cancel::new()).unwrap();
    assert_eq!(container.wait(Some(20.0), &sampan::Cancel::new()).unwrap().code, 5);
}

#[test]
fn what_is_no_profile_is_refused_before_anything_is_made() {
    let host = Host::new();
    let refused = |option: &str| host.run(shell("true", &[option])).unwrap_err();
    let missing = refused("seccomp=/nowhere/profile.json");
    assert_eq!((missing.kind(), missing.exit_code()), (Kind::NotFound, 125), "{missing}");
    let odd = refused(r#"seccomp={"defaultAction": "SCMP_ACT_SMILE"}"#);
    assert_eq!(odd.kind(), Kind::InvalidArgument);
    assert!(odd.to_string().contains("SCMP_ACT_SMILE"), "{odd}");
    assert_eq!(host.left(), Vec::<String>::new());
}
