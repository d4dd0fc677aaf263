//! Fast CPU kernels for burn's flex backend.
