//! Trains a network on a folder that `seqfit data pack` wrote, and classifies a picture:
//! `cargo run --release --example own_data -- packed picture.png`. See docs/custom-data.md.

use std::error::Error;
use std::path::Path;

use seqfit::layers::{Dense, Flatten};
use seqfit::{Activation, Device, FitConfig, Sequential, data};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, picture] = &arguments[..] else {
        return Err("pass a folder that seqfit data pack wrote, and a picture".into());
    };
    let (train, test) = data::load_dir(folder)?;
    let shape = train.image_shape()?;
    let mut model = Sequential::new(shape)
        .add(Flatten)
        .add(Dense::new(64).activation(Activation::Relu))
        .add(Dense::new(train.classes().len()))
        .build(Device::Cpu, 0)?;
    model.fit(&train, &FitConfig { epochs: 20, ..Default::default() }, &mut [])?;
    let accuracy = model.evaluate(&test)?.accuracy.unwrap_or_default();
    println!("{:.1} % of the test pictures", 100.0 * accuracy);

    let prepared = data::images::read(Path::new(picture), shape, train.preparation())?;
    let predictions = model.predict_images(&prepared.pixels, shape)?;
    for (class, probability) in train.classes().iter().zip(&predictions[0]) {
        println!("{class}: {:.0} %", 100.0 * probability);
    }
    Ok(())
}
