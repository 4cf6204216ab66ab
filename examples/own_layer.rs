//! Trains a network with your own layer, and exports it: `cargo run --release --example own_layer`.

use std::error::Error;

use seqfit::export::{self, Card, Format, Options};
use seqfit::layers::{
    Context, Dense, Flatten, Initializer, Layer, LayerError, LayerKind, LibtorchError, Module,
    Variable, Variables,
};
use seqfit::tch::Tensor;
use seqfit::{Activation, Device, FitConfig, Sequential, data};

/// Multiplies each value by a factor that is learned: y = x · weight.
#[derive(Debug)]
struct Gain;

impl LayerKind for Gain {
    fn name(&self) -> &'static str {
        "Gain"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        LayerError::unless_vector("Gain", input)?;
        Ok(input.to_vec())
    }

    fn variables(&self, input: &[usize]) -> Vec<Variable> {
        vec![Variable::parameter("weight", input, Initializer::Constant(1.0))]
    }

    fn forward(
        &self,
        x: &Tensor,
        variables: &Variables<'_>,
        context: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        let [weight] = variables.parameters()?;
        Ok(x.f_mul(&weight.f_to_kind(context.kind)?)?)
    }

    // Without this the layer trains all the same, and exporting it is an error that names it.
    fn describe(&self, _: &[usize]) -> Option<Vec<Module>> {
        Some(vec![Module {
            torch: "Gain()".to_owned(),
            script: "x * {weight}".to_owned(),
            variables: vec!["weight".to_owned()],
            ..Module::default()
        }])
    }
}

pub fn main() -> Result<(), Box<dyn Error>> {
    let (train, test) = data::load("digits")?;
    let mut model = Sequential::new(train.image_shape()?)
        .add(Flatten)
        .add(Layer::custom(Gain))
        .add(Dense::new(64).activation(Activation::Relu))
        .add(Dense::new(10))
        .build(Device::Cpu, 0)?;
    println!("{}", model.summary());
    model.fit(&train, &FitConfig::default(), &mut [])?;
    println!("{:.1} % of the test images", 100.0 * model.evaluate(&test)?.accuracy.unwrap_or(0.0));
    let card = Card::new(model.spec(), train.classes());
    let file = export::encode(&model, Format::TorchScript, &card, Options::default())?;
    println!("{} bytes for torch.jit.load", file.len());
    Ok(())
}
