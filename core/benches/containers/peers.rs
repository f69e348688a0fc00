//! The floor, the library by other languages, and the runtimes that it is compared with.

use std::path::{Path, PathBuf};
use std::process::Command;

use sampan::{Cancel, Quiet, RemoveOptions, RunOptions, Stdio};

use super::common::{self, Host};
use super::race::{self, Entry, Partner, shell};

/// The directory for all that is made here, and what the runs are to be like.
pub struct Peers<'a> {
    pub host: &'a Host,
    pub dir: &'a Path,
    /// What is run, with its limits.
    pub options: &'a RunOptions,
}

fn compile(dir: &Path, name: &str, flags: &[&str]) -> Result<PathBuf, String> {
    let (program, source) = (dir.join(name), format!("{}/benches/{name}.c", env!("CARGO_MANIFEST_DIR")));
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-o"]).arg(&program).arg(source).args(flags);
    match program.exists() || cc.status().map_err(|e| format!("cc: {e}"))?.success() {
        true => Ok(program),
        false => Err(format!("{name}.c does not compile")),
    }
}

impl Peers<'_> {
    /// The raw system calls of such a run; `bare` without what is for security and limits.
    pub fn floor(&self, bare: bool) -> Entry<'static> {
        let program = compile(self.dir, "floor", &["-static"])?;
        let (lower, base, filter) = (self.dir.join("lower"), self.dir.join("floor.base"), self.dir.join("filter"));
        shell(&format!(
            "mkdir -p {0}/bin {0}/etc {1} && cp $(command -v busybox) {0}/bin/true",
            lower.display(),
            base.display()
        ));
        if !filter.exists() {
            std::fs::write(&filter, self.filter()?).map_err(|e| e.to_string())?;
        }
        let mut command = Command::new(program);
        command.args(bare.then_some("--bare")).arg("--seccomp").args([filter, lower, base]).args(self.groups()?);
        Partner::start(&mut command).map(Partner::entry)
    }

    /// The cgroup directories of such a run and what it writes there, as the floor takes them.
    fn groups(&self) -> Result<Vec<String>, String> {
        let plan = self.host.engine.plan(self.options).map_err(|e| e.to_string())?;
        let plan: serde_json::Value = serde_json::from_str(&plan).map_err(|e| e.to_string())?;
        let group = |dir: &serde_json::Value| {
            let lists = ["writes", "if_possible"].map(|list| dir[list].as_array().cloned().unwrap_or_default());
            let writes =
                lists.concat().into_iter().filter_map(|w| Some(format!("{}={}", w[0].as_str()?, w[1].as_str()?)));
            let base = dir["base"].as_str().unwrap_or_default().to_owned();
            // The floor takes no refusal, so it gets no file that this kernel lacks.
            let own = PathBuf::from(dir["path"].as_str().unwrap_or_default());
            let above = own.parent().map(Path::to_owned).unwrap_or_default();
            let known = writes.filter(|w| above.join(w.split('=').next().unwrap_or_default()).exists());
            [base].into_iter().chain(known).collect::<Vec<_>>().join(",")
        };
        Ok(plan["cgroup"]["dirs"].as_array().into_iter().flatten().map(group).collect())
    }

    /// The seccomp program that such a container has, as the kernel knows it.
    fn filter(&self) -> Result<Vec<u8>, String> {
        let options = RunOptions { command: ["sleep", "1000"].map(str::to_owned).into(), ..self.options.clone() };
        let spawned = self.host.engine.spawn(&options, &Stdio::default(), &mut Quiet, &Cancel::new());
        let container = spawned.map_err(|e| e.to_string())?;
        let pid = container.inspect().map_err(|e| e.to_string())?.pid;
        let filter = pid.ok_or("it has ended".to_owned()).and_then(filter_of);
        container.remove(&RemoveOptions { force: true, volumes: true }).map_err(|e| e.to_string())?;
        filter
    }

    /// By the C face: `SAMPAN_BENCH_LIB` is a libsampan.so.
    pub fn c(&self) -> Entry<'static> {
        let library = given("SAMPAN_BENCH_LIB")?;
        let include = concat!("-I", env!("CARGO_MANIFEST_DIR"), "/../include");
        let mut command = Command::new(compile(self.dir, "turns", &[include, "-ldl"])?);
        command.arg(library).arg(self.root()).arg(&self.options.image).args(self.limits());
        Partner::start(&mut command).map(Partner::entry)
    }

    /// By the Python package: `SAMPAN_BENCH_PYTHON` is an interpreter that has it.
    pub fn python(&self) -> Entry<'static> {
        let mut command = Command::new(given("SAMPAN_BENCH_PYTHON")?);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/turns.py")).arg(self.root());
        command.arg(&self.options.image).args(self.limits());
        Partner::start(&mut command).map(Partner::entry)
    }

    fn root(&self) -> PathBuf {
        self.host.dir.path().join("root")
    }

    /// Memory in bytes, CPUs, number of processes.
    fn limits(&self) -> [String; 3] {
        let o = self.options;
        [o.memory.unwrap_or(0).to_string(), o.cpus.unwrap_or(0.0).to_string(), o.pids_limit.unwrap_or(0).to_string()]
    }

    /// The command, whole: `SAMPAN_BENCH_CLI` is the program.
    pub fn command(&self) -> Entry<'static> {
        let mut command = self.sampan()?;
        let [memory, cpus, pids] = self.limits();
        command.args(["run", "--rm", "--network", "none", "--memory", &memory, "--cpus", &cpus, "--pids-limit", &pids]);
        command.arg(&self.options.image).args(&self.options.command);
        race::process(command)
    }

    /// The program with this store.
    pub fn sampan(&self) -> Result<Command, String> {
        let mut command = Command::new(given("SAMPAN_BENCH_CLI")?);
        command.arg("--root").arg(self.root()).arg("--run-dir").arg(self.host.dir.path().join("run"));
        Ok(command)
    }

    /// `crun run` of a bundle of busybox, as `crun spec` writes it: no overlay, no seccomp, no limits.
    pub fn crun_run(&self) -> Entry<'static> {
        let bundle = self.bundle(&["/bin/true"])?;
        let mut number = 0;
        race::processes(move || {
            number += 1;
            let mut command = Command::new("crun");
            command.args(["run", &format!("bench-{}-{number}", std::process::id())]).current_dir(&bundle);
            command
        })
    }

    fn bundle(&self, args: &[&str]) -> Result<PathBuf, String> {
        let bundle = self.dir.join(format!("bundle-{}", args.join("").replace('/', "-")));
        let made = shell(&format!(
            "mkdir -p {0}/rootfs/bin && cp $(command -v busybox) {0}/rootfs/bin/true && \
             cp {0}/rootfs/bin/true {0}/rootfs/bin/sleep && cd {0} && rm -f config.json && crun spec",
            bundle.display()
        ));
        if !made {
            return Err("crun spec fails here, or crun is not installed".to_owned());
        }
        let path = bundle.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(|e| e.to_string())?;
        let mut config: serde_json::Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        let process = &mut config["process"];
        (process["terminal"], process["args"]) = (false.into(), args.into());
        // A host without CAP_SYS_RESOURCE can't set them.
        process["rlimits"] = serde_json::json!([]);
        std::fs::write(&path, config.to_string()).map_err(|e| e.to_string())?;
        Ok(bundle)
    }

    /// `crun exec` in a container that goes on until the guard is dropped.
    pub fn crun_exec(&self) -> Result<(Entry<'static>, CrunContainer), String> {
        let bundle = self.bundle(&["/bin/sleep", "1000"])?;
        let container = CrunContainer(format!("bench-{}-exec", std::process::id()));
        let mut run = Command::new("crun");
        if !race::quiet(run.args(["run", "-d", &container.0]).current_dir(bundle)) {
            return Err("crun runs nothing here".to_owned());
        }
        let mut command = Command::new("crun");
        command.args(["exec", &container.0, "/bin/true"]);
        Ok((race::process(command), container))
    }

    fn podman(&self) -> Result<Command, String> {
        let root = self.host.dir.path().join("podman");
        let mut command = Command::new("podman");
        command.arg("--root").arg(root.join("root")).arg("--runroot").arg(root.join("run"));
        command.args(["--cgroup-manager", "cgroupfs"]);
        match race::quiet(Command::new("podman").arg("--version")) {
            true => Ok(command),
            false => Err("podman is not installed".to_owned()),
        }
    }

    /// `podman run --rm --network none`, from the same registry.
    pub fn podman_run(&self) -> Entry<'static> {
        if !race::quiet(self.podman()?.args(["pull", "--tls-verify=false", &common::image()])) {
            return Err("podman pull fails here".to_owned());
        }
        let mut command = self.podman()?;
        command.args(["run", "--rm", "--network", "none"]);
        // Limits that a host without CAP_SYS_RESOURCE can set.
        command.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]);
        command.arg(&self.options.image).args(&self.options.command);
        race::process(command)
    }
}

/// A detached container of crun's.
pub struct CrunContainer(String);

impl Drop for CrunContainer {
    fn drop(&mut self) {
        race::quiet(Command::new("crun").args(["delete", "-f", &self.0]));
    }
}

/// What a variable of the environment names.
pub fn given(variable: &str) -> Result<String, String> {
    std::env::var(variable).map_err(|_| format!("{variable} is not set"))
}

/// The seccomp program of a process (`PTRACE_SECCOMP_GET_FILTER`).
fn filter_of(pid: i32) -> Result<Vec<u8>, String> {
    const GET_FILTER: libc::c_uint = 0x420c;
    let failed = |what: &str| Err(format!("{what}: {}", std::io::Error::last_os_error()));
    // SAFETY: plain numbers; the process is one of our own containers, and is let go below.
    if unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0usize, 0usize) } < 0 {
        return failed("trace a container");
    }
    // SAFETY: as above.
    unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, pid, 0usize, 0usize) };
    let mut status = 0;
    // SAFETY: the kernel writes one int.
    unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
    // SAFETY: without a buffer the kernel tells the number of instructions.
    let count = unsafe { libc::ptrace(GET_FILTER, pid, 0usize, 0usize) };
    let mut program = vec![0u8; usize::try_from(count).unwrap_or(0) * 8];
    // SAFETY: the buffer has room for so many instructions of eight bytes.
    let read = unsafe { libc::ptrace(GET_FILTER, pid, 0usize, program.as_mut_ptr()) };
    // SAFETY: as above.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, 0usize, 0usize) };
    if count <= 0 || read != count { failed("read a container's seccomp program") } else { Ok(program) }
}
