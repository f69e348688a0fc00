//! Installs `libsampan` for C: library, header and pkg-config file, laid out as cargo-c and autotools do.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{clib, repo};

/// What the command line asked for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    /// Where programs will look for it.
    prefix: PathBuf,
    /// A staging directory before every path, for packagers; not in any file.
    destdir: Option<PathBuf>,
    /// Relative to the prefix: `lib/x86_64-linux-gnu` on Debian, `lib64` on Fedora.
    libdir: PathBuf,
    profile: String,
}

/// Builds and installs.
pub fn run(args: &[&str]) -> Result<()> {
    let options = parse(args)?;
    let built = clib::build(&options.profile)?;
    let lib = options.stage(&options.lib());
    put(&built.shared, &lib.join(real_name()), 0o755)?;
    link(&lib.join(clib::soname()?), real_name())?;
    link(&lib.join("libsampan.so"), &clib::soname()?)?;
    put(&built.archive, &lib.join("libsampan.a"), 0o644)?;
    write(&lib.join("pkgconfig/sampan.pc"), &pkg_config(&options, &built.system_libs))?;
    put(&repo::path("include/sampan.h"), &options.stage(&options.prefix.join("include/sampan.h")), 0o644)?;
    report(&options, &lib)
}

fn parse(args: &[&str]) -> Result<Options> {
    let mut options =
        Options { prefix: "/usr/local".into(), destdir: None, libdir: "lib".into(), profile: "release".into() };
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let mut value = || args.next().with_context(|| format!("{flag} wants a value"));
        match *flag {
            "--prefix" => options.prefix = value()?.into(),
            "--destdir" => options.destdir = Some(value()?.into()),
            "--libdir" => options.libdir = value()?.into(),
            "--profile" => options.profile = (*value()?).to_owned(),
            "--debug" => options.profile = "dev".to_owned(),
            other => bail!("install does not know {other}"),
        }
    }
    if !options.prefix.is_absolute() {
        bail!("the prefix is written into sampan.pc and must be absolute: {}", options.prefix.display());
    }
    Ok(options)
}

impl Options {
    fn lib(&self) -> PathBuf {
        self.prefix.join(&self.libdir)
    }

    /// Where a path is written to.
    fn stage(&self, path: &Path) -> PathBuf {
        match &self.destdir {
            None => path.to_owned(),
            Some(destdir) => destdir.join(path.strip_prefix("/").unwrap_or(path)),
        }
    }
}

/// The file that the links lead to; two versions of one soname can lie side by side.
fn real_name() -> &'static str {
    concat!("libsampan.so.", env!("CARGO_PKG_VERSION"))
}

/// Paths are given by `${prefix}`, so that a tree that was moved works with `pkg-config --define-prefix`.
fn pkg_config(options: &Options, system_libs: &str) -> String {
    let below = |path: &Path| match path.strip_prefix(&options.prefix) {
        Ok(rest) => format!("${{prefix}}/{}", rest.display()),
        Err(_) => path.display().to_string(),
    };
    format!(
        "prefix={}\nexec_prefix=${{prefix}}\nlibdir={}\nincludedir=${{prefix}}/include\n\n\
         Name: sampan\nDescription: {}\nVersion: {}\nLibs: -L${{libdir}} -lsampan\nLibs.private: {system_libs}\n\
         Cflags: -I${{includedir}}\n",
        options.prefix.display(),
        below(&options.lib()),
        "An embeddable container library with no daemon",
        env!("CARGO_PKG_VERSION"),
    )
}

fn parent_of(path: &Path) -> Result<()> {
    let parent = path.parent().context("a file lies in a directory")?;
    fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))
}

/// Puts a copy in the place of what is there. A rename, because a program may have the old library mapped.
fn put(from: &Path, to: &Path, mode: u32) -> Result<()> {
    parent_of(to)?;
    let new = beside(to);
    fs::copy(from, &new).with_context(|| format!("copy {} to {}", from.display(), new.display()))?;
    fs::set_permissions(&new, fs::Permissions::from_mode(mode))?;
    fs::rename(&new, to).with_context(|| format!("put {} in place", to.display()))
}

fn write(to: &Path, text: &str) -> Result<()> {
    parent_of(to)?;
    fs::write(to, text).with_context(|| format!("write {}", to.display()))
}

fn link(at: &Path, target: &str) -> Result<()> {
    let new = beside(at);
    let _ = fs::remove_file(&new);
    symlink(target, &new).with_context(|| format!("link {}", at.display()))?;
    fs::rename(&new, at).with_context(|| format!("put {} in place", at.display()))
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension(format!("new-{}", std::process::id()))
}

/// The most that the stripped shared library may have.
const LARGEST: u64 = 5_000_000;

fn report(options: &Options, lib: &Path) -> Result<()> {
    let size = fs::metadata(lib.join(real_name()))?.len();
    println!("installed in {}: {} of {:.2} MB", lib.display(), real_name(), size as f64 / 1e6);
    if options.profile == "release" && size > LARGEST {
        bail!("{} has {size} bytes, more than {LARGEST}", real_name());
    }
    // A staged tree is a package's, which has its own way to tell the loader.
    if options.destdir.is_none() && is_searched(&options.lib()) {
        let _ = Command::new("ldconfig").status();
    }
    Ok(())
}

/// True for a directory that the loader's cache is made of.
fn is_searched(lib: &Path) -> bool {
    ["/usr/lib", "/usr/local/lib", "/lib"].iter().any(|dir| lib.starts_with(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_read() {
        let options = parse(&["--prefix", "/opt/x", "--libdir", "lib64", "--debug", "--destdir", "/stage"]).unwrap();
        assert_eq!((options.profile.as_str(), options.lib()), ("dev", "/opt/x/lib64".into()));
        assert_eq!(options.stage(&options.lib()), Path::new("/stage/opt/x/lib64"));
        assert!(parse(&["--prefix"]).is_err() && parse(&["--prefix", "here"]).is_err() && parse(&["--x"]).is_err());
    }

    #[test]
    fn the_pkg_config_file_follows_the_prefix() {
        let text = pkg_config(&parse(&["--prefix", "/opt/x"]).unwrap(), "-lm -lc");
        assert!(text.contains("libdir=${prefix}/lib\n") && text.contains("Libs.private: -lm -lc\n"), "{text}");
        let text = pkg_config(&parse(&["--prefix", "/opt/x", "--libdir", "/elsewhere"]).unwrap(), "");
        assert!(text.contains("libdir=/elsewhere\n"), "{text}");
    }
}
