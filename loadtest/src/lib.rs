//! Tools that load a gateway: [`modelsim`], a model server that behaves like one under load, and what measures
//! with it.

pub mod modelsim;
