//! Tests that networks with every layer compute the same outputs in the programs that exported files are for, and come
//! back from their files exactly.

use std::fs;

use crate::common;
use crate::common::run_exports::{Case, OPTIONS, able, expected, outcomes, python};
use seqfit::export::{self, Card, Format, npy};
use seqfit::import::{ImportOptions, Imported};
use seqfit::layers::{
    AveragePooling2D, BatchNormalization, Context, Conv2D, Dense, DepthwiseConv2D, Dropout,
    Flatten, GaussianNoise, GlobalAveragePooling2D, GlobalMaxPooling2D, Layer, LayerError,
    LayerKind, LayerNormalization, LibtorchError, MaxPooling2D, Normalization, PReLU, Padding,
    RMSNormalization, Rescaling, Reshape, Residual, SeparableConv2D, SpatialDropout2D, Variables,
    ZeroPadding2D,
};
use seqfit::{Activation, Builder, Device, FitConfig, Sequential, data};
use tch::Tensor;

/// A network with every layer for vectors and every activation, untrained.
pub(super) fn every_layer() -> Sequential {
    ended(activated(with_block(prepared(Sequential::new([6, 5]))), &Activation::ALL))
}

/// The same in networks of few layers, through which differences in rounding do not grow.
fn every_layer_in_parts() -> Vec<Sequential> {
    let flat = || Sequential::new([6, 5]).add(Flatten);
    let activations = Activation::ALL.chunks(4).map(|some| activated(flat(), some));
    let vectors = [prepared(Sequential::new([6, 5])), with_block(flat().add(Dense::new(8)))];
    vectors.into_iter().chain(activations).map(ended).collect()
}

/// Adds the layers that prepare samples, of [6, 5], and the first Dense layer.
fn prepared(builder: Builder) -> Builder {
    builder
        .add(Rescaling::new(2.0, -1.0))
        // Two rows of stripes: one has the same value everywhere, whose differences in rounding would grow thirtyfold.
        .add(Reshape::new([3, 10]))
        .add(LayerNormalization::default())
        .add(Flatten)
        .add(Normalization::new([0.25f32; 30], [0.5f32; 30]))
        .add(GaussianNoise::new(0.05))
        .add(Dense::new(8))
        .add(BatchNormalization { momentum: 0.5, ..BatchNormalization::default() })
        .add(Activation::Elu)
}

/// Adds a block for vectors, and the layers that are left.
fn with_block(builder: Builder) -> Builder {
    let block = Residual::new()
        .add(LayerNormalization::default())
        .add(Dense::new(9).activation(Activation::Selu))
        .add(GaussianNoise::new(0.1))
        .add(Dense::new(8))
        .add(Residual::new().add(BatchNormalization::default()).add(Activation::Mish));
    builder
        .add(block)
        .add(Dropout::new(0.1))
        .add(Dense::new(8))
        .add(PReLU)
        .add(BatchNormalization::default())
}

fn activated(mut builder: Builder, activations: &[Activation]) -> Builder {
    for &activation in activations {
        if activation != Activation::Softmax {
            builder = builder.add(Dense::new(8)).add(activation).add(LayerNormalization::default());
        }
    }
    builder
}

fn ended(builder: Builder) -> Sequential {
    let builder = builder.add(RMSNormalization::default());
    builder.add(Dense::new(3)).add(Activation::Linear).build(Device::Cpu, 1).unwrap()
}

/// A network with every layer for pictures, untrained.
pub(super) fn of_pictures() -> Sequential {
    let same = |filters, size| Conv2D::new(filters, size).padding(Padding::Same);
    let block = Residual::new().add(Conv2D::new(6, 1)).add(Dropout::new(0.1)).add(same(6, 3));
    // Of [5, 2, 1], to a vector and back.
    let pooled =
        |layer: Layer| Residual::new().add(layer).add(Dense::new(10)).add(Reshape::new([5, 2, 1]));
    let builder = Sequential::new([6, 5])
        .add(Reshape::new([1, 6, 5]))
        .add(Normalization::of_channels([0.25f32], [0.5f32]))
        .add(same(4, 3).strides(2).activation(Activation::Relu))
        .add(GaussianNoise::new(0.05))
        .add(Conv2D::new(6, [2, 1]).groups(2).use_bias(false))
        .add(block)
        .add(Normalization::of_channels(
            [0.5f32, -0.25, 0.0, 1.0, 0.125, 2.0],
            [0.5f32, 0.25, 1.0, 0.75, 2.0, 4.0],
        ))
        .add(LayerNormalization::default())
        .add(same(4, 2).dilation_rate(2))
        .add(ZeroPadding2D::new([[1, 2], [3, 0]]))
        .add(DepthwiseConv2D::new(2).depth_multiplier(2).activation(Activation::Silu))
        .add(BatchNormalization::default())
        .add(MaxPooling2D::new(2).strides(1).padding(Padding::Same))
        .add(SeparableConv2D::new(5, [3, 2]).depth_multiplier(2).padding(Padding::Same))
        .add(SpatialDropout2D::new(0.2))
        .add(MaxPooling2D::new([3, 2]).strides(2).padding(Padding::Same))
        .add(AveragePooling2D::new([1, 2]).strides([1, 3]))
        .add(Activation::Elu)
        .add(pooled(GlobalAveragePooling2D.into()))
        .add(pooled(GlobalMaxPooling2D.into()));
    builder.add(Flatten).add(Dense::new(3)).build(Device::Cpu, 2).unwrap()
}

#[test]
fn every_layer_goes_through_every_format_and_comes_back() {
    let Some(python) = python() else { return };
    let home = tempfile::tempdir().unwrap();
    let stripes = home.path().join("stripes");
    common::write_stripes(&stripes, 6, 5, 3);
    let (train, test) = data::load_dir(&stripes).unwrap();
    let mut models = every_layer_in_parts();
    models.push(of_pictures());
    for model in &mut models {
        model.fit(&train, &FitConfig { epochs: 3, ..FitConfig::default() }, &mut []).unwrap();
    }
    let (mut cases, mut titles) = (Vec::new(), Vec::new());
    let pairs = models.iter().enumerate();
    for ((number, model), options) in
        pairs.flat_map(|model| OPTIONS.map(|options| (model, options)))
    {
        let card = Card::new(model.spec(), test.classes());
        for format in Format::ALL.iter().copied().filter(|&format| able(format, options)) {
            let title = format!("{} {options:?} of network {number}", format.name());
            let file = home.path().join(format!("{}{}", titles.len(), format.ending()));
            export::save(model, format, &card, options, &file).unwrap();
            let snippet = export::python(format, &card, options, &file.display().to_string());
            let npy = home.path().join(format!("{}.npy", titles.len()));
            npy::save(&expected(model, &test, options), &npy).unwrap();
            if !options.half {
                let network = Imported::from_bytes(fs::read(&file).unwrap()).unwrap();
                let network = network.network(&ImportOptions::default()).unwrap();
                assert_eq!(&network.spec, model.spec(), "{title}");
                assert_eq!(network.weights, model.weights().unwrap(), "{title}");
            }
            cases.push(Case { snippet: snippet.unwrap(), file, expected: npy });
            titles.push(title);
        }
    }
    for (outcome, title) in outcomes(&python, &stripes, &cases).iter().zip(titles) {
        println!("{title}: {:.1e}", outcome.difference);
        assert!(outcome.relative <= 1e-5, "{title}: {outcome:?}");
    }
}

#[derive(Debug)]
struct Warp;

impl LayerKind for Warp {
    fn name(&self) -> &'static str {
        "Warp"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        Ok(input.to_vec())
    }

    fn forward(
        &self,
        x: &Tensor,
        _: &Variables<'_>,
        _: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        Ok(x.f_sin()?)
    }
}

#[test]
fn a_layer_that_does_not_describe_itself_is_named() {
    let builder = Sequential::new([4]).add(Dense::new(3)).add(Layer::custom(Warp));
    let model = builder.build(Device::Cpu, 0).unwrap();
    let card = Card::new(model.spec(), &["a", "b", "c"]);
    for &format in Format::ALL {
        let error = export::encode(&model, format, &card, Default::default()).unwrap_err();
        let expected = format!("layer 2 (Warp) does not say how {} files write it", format.name());
        assert!(error.to_string().contains(&expected), "{error}");
    }
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("m.safetensors");
    model.save(&path).unwrap();
    let error = Sequential::load(&path, Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("found Warp, a layer of another crate"), "{error}");
}
