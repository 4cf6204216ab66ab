//! The options of the optimizer.

use clap::ValueEnum;
use seqfit::{Adam, AdamW, Optimizer, RmsProp, Sgd};

use super::super::output::Usage;
use super::super::parse_values;

/// The optimizer and its numbers.
#[derive(Clone, Debug, clap::Args)]
pub struct OptimizerOptions {
    /// Optimizer that updates the weights [default: adam]
    #[arg(long, value_enum)]
    optimizer: Option<OptimizerName>,
    /// Learning rate: step size of the optimizer [default: 0.001, with sgd 0.01]
    #[arg(long, value_name = "X", value_parser = parse_values::positive)]
    pub learning_rate: Option<f64>,
    /// Momentum of sgd and rmsprop [default: 0]
    #[arg(long, value_name = "X", value_parser = parse_values::share)]
    momentum: Option<f64>,
    /// Nesterov's method, for sgd with momentum
    #[arg(long)]
    nesterov: bool,
    /// Weight decay of adamw, decoupled from the gradient [default: 0.004], or of sgd, added to it [default: 0]
    #[arg(long, value_name = "X", value_parser = parse_values::not_negative)]
    weight_decay: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OptimizerName {
    Adam,
    Adamw,
    Sgd,
    Rmsprop,
}

impl OptimizerName {
    fn of(optimizer: &Optimizer) -> Option<Self> {
        match optimizer {
            Optimizer::Adam(_) => Some(Self::Adam),
            Optimizer::AdamW(_) => Some(Self::Adamw),
            Optimizer::Sgd(_) => Some(Self::Sgd),
            Optimizer::RmsProp(_) => Some(Self::Rmsprop),
            _ => None,
        }
    }

    fn optimizer(self) -> Optimizer {
        match self {
            Self::Adam => Optimizer::Adam(Adam::default()),
            Self::Adamw => Optimizer::AdamW(AdamW::default()),
            Self::Sgd => Optimizer::Sgd(Sgd::default()),
            Self::Rmsprop => Optimizer::RmsProp(RmsProp::default()),
        }
    }
}

impl OptimizerOptions {
    /// Returns `base` with the given options applied.
    pub fn over(&self, base: Optimizer) -> Result<Optimizer, Usage> {
        use OptimizerName as Name;
        let mut optimizer = match self.optimizer {
            Some(name) if OptimizerName::of(&base) != Some(name) => name.optimizer(),
            _ => base,
        };
        let only = |given: bool, option: &str, owners: &[Name]| {
            let name = OptimizerName::of(&optimizer);
            if given && !name.is_some_and(|name| owners.contains(&name)) {
                let lower = |name: &Name| format!("{name:?}").to_lowercase();
                let owners: Vec<String> = owners.iter().map(lower).collect();
                return Err(Usage(format!(
                    "{option} belongs to --optimizer {}, found it with {}: leave one out",
                    owners.join(" or "),
                    name.as_ref().map(lower).unwrap_or_default(),
                )));
            }
            Ok(())
        };
        only(self.momentum.is_some(), "--momentum", &[Name::Sgd, Name::Rmsprop])?;
        only(self.nesterov, "--nesterov", &[Name::Sgd])?;
        only(self.weight_decay.is_some(), "--weight-decay", &[Name::Adamw, Name::Sgd])?;
        match &mut optimizer {
            Optimizer::AdamW(o) => o.weight_decay = self.weight_decay.unwrap_or(o.weight_decay),
            Optimizer::Sgd(o) => {
                o.momentum = self.momentum.unwrap_or(o.momentum);
                o.nesterov |= self.nesterov;
                o.weight_decay = self.weight_decay.unwrap_or(o.weight_decay);
            }
            Optimizer::RmsProp(o) => o.momentum = self.momentum.unwrap_or(o.momentum),
            _ => {}
        }
        if let Some(learning_rate) = self.learning_rate {
            optimizer = optimizer.with_learning_rate(learning_rate);
        }
        optimizer.check().map_err(|error| Usage(error.to_string()))?;
        Ok(optimizer)
    }
}
