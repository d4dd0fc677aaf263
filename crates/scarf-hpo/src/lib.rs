//! Hyperparameter search by ask and tell.
