//! Keras's `model.summary()`.

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
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Row {
    name: String,
    kind: String,
    output_shape: Vec<usize>,
    parameters: usize,
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
            layers.push(Row { name, kind: kind.name().to_owned(), output_shape, parameters });
        }
        let parameters = layers.iter().map(|row| row.parameters).sum();
        Ok(Self { layers, parameters, non_trainable })
    }

    /// Returns the total number of parameters; as in Keras, running statistics count.
    pub fn parameters(&self) -> usize {
        self.parameters
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells: Vec<[String; 3]> = self
            .layers
            .iter()
            .map(|row| {
                let sizes: Vec<String> = row.output_shape.iter().map(usize::to_string).collect();
                [
                    format!("{} ({})", row.name, row.kind),
                    format!("(None, {})", sizes.join(", ")),
                    grouped(row.parameters),
                ]
            })
            .collect();
        let titles = ["Layer (type)", "Output Shape", "Param #"];
        let width = |column: usize| {
            let widest = cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            widest.max(titles[column].len())
        };
        let (a, b, c) = (width(0).max(26), width(1).max(20), width(2).max(13));
        let bar = |n: usize| "─".repeat(n + 2);
        let thick = |n: usize| "━".repeat(n + 2);
        writeln!(f, "┏{}┳{}┳{}┓", thick(a), thick(b), thick(c))?;
        writeln!(f, "┃ {:<a$} ┃ {:<b$} ┃ {:>c$} ┃", titles[0], titles[1], titles[2])?;
        writeln!(f, "┡{}╇{}╇{}┩", thick(a), thick(b), thick(c))?;
        for (i, [name, shape, parameters]) in cells.iter().enumerate() {
            if i > 0 {
                writeln!(f, "├{}┼{}┼{}┤", bar(a), bar(b), bar(c))?;
            }
            writeln!(f, "│ {name:<a$} │ {shape:<b$} │ {parameters:>c$} │")?;
        }
        writeln!(f, "└{}┴{}┴{}┘", bar(a), bar(b), bar(c))?;
        let kib = self.parameters as f64 * 4.0 / 1024.0;
        write!(f, " Total params: {} ({kib:.2} KiB)", grouped(self.parameters))?;
        if self.non_trainable > 0 {
            write!(f, "\n Non-trainable params: {}", grouped(self.non_trainable))?;
        }
        Ok(())
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
        assert!(text.contains("(None, 784)") && text.ends_with("109,386 (427.29 KiB)"), "{text}");
    }

    #[test]
    fn thousands_are_grouped() {
        let grouped: Vec<_> = [0, 999, 1_000, 1_234_567].into_iter().map(grouped).collect();
        assert_eq!(grouped, ["0", "999", "1,000", "1,234,567"]);
    }
}
