//! Working directories that lead out of the container (CVE-2024-21626).

use super::common::{Host, command, text};
use super::{gone, sleeper};
use sampan::{Cancel, ExecOptions, RunOptions};

/// More than a helper ever has open.
const MOST: usize = 40;

/// What the process would see there is not in any image.
const IS_OUTSIDE: &str = "cat ../../../../../../etc/machine-id; ls /; pwd";

fn links() -> impl Iterator<Item = String> {
    let numbered = (3..MOST).flat_map(|n| ["self", "thread-self", "1"].map(|who| format!("/proc/{who}/fd/{n}")));
    numbered.chain(
        ["/proc/self/cwd", "/proc/self/root", "/proc/1/cwd", "/proc/1/root", "/proc/self/fd/7/../.."]
            .map(str::to_owned),
    )
}

#[test]
fn a_container_does_not_begin_in_a_directory_of_the_host() {
    let host = Host::new();
    let _inherited = std::fs::File::open("/").unwrap();
    for link in links() {
        let options = RunOptions { workdir: Some(link.clone()), ..command(&["sh", "-c", IS_OUTSIDE]) };
        match host.run(options) {
            Ok(output) => panic!("{link}: {}", text(&output.stdout)),
            Err(error) => assert_eq!(error.exit_code(), 125, "{link}: {error}"),
        }
        assert_eq!(host.left(), Vec::<String>::new(), "{link}");
    }
}

#[test]
fn nor_does_a_command_by_whatever_way() {
    let host = Host::new();
    let container = host.spawn(sleeper()).unwrap();
    let exec = |workdir: &str, script: &str| {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        let options = ExecOptions { command, workdir: Some(workdir.into()), ..ExecOptions::default() };
        container.exec(&options, &Cancel::new())
    };
    for link in links() {
        exec("/", &format!("ln -sfn {link} /trap")).unwrap();
        for way in [link.as_str(), "/trap", "/trap/..", "/trap/../../.."] {
            match exec(way, IS_OUTSIDE) {
                Ok(output) => panic!("{way} ({link}): {}", text(&output.stdout)),
                Err(error) => assert_eq!(error.exit_code(), 125, "{way} ({link}): {error}"),
            }
        }
    }
    assert_eq!(text(&exec("/proc/self/../../tmp", "pwd").unwrap().stdout), "/tmp\n");
    gone(&host, &container);
}
