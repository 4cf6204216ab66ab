//! NumPy's files, and the digits as arrays of numbers with other targets.

use std::fs;
use std::io::Write;
use std::path::Path;

use seqfit::data;

/// Returns a `.npy` file of f32.
pub fn npy(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    npy_of("<f4", shape, &data)
}

/// Returns a `.npy` file of numbers of this type.
pub fn npy_of(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}\n");
    let length = (text.len() as u16).to_le_bytes();
    b"\x93NUMPY\x01\x00".iter().chain(&length).chain(text.as_bytes()).chain(data).copied().collect()
}

/// Returns a `.npy` file of text \[strings\], as NumPy writes an array of `str`.
pub fn npy_of_text(strings: &[&str]) -> Vec<u8> {
    let width = strings.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1);
    let padded =
        strings.iter().flat_map(|text| text.chars().chain(['\0'].repeat(width)).take(width));
    let data: Vec<u8> = padded.flat_map(|c| u32::from(c).to_le_bytes()).collect();
    npy_of(&format!("<U{width}"), &[strings.len()], &data)
}

/// Writes a `.npz` file.
pub fn npz(path: &Path, arrays: &[(&str, Vec<u8>)]) {
    let mut writer = zip::ZipWriter::new(fs::File::create(path).expect("a file"));
    for (name, bytes) in arrays {
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file(format!("{name}.npy"), options).expect("a record");
        writer.write_all(bytes).expect("its bytes");
    }
    writer.finish().expect("an archive");
}

/// Writes the digits as numbers in [-1, 1], and what each digit is: even, above four, prime; the digit itself as a
/// number far from 0; or the digit as a class.
pub fn write_digits(path: &Path) {
    let (train, test) = data::load("digits").expect("the digits");
    let (mut arrays, mut last) = (Vec::new(), Vec::new());
    for (part, set) in [("train", &train), ("test", &test)] {
        let digit = |i| f32::from(set.label(i));
        let all = 0..set.len();
        let pixels = all.clone().flat_map(|i| set.image(i)).map(|&p| f32::from(p) / 128.0 - 1.0);
        let x: Vec<f32> = pixels.collect();
        let labels = |i| {
            let is = |yes: bool| f32::from(u8::from(yes));
            let digit = set.label(i);
            [is(digit % 2 == 0), is(digit > 4), is([2, 3, 5, 7].contains(&digit))]
        };
        let labels: Vec<f32> = all.clone().flat_map(labels).collect();
        let numbers: Vec<f32> = all.clone().map(|i| 1000.0 + 10.0 * digit(i)).collect();
        let classes: Vec<f32> = all.map(digit).collect();
        arrays.push((format!("x_{part}"), npy(&[set.len(), 64], &x)));
        arrays.push((format!("labels_{part}"), npy(&[set.len(), 3], &labels)));
        arrays.push((format!("numbers_{part}"), npy(&[set.len()], &numbers)));
        last.push((format!("classes_{part}"), npy(&[set.len()], &classes)));
    }
    arrays.append(&mut last);
    npz(path, &arrays.iter().map(|(name, bytes)| (&name[..], bytes.clone())).collect::<Vec<_>>());
}

/// The options of `train` for a kind of target in the file of [`write_digits`]: `class`, `labels` or `numbers`.
pub fn digits_options(kind: &str) -> Vec<String> {
    let array = if kind == "class" { "classes" } else { kind };
    let keys = format!("y_train={array}_train,y_test={array}_test");
    ["--data", "digits.npz", "--keys", &keys, "--task", kind].map(ToOwned::to_owned).to_vec()
}
