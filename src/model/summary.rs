//! Keras's `model.summary()`, with the multiply-adds of each layer.

use std::fmt;

use serde::Serialize;

use super::spec::{Spec, SpecError};

/// The table of a network's layers; [`Display`](fmt::Display) prints it as Keras does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    layers: Vec<Row>,
    parameters: usize,
    /// Those of them that are not trained.
    #[serde(skip_serializing_if = "is_zero")]
    non_trainable: usize,
    /// Those of a forward pass for one sample.
    multiply_adds: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Row {
    name: String,
    kind: String,
    output_shape: Vec<usize>,
    parameters: usize,
    multiply_adds: usize,
}

impl Summary {
    /// Returns the table of `spec`.
    ///
    /// # Errors
    /// The first rule that the network breaks.
    pub fn new(spec: &Spec) -> Result<Self, SpecError> {
        let shapes = spec.check()?;
        let mut non_trainable = 0;
        let mut layers: Vec<Row> = Vec::new();
        let inputs = spec.layers_with_inputs()?;
        for (((layer, input), name), output_shape) in inputs.zip(spec.layer_names()).zip(shapes) {
            let kind = layer.kind();
            let mut parameters = 0;
            for variable in kind.variables(&input) {
                let count = variable.count().unwrap_or(0);
                parameters += count;
                non_trainable += if variable.trainable { 0 } else { count };
            }
            let (multiply_adds, kind) = (kind.multiply_adds(&input), kind.name().to_owned());
            layers.push(Row { name, kind, output_shape, parameters, multiply_adds });
        }
        let parameters = layers.iter().map(|row| row.parameters).sum();
        let multiply_adds =
            layers.iter().fold(0usize, |sum, row| sum.saturating_add(row.multiply_adds));
        Ok(Self { layers, parameters, non_trainable, multiply_adds })
    }

    /// Returns the total number of parameters; as in Keras, running statistics count.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Returns the multiply-adds of a forward pass for one sample: see
    /// [`LayerKind::multiply_adds`](crate::layers::LayerKind::multiply_adds).
    pub fn multiply_adds(&self) -> usize {
        self.multiply_adds
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells: Vec<[String; 4]> = self
            .layers
            .iter()
            .map(|row| {
                let sizes: Vec<String> = row.output_shape.iter().map(usize::to_string).collect();
                [
                    format!("{} ({})", row.name, row.kind),
                    format!("(None, {})", sizes.join(", ")),
                    grouped(row.parameters),
                    grouped(row.multiply_adds),
                ]
            })
            .collect();
        let titles = ["Layer (type)", "Output Shape", "Param #", "Multiply-Adds"];
        let width = |column: usize| {
            let widest = cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            widest.max(titles[column].len())
        };
        let (a, b, c, d) = (width(0).max(24), width(1).max(16), width(2).max(9), width(3));
        let bar = |n: usize| "─".repeat(n + 2);
        let thick = |n: usize| "━".repeat(n + 2);
        let [name, shape, parameters, adds] = titles;
        writeln!(f, "┏{}┳{}┳{}┳{}┓", thick(a), thick(b), thick(c), thick(d))?;
        writeln!(f, "┃ {name:<a$} ┃ {shape:<b$} ┃ {parameters:>c$} ┃ {adds:>d$} ┃")?;
        writeln!(f, "┡{}╇{}╇{}╇{}┩", thick(a), thick(b), thick(c), thick(d))?;
        for (i, [name, shape, parameters, adds]) in cells.iter().enumerate() {
            if i > 0 {
                writeln!(f, "├{}┼{}┼{}┼{}┤", bar(a), bar(b), bar(c), bar(d))?;
            }
            writeln!(f, "│ {name:<a$} │ {shape:<b$} │ {parameters:>c$} │ {adds:>d$} │")?;
        }
        writeln!(f, "└{}┴{}┴{}┴{}┘", bar(a), bar(b), bar(c), bar(d))?;
        let kib = self.parameters as f64 * 4.0 / 1024.0;
        write!(f, " Total params: {} ({kib:.2} KiB)", grouped(self.parameters))?;
        if self.non_trainable > 0 {
            write!(f, "\n Non-trainable params: {}", grouped(self.non_trainable))?;
        }
        write!(f, "\n Multiply-adds per sample: {}", grouped(self.multiply_adds))
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Groups thousands: 109386 → "109,386".
pub(crate) fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Activation;

    #[test]
    fn the_tutorial_network_has_109386_parameters() {
        let spec = Spec::classifier(&[28, 28], &[128, 64], Activation::Relu, 0.0, 10);
        let summary = Summary::new(&spec).unwrap();
        let each: Vec<usize> = summary.layers.iter().map(|row| row.parameters).collect();
        assert_eq!(each, [0, 100_480, 8_256, 650]);
        assert_eq!(summary.parameters(), 109_386);
        let text = summary.to_string();
        assert!(text.contains("(None, 784)") && text.contains("109,386 (427.29 KiB)\n"), "{text}");
    }

    /// The paper on MobileNet (Howard and others, 2017), table 1: a 3x3 layer of 512 filters for 14x14x512, and its
    /// separable counterpart. The convnet of Keras's MNIST example: 26²·32·9 + 11²·64·288 + 1600·10.
    #[test]
    fn multiply_adds_are_those_of_the_literature() {
        use crate::layers::{
            BatchNormalization, Conv2D, Dense, DepthwiseConv2D, Flatten, Layer, MaxPooling2D,
            Padding, Reshape, Residual, SeparableConv2D,
        };
        let of = |shape: &[usize], layers: Vec<Layer>| {
            let end = [Flatten.into(), Dense::new(1).into()];
            let spec = Spec::new(shape, layers.into_iter().chain(end).collect());
            Summary::new(&spec).unwrap().layers[0].multiply_adds
        };
        let picture = [512, 14, 14];
        let full = Conv2D::new(512, 3).padding(Padding::Same);
        assert_eq!(of(&picture, vec![full.into()]), 14 * 14 * 512 * 512 * 9);
        let halves = full.groups(2).strides(2).use_bias(false);
        assert_eq!(of(&picture, vec![halves.into()]), 7 * 7 * 512 * 256 * 9);
        let depthwise = DepthwiseConv2D::new(3).padding(Padding::Same);
        assert_eq!(of(&picture, vec![depthwise.into()]), 14 * 14 * 512 * 9);
        let separable = SeparableConv2D::new(512, 3).padding(Padding::Same);
        assert_eq!(of(&picture, vec![separable.into()]), 14 * 14 * 512 * (9 + 512));
        let norm = BatchNormalization::default();
        assert_eq!(of(&picture, vec![norm.into()]), 14 * 14 * 512);
        let block = Residual::new().add(norm).add(Activation::Relu).add(depthwise);
        assert_eq!(of(&picture, vec![block.into()]), 14 * 14 * 512 * (1 + 9));
        let convnet = Spec::new(
            [28, 28],
            vec![
                Reshape::new([1, 28, 28]).into(),
                Conv2D::new(32, 3).activation(Activation::Relu).into(),
                MaxPooling2D::new(2).into(),
                Conv2D::new(64, 3).activation(Activation::Relu).into(),
                MaxPooling2D::new(2).into(),
                Flatten.into(),
                Dense::new(10).into(),
            ],
        );
        let summary = Summary::new(&convnet).unwrap();
        let each: Vec<usize> = summary.layers.iter().map(|row| row.multiply_adds).collect();
        assert_eq!(each, [0, 194_688, 0, 2_230_272, 0, 0, 16_000]);
        assert!(summary.to_string().ends_with("\n Multiply-adds per sample: 2,440,960"));
    }

    #[test]
    fn thousands_are_grouped() {
        let grouped: Vec<_> = [0, 999, 1_000, 1_234_567].into_iter().map(grouped).collect();
        assert_eq!(grouped, ["0", "999", "1,000", "1,234,567"]);
    }
}
