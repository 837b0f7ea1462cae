//! What the benches of serving share: the view that is read, clients that do as little as can be, the
//! handler that returns bytes precomputed, and figures.

pub mod figures;
pub mod load;
pub mod precomputed;
pub mod process;
pub mod unary;
pub mod wide;
