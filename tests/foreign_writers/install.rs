//! Installers: many files, some replaced, some written in place, some removed, in a prefix that a guard covers.

use std::fs;

use crate::rig::{World, Writer, must};

/// `make install` over an older version.
pub(crate) const MAKE: Writer = Writer {
    name: "make install",
    needs: &[&["make", "--version"], &["install", "--version"]],
    guard: &["usr"],
    prepare: |world| {
        fs::write(world.aside.join("Makefile"), MAKEFILE).unwrap();
        let prefix = format!("DESTDIR={}", world.tree.display());
        for goal in ["1", "2"] {
            must(&mut world.calm("make", &["-s", "build", &format!("VERSION={goal}")]), &world.aside);
        }
        must(&mut world.calm("make", &["-s", "install", "VERSION=1", &prefix]), &world.aside);
    },
    command: |world| {
        let (aside, prefix) = (world.aside.display().to_string(), format!("DESTDIR={}", world.tree.display()));
        world.calm("make", &["-s", "-C", &aside, "install", "VERSION=2", &prefix])
    },
    check: |_, copy, done| {
        let version = if done { "version 2\n" } else { "version 1\n" };
        for n in 1..=40 {
            let part = fs::read_to_string(copy.join(format!("usr/share/demo/part{n}"))).unwrap();
            assert!(part.ends_with(version), "part {n}: {part:?}");
        }
        assert_eq!(
            fs::read_link(copy.join("usr/bin/demo")).unwrap().to_str(),
            Some(&*format!("demo-{}", &version[8..9]))
        );
    },
};

const MAKEFILE: &str = r#"
PARTS = $(shell seq 1 40)
build:
	mkdir -p v$(VERSION)
	for n in $(PARTS); do echo "part $$n, version $(VERSION)" > v$(VERSION)/part$$n; done
install:
	mkdir -p $(DESTDIR)/usr/bin $(DESTDIR)/usr/share/demo
	rm -f $(DESTDIR)/usr/bin/demo-*
	install -m 755 v$(VERSION)/part1 $(DESTDIR)/usr/bin/demo-$(VERSION)
	ln -sfn demo-$(VERSION) $(DESTDIR)/usr/bin/demo
	for n in $(PARTS); do install -m 644 v$(VERSION)/part$$n $(DESTDIR)/usr/share/demo/part$$n; done
	mkdir -p $(DESTDIR)/usr/share/demo-$(VERSION)
	cp -r v$(VERSION) $(DESTDIR)/usr/share/demo-$(VERSION)
"#;

/// `pip install` of a wheel over an older version of it, in a virtual environment.
pub(crate) const PIP: Writer = Writer {
    name: "pip install",
    needs: &[&["python3", "-m", "pip", "--version"], &["python3", "-m", "venv", "--help"]],
    guard: &["venv"],
    prepare: |world| {
        world.must("python3", &["-m", "venv", "--without-pip", "venv"]);
        let wheels = world.aside.display().to_string();
        for version in ["1.0", "2.0"] {
            world.must("python3", &["-c", WHEEL, &wheels, version]);
        }
        must(&mut pip(world, "1.0"), &world.tree);
    },
    command: |world| pip(world, "2.0"),
    check: |world, copy, done| {
        let version = if done { "2.0" } else { "1.0" };
        let script = "import demo, sys; assert [demo.part(n) for n in range(60)] == [sys.argv[1]] * 60";
        let python = copy.join("venv/bin/python").display().to_string();
        must(&mut world.calm(&python, &["-B", "-c", script, version]), copy);
    },
};

fn pip(world: &World, version: &str) -> std::process::Command {
    let wheel = world.aside.join(format!("demo-{version}-py3-none-any.whl")).display().to_string();
    let install = ["install", "-q", "--force-reinstall", "--no-index", "--no-cache-dir", &wheel];
    world.calm("python3", &[&["-m", "pip", "--python", "venv/bin/python"], &install[..]].concat())
}

const WHEEL: &str = r#"
import sys, zipfile
where, version = sys.argv[1:]
info = "demo-%s.dist-info/" % version
files = {"demo/__init__.py": "import importlib\ndef part(n):\n    return importlib.import_module('demo.part%d' % n).VERSION\n"}
for n in range(60):
    files["demo/part%d.py" % n] = "VERSION = %r\n" % version
files[info + "METADATA"] = "Metadata-Version: 2.1\nName: demo\nVersion: %s\n" % version
files[info + "WHEEL"] = "Wheel-Version: 1.0\nGenerator: demo\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
files[info + "RECORD"] = "".join("%s,,\n" % name for name in list(files) + [info + "RECORD"])
with zipfile.ZipFile("%s/demo-%s-py3-none-any.whl" % (where, version), "w") as wheel:
    for name, text in files.items():
        wheel.writestr(name, text)
"#;

/// `npm install` of a package from a file.
pub(crate) const NPM: Writer = Writer {
    name: "npm install",
    needs: &[&["npm", "--version"], &["tar", "--version"]],
    guard: &["node_modules", "package.json", "package-lock.json"],
    prepare: |world| {
        for version in ["1.0.0", "2.0.0"] {
            let package = world.aside.join("package");
            fs::create_dir_all(package.join("lib")).unwrap();
            fs::write(package.join("package.json"), format!("{{\"name\":\"demo\",\"version\":\"{version}\"}}"))
                .unwrap();
            for n in 0..60 {
                fs::write(package.join(format!("lib/part{n}.js")), format!("exports.version = '{version}'\n")).unwrap();
            }
            let file = format!("demo-{version}.tgz");
            must(&mut world.calm("tar", &["czf", &file, "package"]), &world.aside);
        }
        fs::write(world.tree.join("package.json"), "{\"name\": \"site\", \"version\": \"1.0.0\"}\n").unwrap();
        must(&mut npm(world, "1.0.0"), &world.tree);
    },
    command: |world| npm(world, "2.0.0"),
    check: |_, copy, done| {
        let version = if done { "2.0.0" } else { "1.0.0" };
        let read = |path: &str| fs::read_to_string(copy.join(path)).unwrap();
        for n in 0..60 {
            assert_eq!(read(&format!("node_modules/demo/lib/part{n}.js")), format!("exports.version = '{version}'\n"));
        }
        for listed in ["package.json", "package-lock.json"] {
            assert!(read(listed).contains(&format!("demo-{version}.tgz")), "{listed}: {}", read(listed));
        }
    },
};

fn npm(world: &World, version: &str) -> std::process::Command {
    let package = world.aside.join(format!("demo-{version}.tgz")).display().to_string();
    world.calm("npm", &["install", "--offline", "--no-audit", "--no-fund", "--silent", &package])
}
