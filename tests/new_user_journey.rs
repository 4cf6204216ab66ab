//! The promise: who has a folder of pictures and nothing else gets to a network that answers over HTTP and in
//! Python by doing what each command says comes next, word for word.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::python::Python;
use common::server::Server;
use common::{Said, exports, listing, run, signals_are_heard};

/// A shell with `seqfit` on its path, as after `cargo install`.
fn shell(home: &Path, line: &str) -> Command {
    signals_are_heard();
    let seqfit = Path::new(env!("CARGO_BIN_EXE_seqfit")).parent().unwrap().display();
    let mut command = Command::new("bash");
    command.current_dir(home).args(["-c", line]);
    command.env("PATH", format!("{seqfit}:{}", std::env::var("PATH").unwrap()));
    command.env("SEQFIT_CACHE", home.join("cache")).env("SEQFIT_MIRROR", "http://127.0.0.1:9");
    command.env_remove("SEQFIT_DATA").env("NO_PROXY", "*");
    command
}

fn typed(home: &Path, line: &str) -> Said {
    let said = run(&mut shell(home, line));
    assert_eq!(said.code, 0, "{line}: {said:#?}");
    said
}

/// The command that the output says comes next: there is one, on its last line.
fn next(stderr: &str) -> String {
    let last = stderr.lines().last().unwrap_or_default();
    let next = last.strip_prefix("next: ").unwrap_or_else(|| panic!("nothing is next: {stderr}"));
    assert_eq!(stderr.matches("next: ").count(), 1, "{stderr}");
    next.to_owned()
}

#[test]
fn pictures_become_a_network_in_use_by_what_each_command_says() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    common::write_shapes(&home.join("my pictures"));

    // A path that a shell has to be told of.
    let said = typed(home, "seqfit data pack 'my pictures' --out \"Ann's shapes\"");
    assert!(said.stdout.ends_with("Ann's shapes: 120 images of 28x28\n"), "{}", said.stdout);
    let train = next(&said.stderr);
    assert!(train.starts_with("seqfit train "), "{train}");

    let said = typed(home, &train);
    let name = said.stdout.lines().find_map(|line| line.strip_prefix("run:  ")).unwrap().to_owned();
    assert_eq!(listing(&home.join("runs")), [name.trim_start_matches("runs/")]);
    let report = next(&said.stderr);
    assert!(report.starts_with("seqfit report "), "{report}");

    let said = typed(home, &report);
    let page = said.stdout.trim().strip_prefix("report: ").unwrap();
    let page = fs::read_to_string(home.join(page)).unwrap();
    assert!(["circle", "square", "triangle"].iter().all(|class| page.contains(class)));
    let serve = next(&said.stderr);
    assert!(serve.starts_with("seqfit serve "), "{serve}");

    let errors = home.join("serve.err");
    let begin = |line: String| Server::begin(&mut shell(home, &format!("exec {line}")), &errors);
    let mut server = begin(serve.clone()).unwrap_or_else(|said| {
        // Somebody else's port is no fault of what was printed.
        assert!(said.contains("8000") && said.contains("in use"), "{said}");
        begin(format!("{serve} --port 0")).unwrap()
    });
    for picture in ["circle/3.png", "square/20.png", "triangle/39.png"] {
        let bytes = fs::read(home.join("my pictures").join(picture)).unwrap();
        let answer = server.ask("POST", "/predict", "image/png", &bytes);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["label"], picture.split('/').next().unwrap(), "{answer:?}");
    }
    server.signal("INT");
    assert_eq!(server.wait().code(), Some(130));
    let export = next(&fs::read_to_string(&errors).unwrap());
    assert!(export.starts_with("seqfit export "), "{export}");

    // The end of the way: lines for Python, which do as they are.
    let said = typed(home, &export);
    assert!(!said.stderr.contains("next: "), "{}", said.stderr);
    let lines = said.stdout;
    let Some(python) = exports::python() else { return };
    typed(home, &format!("seqfit evaluate {name} --logits logits.npy"));
    let mut command = Command::new(python);
    command.current_dir(home);
    let mut python = Python::start(command, &home.join("Ann's shapes"));
    let images = "import numpy\n(_, _), (pixels, labels) = load_data()\n\
                  images = pixels.astype('float32') / 255";
    python.run(images, "images", 1);
    python.run(&lines, &export, 1);
    let compared = "expected = numpy.load('logits.npy')\n\
                    found = logits.detach().numpy()\n\
                    assert found.shape == expected.shape == (len(labels), 3)\n\
                    print(numpy.abs(found - expected).max(), (found.argmax(1) == labels).mean())";
    let said = python.run(compared, "logits", 1);
    let figures: Vec<f64> = said.split_whitespace().map(|text| text.parse().unwrap()).collect();
    // The same libtorch, asked in Python.
    assert!(figures[0] <= 1e-5 && figures[1] >= 0.9, "{said}");
}

/// What a script reads or has asked to be spared is not told what is next.
#[test]
fn scripts_are_not_told_what_is_next() {
    let home = tempfile::tempdir().unwrap();
    let train = "seqfit train --dataset digits --epochs 1 --out r";
    for line in [
        &format!("{train} --quiet"),
        &format!("{train} --json --force"),
        "seqfit report r --json",
        "seqfit train --dataset digits --fast-dev-run",
        "seqfit export r --python",
        "seqfit evaluate r",
    ] {
        let said = typed(home.path(), line);
        assert!(
            !said.stderr.contains("next: ") && !said.stdout.contains("next: "),
            "{line}: {said:?}"
        );
    }
}
