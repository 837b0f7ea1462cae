//! The embedding index in one directory of this machine.
