//! Tools that load a gateway: [`modelsim`], a model server that behaves like one under load, and what measures
//! with it; [`overload`], what overload control is worth.

pub mod modelsim;
pub mod overload;
