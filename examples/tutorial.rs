use seqfit::layers::{Dense, Flatten};
use seqfit::{Activation, Adam, Device, FitConfig, Loss, Optimizer, Sequential, data};

fn main() -> Result<(), seqfit::Error> {
    let (train, test) = data::load("mnist")?;

    let mut model = Sequential::new([28, 28])
        .add(Flatten)
        .add(Dense::new(128).activation(Activation::Relu))
        .add(Dense::new(64).activation(Activation::Relu))
        .add(Dense::new(10).activation(Activation::Softmax))
        .build(Device::Cpu, 0)?;
    println!("{}", model.summary());

    let config = FitConfig {
        optimizer: Optimizer::Adam(Adam::default()),
        loss: Loss::Categorical,
        epochs: 10,
        batch_size: 32,
        ..Default::default()
    };
    let history = model.fit(&train, &config, &mut [])?;
    for epoch in &history.epochs {
        let accuracy = epoch.accuracy.unwrap_or_default();
        println!("epoch {}: loss {:.4}, accuracy {accuracy:.4}", epoch.epoch, epoch.loss);
    }

    let tested = model.evaluate(&test)?;
    println!("test: {tested}");

    let probabilities = model.predict_images(test.image(0), test.image_shape()?)?;
    println!("the first test image: {:.3?}", probabilities[0]);

    model.save("model.safetensors")?;
    let again = Sequential::load("model.safetensors", Device::Cpu)?;
    assert_eq!(again.evaluate(&test)?.accuracy, tested.accuracy);

    model.export("model.pt", train.classes())?;
    Ok(())
}
