//! The layers that a [`Sequential`](crate::Sequential) network is made of: one file each, listed once below.
//!
//! A layer's file holds its settings, its shape rule, its variables, its forward pass, and how it is written in
//! every format. All other code asks the trait [`LayerKind`].

mod activation;
mod activation_layer;
mod average_pooling2d;
mod batch_normalization;
mod conv2d;
mod convolution;
mod dense;
mod depthwise_conv2d;
mod dropout;
mod exported_module;
mod flatten;
mod gaussian_noise;
mod global_average_pooling2d;
mod global_max_pooling2d;
mod initializer;
mod layer_kind;
mod layer_normalization;
mod max_pooling2d;
mod normalization;
mod pooling;
mod prelu;
mod rescaling;
mod reshape;
mod residual;
mod rms_normalization;
mod separable_conv2d;
mod spatial_dropout2d;
mod undefined_layer;
mod window;
mod zero_padding2d;

pub use crate::native::LibtorchError;
pub use activation::Activation;
pub use activation_layer::ActivationLayer;
pub use average_pooling2d::AveragePooling2D;
pub use batch_normalization::BatchNormalization;
pub use conv2d::Conv2D;
pub use dense::Dense;
pub use depthwise_conv2d::DepthwiseConv2D;
pub use dropout::Dropout;
pub use exported_module::{
    AtenArgument, AtenNode, KerasAxes, Module, OnnxAttribute, OnnxInput, OnnxNode,
};
pub use flatten::Flatten;
pub use gaussian_noise::GaussianNoise;
pub use global_average_pooling2d::GlobalAveragePooling2D;
pub use global_max_pooling2d::GlobalMaxPooling2D;
pub use initializer::Initializer;
pub use layer_kind::{Context, Distribution, LayerError, LayerKind, Noise, Variable, Variables};
pub use layer_normalization::LayerNormalization;
pub use max_pooling2d::MaxPooling2D;
pub use normalization::Normalization;
pub use prelu::PReLU;
pub use rescaling::Rescaling;
pub use reshape::Reshape;
pub use residual::Residual;
pub use rms_normalization::RMSNormalization;
pub use separable_conv2d::SeparableConv2D;
pub use spatial_dropout2d::SpatialDropout2D;
use undefined_layer::UndefinedLayer;
pub(crate) use window::WindowPlaces;
pub use window::{Padding, Size2D};
pub use zero_padding2d::{Sides, ZeroPadding2D};

use std::any::Any;
use std::sync::Arc;

use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Makes the enum of all layers; each line has a type that implements [`LayerKind`] and its name in files.
macro_rules! layers {
    ($($kind:ident = $tag:literal,)*) => {
        /// One layer's description; its variables are in the model.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum Layer {
            $(#[doc = concat!("See [`", stringify!($kind), "`].")] $kind($kind),)*
            /// A layer of another crate. Files keep its name and settings: see [`Layer::custom`].
            Custom(Arc<dyn LayerKind>),
        }

        $(impl From<$kind> for Layer {
            fn from(layer: $kind) -> Self {
                Self::$kind(layer)
            }
        })*

        impl Layer {
            /// The types of layers in files, "batch_normalization" for example; not those of other crates.
            pub const TYPES: &[&str] = &[$($tag),*];

            /// Returns the layer's type in files; `None` for a layer of another crate.
            pub(crate) fn tag(&self) -> Option<&'static str> {
                match self {
                    $(Self::$kind(_) => Some($tag),)*
                    Self::Custom(_) => None,
                }
            }

            /// Returns the layer as what every layer is.
            pub fn kind(&self) -> &dyn LayerKind {
                match self {
                    $(Self::$kind(layer) => layer,)*
                    Self::Custom(layer) => &**layer,
                }
            }
        }

        /// The layers with their settings, as they are saved.
        #[derive(Serialize)]
        #[serde(tag = "type")]
        enum Saved<'a> {
            $(#[serde(rename = $tag)] $kind(&'a $kind),)*
        }

        /// The same, as they are loaded.
        #[derive(Deserialize)]
        #[serde(tag = "type")]
        enum Loaded {
            $(#[serde(rename = $tag)] $kind($kind),)*
        }

        impl Serialize for Layer {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$kind(layer) => Saved::$kind(layer).serialize(serializer),)*
                    Self::Custom(layer) => {
                        let settings = layer.settings();
                        let mut map = serializer.serialize_map(None)?;
                        map.serialize_entry("type", layer.name())?;
                        if !settings.is_empty() {
                            map.serialize_entry("settings", &settings)?;
                        }
                        map.end()
                    }
                }
            }
        }

        impl From<Loaded> for Layer {
            fn from(loaded: Loaded) -> Self {
                match loaded {
                    $(Loaded::$kind(layer) => Self::$kind(layer),)*
                }
            }
        }
    };
}

layers! {
    Flatten = "flatten",
    Dense = "dense",
    Dropout = "dropout",
    ActivationLayer = "activation",
    Rescaling = "rescaling",
    Reshape = "reshape",
    LayerNormalization = "layer_normalization",
    BatchNormalization = "batch_normalization",
    GaussianNoise = "gaussian_noise",
    Normalization = "normalization",
    Residual = "residual",
    PReLU = "prelu",
    RMSNormalization = "rms_normalization",
    Conv2D = "conv2d",
    MaxPooling2D = "max_pooling2d",
    AveragePooling2D = "average_pooling2d",
    GlobalAveragePooling2D = "global_average_pooling2d",
    GlobalMaxPooling2D = "global_max_pooling2d",
    ZeroPadding2D = "zero_padding2d",
    DepthwiseConv2D = "depthwise_conv2d",
    SeparableConv2D = "separable_conv2d",
    SpatialDropout2D = "spatial_dropout2d",
}

impl From<Activation> for Layer {
    fn from(activation: Activation) -> Self {
        ActivationLayer { activation }.into()
    }
}

impl Layer {
    /// Returns a layer of another crate.
    ///
    /// It is trained, and snapshots and checkpoints hold its variables. Files keep its
    /// [`name`](LayerKind::name) and [`settings`](LayerKind::settings): a run can be read, and its network is built by code
    /// and not loaded from the run.
    pub fn custom(layer: impl LayerKind) -> Self {
        Self::Custom(Arc::new(layer))
    }

    /// Returns the layer's settings if it is of this kind.
    pub fn get<T: LayerKind>(&self) -> Option<&T> {
        (self.kind() as &dyn Any).downcast_ref()
    }

    /// Returns whether this program defines the layer: a file may name one that only the program that wrote it has.
    pub(crate) fn is_defined(&self) -> bool {
        match self.get::<Residual>() {
            Some(block) => block.layers.iter().all(Self::is_defined),
            None => !self.is::<UndefinedLayer>(),
        }
    }

    /// Returns whether it is of this kind.
    pub fn is<T: LayerKind>(&self) -> bool {
        self.get::<T>().is_some()
    }
}

impl PartialEq for Layer {
    /// Layers are equal if their kinds and settings are.
    fn eq(&self, other: &Self) -> bool {
        // The settings of a custom layer are known only by what it prints.
        format!("{self:?}") == format!("{other:?}")
    }
}

impl<'de> Deserialize<'de> for Layer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let Some(name) = value.get("type").and_then(serde_json::Value::as_str) else {
            return Err(D::Error::custom(
                "a layer is a table with its type, such as type = \"dense\"",
            ));
        };
        if !Self::TYPES.contains(&name) {
            // Of a custom layer files keep the name and the settings.
            if let Ok(layer) = UndefinedLayer::deserialize(&value) {
                return Ok(Self::custom(layer));
            }
            return Err(D::Error::custom(format!(
                "layer type {:?} must be one of {}: it is a layer of another crate, whose network code has to \
                 build before it takes the weights (Sequential::set_weights), or one of a newer seqfit",
                name.chars().take(60).collect::<String>(),
                Self::TYPES.join(", ")
            )));
        }
        if let Some(found) = settings_of_none(name, &value) {
            return Err(D::Error::custom(format!("{name} has no settings, found {found}")));
        }
        Ok(serde_json::from_value::<Loaded>(value).map_err(D::Error::custom)?.into())
    }
}

/// Returns the settings that a layer is given which has none, for which serde would name Rust's types.
fn settings_of_none(name: &str, layer: &serde_json::Value) -> Option<String> {
    let bare = serde_json::json!({ "type": name });
    let loaded = serde_json::from_value::<Loaded>(bare.clone()).ok()?;
    let has_none = serde_json::to_value(Layer::from(loaded)).is_ok_and(|saved| saved == bare);
    let given = layer.as_object()?.keys().filter(|key| *key != "type");
    let given: Vec<String> = given.map(|key| key.chars().take(60).collect()).collect();
    (has_none && !given.is_empty()).then(|| given.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_saved_as_they_always_were() -> Result<(), serde_json::Error> {
        let layers: [Layer; 3] = [
            Flatten.into(),
            Dense::new(3).activation(Activation::Relu).into(),
            Dropout::new(0.25).into(),
        ];
        let text = serde_json::to_string(&layers)?;
        let expected = r#"[{"type":"flatten"},{"type":"dense","units":3,"activation":"relu"},{"type":"dropout","rate":0.25}]"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Vec<Layer>>(&text)?, layers);
        Ok(())
    }

    #[test]
    fn a_layer_of_another_crate_keeps_its_name_and_settings() -> Result<(), serde_json::Error> {
        for text in [r#"{"type":"Gain"}"#, r#"{"type":"Gain","settings":{"by":2.5,"from":-1.0}}"#] {
            let layer = serde_json::from_str::<Layer>(text)?;
            assert_eq!(serde_json::to_string(&layer)?, text);
            assert!(!layer.is_defined());
        }
        let unknown = r#"{"type":"Gain","settings":{"by":"much"}}"#;
        assert!(serde_json::from_str::<Layer>(unknown).is_err());
        Ok(())
    }

    #[test]
    fn the_documentation_has_every_layer_and_its_fields() {
        let page = include_str!("../../docs/networks.md");
        let (_, page) = page.split_once("## In a file").unwrap();
        for tag in Layer::TYPES {
            let row = page.lines().find(|line| line.starts_with(&format!("| `{tag}` | ")));
            let row = row.unwrap_or_else(|| panic!("docs/networks.md lacks {tag}"));
            let example = row.rsplit('`').nth(1).unwrap();
            let example: toml::Table = toml::from_str(&format!("layer = {example}")).unwrap();
            let layer: Layer = example["layer"].clone().try_into().unwrap();
            assert_eq!(layer.tag(), Some(*tag));
            let serde_json::Value::Object(saved) = serde_json::to_value(&layer).unwrap() else {
                panic!("{layer:?} is a table")
            };
            let fields = saved.keys().filter(|key| *key != "type");
            for field in fields {
                assert!(row.contains(&format!("`{field}`")), "{tag}: {field}");
            }
        }
    }

    #[test]
    fn an_unknown_layer_is_named() {
        let error = serde_json::from_str::<Layer>(r#"{"type":"warp","by":3}"#).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("layer type \"warp\" must be one of flatten, dense"), "{error}");
        let error = serde_json::from_str::<Layer>(r#"{"type":"dense","unit":3}"#).unwrap_err();
        assert!(error.to_string().contains("unit"), "{error}");
    }
}
