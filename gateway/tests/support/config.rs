//! Configuration files that many tests use.

/// One route `m` before one pool `p`. `more` are further keys of the pool, such as `, balance: round_robin`.
pub fn one_pool(urls: &[String], more: &str) -> String {
    let endpoints: Vec<String> = urls.iter().map(|url| format!("{{ url: \"{url}\" }}")).collect();
    let endpoints = endpoints.join(", ");
    format!(
        "pools: {{ p: {{ endpoints: [{endpoints}]{more} }} }}\nroutes: {{ m: {{ targets: [{{ pool: p }}] }} }}\n"
    )
}

/// A body that asks the route `m`.
pub const ASK: &str = r#"{"model":"m","messages":[]}"#;
/// The same for a stream.
pub const ASK_STREAM: &str = r#"{"model":"m","messages":[],"stream":true}"#;
