//! What is overload control worth? Goodput (answers inside their objective, per second) as a share of what could
//! have been attained, in simulated time ([`sim`]). The command measures the same callers over sockets.

pub mod sim;
