//! May a caller use a route?

use std::sync::Arc;

/// What a caller may use: what the route lets its segment do, narrowed by what its key is for.
#[derive(Clone, Copy, Debug)]
pub struct Rights<'r> {
    /// Index of the caller's segment.
    pub segment: usize,
    /// The routes that its key is for, by name; all where there is none.
    pub routes: Option<&'r [Arc<str>]>,
}

impl Rights<'_> {
    /// Whether the caller may use the route `name`, which is open to the segments `allow`, or to all.
    #[must_use]
    pub fn cover(&self, name: &str, allow: Option<&[usize]>) -> bool {
        let open = allow.is_none_or(|allow| allow.contains(&self.segment));
        open && self.routes.is_none_or(|routes| routes.iter().any(|route| **route == *name))
    }
}
