//! `attach`, and `start -a` of one that runs.

use crate::host::Host;

fn waiting() -> Host {
    let host = Host::new();
    let script = "read word; echo got $word; echo err >&2; exit 6";
    host.ok(&["run", "-d", "-i", "--name", "c", "box", "sh", "-c", script]);
    host
}

#[test]
fn it_is_joined_to_its_end() {
    for command in
        [&["attach", "c"][..], &["container", "attach", "--sig-proxy=false", "c"], &["start", "-a", "-i", "c"]]
    {
        let host = waiting();
        let ended = host.feed(command, b"it\n");
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (6, "got it\n", "err\n"), "{command:?}");
        let refused = host.run(&["attach", "c"]);
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains("not running but exited"), "{refused:?}");
    }
}

#[test]
fn without_its_input_the_output_is_joined() {
    let host = waiting();
    std::thread::scope(|scope| {
        let joined = scope.spawn(|| host.feed(&["attach", "--no-stdin", "c"], b"unheard\n"));
        assert_eq!(host.feed(&["attach", "c"], b"heard\n").stdout, "got heard\n");
        // It may have come too late for anything.
        let joined = joined.join().unwrap();
        assert!(["got heard\n", ""].contains(&joined.stdout.as_str()), "{joined:?}");
    });
}
