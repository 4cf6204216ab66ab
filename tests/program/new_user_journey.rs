//! Tests that a user with only a folder of pictures gets a network that is served over HTTP and runs in Python
//! by typing exactly the next command that each command prints.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::python::Python;
use crate::common::seqfit_serve::Server;
use crate::common::{self, CommandOutput, listing, run, run_exports, signals_are_heard};

/// Returns a shell with `seqfit` on its path, as after `cargo install`.
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

fn typed(home: &Path, line: &str) -> CommandOutput {
    let output = run(&mut shell(home, line));
    assert_eq!(output.code, 0, "{line}: {output:#?}");
    output
}

/// Returns the suggested next command, which must occur once, on the last line.
fn next(stderr: &str) -> String {
    let last = stderr.lines().last().unwrap_or_default();
    let next = last.strip_prefix("next: ").unwrap_or_else(|| panic!("nothing is next: {stderr}"));
    assert_eq!(stderr.matches("next: ").count(), 1, "{stderr}");
    next.to_owned()
}

#[test]
fn new_user_gets_a_served_and_exported_network_from_the_printed_next_commands() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    common::write_shapes(&home.join("my pictures"));

    // A path that has to be quoted in a shell.
    let output = typed(home, "seqfit data pack 'my pictures' --out \"Ann's shapes\"");
    assert!(output.stdout.ends_with("Ann's shapes: 120 images of 28x28\n"), "{}", output.stdout);
    let train = next(&output.stderr);
    assert!(train.starts_with("seqfit train "), "{train}");

    let output = typed(home, &train);
    let name =
        output.stdout.lines().find_map(|line| line.strip_prefix("run:  ")).unwrap().to_owned();
    assert_eq!(listing(&home.join("runs")), [name.trim_start_matches("runs/")]);
    let report = next(&output.stderr);
    assert!(report.starts_with("seqfit report "), "{report}");

    let output = typed(home, &report);
    let page = output.stdout.trim().strip_prefix("report: ").unwrap();
    let page = fs::read_to_string(home.join(page)).unwrap();
    assert!(["circle", "square", "triangle"].iter().all(|class| page.contains(class)));
    let serve = next(&output.stderr);
    assert!(serve.starts_with("seqfit serve "), "{serve}");

    let errors = home.join("serve.err");
    let begin = |line: String| Server::begin(&mut shell(home, &format!("exec {line}")), &errors);
    let mut server = begin(serve.clone()).unwrap_or_else(|stderr| {
        // If the port is in use by another program, the printed command is not at fault.
        assert!(stderr.contains("8000") && stderr.contains("in use"), "{stderr}");
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

    // The last step prints lines for Python, which run unchanged.
    let output = typed(home, &export);
    assert!(!output.stderr.contains("next: "), "{}", output.stderr);
    let lines = output.stdout;
    let Some(python) = run_exports::python() else { return };
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
    let output = python.run(compared, "logits", 1);
    let printed: Vec<f64> = output.split_whitespace().map(|text| text.parse().unwrap()).collect();
    // Python uses the same libtorch.
    assert!(printed[0] <= 1e-5 && printed[1] >= 0.9, "{output}");
}

/// Output for scripts, and quiet output, has no suggested next command.
#[test]
fn quiet_json_and_scripted_commands_print_no_next_command() {
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
        let output = typed(home.path(), line);
        assert!(
            !output.stderr.contains("next: ") && !output.stdout.contains("next: "),
            "{line}: {output:?}"
        );
    }
}
