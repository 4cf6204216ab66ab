//! A network in the form that the fused engine uses: layers on pictures, and the Dense layers after them.

use super::dense_stack::Mlp;
use super::pictures::PictureStack;
use crate::layers::{Dropout, Flatten, Layer, Reshape};
use crate::model::Spec;

/// A network in the form that this engine uses.
#[derive(Debug)]
pub struct Network {
    /// The layers before the Dense layers, if there are any.
    pub pictures: Option<PictureStack>,
    pub dense: Mlp,
}

impl Network {
    /// Returns the network's layers.
    ///
    /// # Errors
    /// The first layer that a network of this kind does not have, or not in this place: "layer 2 (reshape)".
    pub fn of(spec: &Spec) -> Result<Self, String> {
        let layers = spec.layers_with_inputs().map_err(|error| error.to_string())?;
        let inputs: Vec<Vec<usize>> = layers.map(|(_, input)| input).collect();
        let Some((first, shape)) = first_picture_layer(&spec.layers, &inputs) else {
            return Ok(Self { pictures: None, dense: Mlp::of(spec)? });
        };
        let mut pictures = PictureStack::new(shape);
        let is_picture = |&i: &usize| inputs[i].len() == 3 && !spec.layers[i].is::<Flatten>();
        let after = (first..inputs.len()).find(|i| !is_picture(i)).unwrap_or(inputs.len());
        for i in first..after {
            if pictures.add(i, &spec.layers[i]).is_none() {
                return Err(format!("layer {} ({})", i + 1, spec.layer_names()[i]));
            }
        }
        let mut dense = Mlp::new(pictures.features(), pictures.len());
        dense.add_all(spec, after)?;
        Ok(Self { pictures: Some(pictures), dense })
    }
}

/// Returns the index of the first layer on pictures and the shape of its input, if only the shape of the samples
/// changes before it.
fn first_picture_layer(layers: &[Layer], inputs: &[Vec<usize>]) -> Option<(usize, [usize; 3])> {
    let first = layers.iter().position(|layer| !layer.is::<Reshape>() && !layer.is::<Flatten>())?;
    let &[channels, height, width] = &inputs[first][..] else { return None };
    // A Dropout of pictures before Dense layers is one of vectors.
    let begins = layers[first..].iter().find(|layer| !layer.is::<Dropout>())?;
    PictureStack::begins_with(begins).then_some((first, [channels, height, width]))
}
