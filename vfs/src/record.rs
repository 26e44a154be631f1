//! A disk that counts: what was called, on what, in which order.
