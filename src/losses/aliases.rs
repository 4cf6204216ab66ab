//! Other names by which a person may choose a loss. Configs keep seqfit's.

/// Keras's and PyTorch's names for the same definition, and the loss's name.
pub(super) const ALIASES: [(&str, &str); 9] = [
    ("sparse_categorical_crossentropy", "sparse"),
    ("cross_entropy", "sparse"),
    ("categorical_crossentropy", "categorical"),
    ("bce", "binary_crossentropy"),
    ("mse", "mean_squared_error"),
    ("mse_loss", "mean_squared_error"),
    ("mae", "mean_absolute_error"),
    ("l1_loss", "mean_absolute_error"),
    ("logcosh", "log_cosh"),
];
